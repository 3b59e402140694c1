//! The past, already recorded: what the profile was at moments before now, so that nobody has to have asked in time.
//!
//! ```text
//! snapshot ─▶ record (5 s apart) ─▶ History (thinning) ─▶ a past snapshot, a difference, suspects
//! totals ─▶ point (1 s apart) ─▶ TimeLine (thinning) ─▶ curves
//! ```
//!
//! `http::handler` fills it, at a pace that costs a bounded share of a core. A leak is to be seen within a minute of its
//! beginning, whenever that is, so what is recent is always dense: of the last minute every record is kept, of the last five
//! minutes one for each quarter of a minute, of the last hour one for each minute, and of the last day one for each quarter of
//! an hour. All of them together take a bounded number of bytes. Marks are records with a name, which are kept until they are
//! replaced.
//!
//! Path: *read path*.

mod moment;
mod pace;
mod packed;
mod record;
#[cfg(test)]
mod tests;
mod thinning;
mod time_line;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use alloc_profiler::Snapshot;

use crate::encode::Bytes;
use crate::process::Memory;
pub(crate) use moment::{Missing, Moment, Now};
use pace::Pace;
pub(crate) use packed::StackSums;
pub(crate) use record::{OVERFLOW, Record, Summary, collapsed, sums};
use thinning::{Step, Thinning};
pub(crate) use time_line::{Point, TimeLine};

/// The longest time between two records, unless the owner chooses another.
pub(crate) const DEFAULT_PERIOD: Duration = Duration::from_secs(60);
/// The time between two records, unless that costs too much, or the period is shorter.
const DENSE_PERIOD: Duration = Duration::from_secs(5);
/// The share of a core that records take, in millionths. Those of a program in which one costs more come less often, down to one
/// in each period.
const RECORDS_SHARE_PPM: u32 = 800;
/// The memory for records, unless the owner chooses another.
pub(crate) const DEFAULT_LIMIT_BYTES: usize = 8 << 20;
/// Limits the number of marks.
pub(crate) const MAX_MARKS: usize = 16;
/// A new peak has more in use than the one before by this share of that, since a record is packed for each.
const PEAK_GROWTH: f64 = 0.01;
/// The name of the highest moment for those who name moments, unless a mark has that name.
pub(crate) const PEAK: &str = "peak";
/// With a period of more than a minute the past reaches back further than a day: as many periods as a day has minutes.
const LAST_PERIODS: u32 = 24 * 60;
/// Of what is older than a day, one record stays for each so many periods.
const SPARSE_PERIODS: u32 = 15;
/// With so few records that are left for want of room, moments are so far apart that the reader has to know.
const FEW_RECORDS: usize = 30;
/// What to do where memory is too short for a record.
pub(crate) const MEMORY_REMEDY: &str = "give the program more address space (ulimit -v)";

/// The records and marks that are kept.
#[derive(Debug)]
pub(crate) struct History {
    /// The longest time between two records; if it is `None`, nothing is recorded but marks.
    period: Option<Duration>,
    pace: Pace,
    limit_bytes: usize,
    /// Holds the records, the oldest first.
    records: VecDeque<Record>,
    thinning: Thinning,
    /// Holds the marks, by name.
    marks: Vec<(String, Record)>,
    /// The recorded moment at which most was in use.
    peak: Option<Record>,
    /// The number of times that memory was too short for a record.
    passed_over: u64,
    /// The number of records that would still be there if there were room.
    crowded_out: u64,
}

/// Why a mark was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkError {
    Exists,
    TooMany,
    /// Marks may take half of the memory.
    NoRoom,
}

impl History {
    pub(crate) fn new(period: Option<Duration>, limit_bytes: usize) -> History {
        let longest = period.unwrap_or(DEFAULT_PERIOD);
        History {
            period,
            pace: Pace::new(longest.min(DENSE_PERIOD), longest, RECORDS_SHARE_PPM),
            limit_bytes,
            records: VecDeque::new(),
            thinning: Thinning::new(steps(longest)),
            marks: Vec::new(),
            peak: None,
            passed_over: 0,
            crowded_out: 0,
        }
    }

    /// The longest time between two records; `None` if nothing is recorded.
    pub(crate) fn period(&self) -> Option<Duration> {
        self.period
    }

    /// The time from one record to the next at present; `None` if nothing is recorded.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.period.map(|_| self.pace.pause())
    }

    /// Notes how much of a processor's time it took to make and keep a record.
    pub(crate) fn note_cost(&mut self, took: Duration) {
        self.pace.note(took);
    }

    pub(crate) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Returns the records, the oldest first.
    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> + ExactSizeIterator {
        self.records.iter()
    }

    /// Returns the marks, by name.
    pub(crate) fn marks(&self) -> impl ExactSizeIterator<Item = (&str, &Record)> {
        self.marks.iter().map(|(name, record)| (name.as_str(), record))
    }

    /// The memory that records and marks take.
    pub(crate) fn held_bytes(&self) -> usize {
        let peak = self.peak.as_ref().map_or(0, Record::bytes);
        self.records.iter().map(Record::bytes).sum::<usize>() + self.marks_bytes() + peak
    }

    fn marks_bytes(&self) -> usize {
        self.marks.iter().map(|(name, record)| name.len() + record.bytes()).sum()
    }

    /// Keeps `snapshot`, and lets go of what has become too old or too much.
    pub(crate) fn record(&mut self, snapshot: &Snapshot, memory: Memory, now: Instant) {
        let record = Record::of(snapshot, memory, now);
        self.keep_if_highest(&record);
        self.records.push_back(record);
        self.thinning.thin_out(&mut self.records, |record| record.at, now);
        self.thin_out_by_size(now);
    }

    /// Keeps `snapshot` as the highest moment, if more is in use than at the one before it by [`PEAK_GROWTH`] of that, and if
    /// it takes a quarter of the memory at most.
    pub(crate) fn keep_peak(&mut self, snapshot: &Snapshot, memory: Memory, now: Instant) {
        self.keep_if_highest(&Record::of(snapshot, memory, now));
    }

    fn keep_if_highest(&mut self, record: &Record) {
        let in_use = |record: &Record| record.summary.totals.inuse_bytes;
        let is_highest =
            self.peak.as_ref().is_none_or(|peak| in_use(record) > in_use(peak) * (1.0 + PEAK_GROWTH));
        // Marks may take half of the memory, and the records need some.
        if is_highest && record.bytes() <= self.limit_bytes / 4 {
            self.peak = Some(record.clone());
        }
    }

    /// The moment at which most was in use.
    pub(crate) fn peak(&self) -> Option<&Record> {
        self.peak.as_ref()
    }

    /// Keeps `snapshot` under a name.
    pub(crate) fn mark(
        &mut self,
        name: &str,
        snapshot: &Snapshot,
        memory: Memory,
        now: Instant,
        replaces: bool,
    ) -> Result<(), MarkError> {
        let known = self.marks.iter().position(|(known, _)| known == name);
        match known {
            Some(_) if !replaces => return Err(MarkError::Exists),
            None if self.marks.len() >= MAX_MARKS => return Err(MarkError::TooMany),
            _ => {}
        }
        let record = Record::of(snapshot, memory, now);
        let freed = known.map_or(0, |index| self.marks[index].1.bytes());
        if self.marks_bytes() - freed + record.bytes() + name.len() > self.limit_bytes / 2 {
            return Err(MarkError::NoRoom);
        }
        match known {
            Some(index) => self.marks[index].1 = record,
            None => {
                self.marks.push((name.to_owned(), record));
                self.marks.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
        }
        self.thin_out_by_size(now);
        Ok(())
    }

    /// Lets go of the records that are missed least, until all fit. Those are the records whose neighbours are closest to each
    /// other, compared with how long ago they were.
    fn thin_out_by_size(&mut self, now: Instant) {
        let mut held = self.held_bytes();
        while held > self.limit_bytes {
            let age = |index: usize| now.saturating_duration_since(self.records[index].at).as_secs_f64();
            let gap = |index: &usize| (age(index - 1) - age(index + 1)) / age(*index).max(1e-3);
            let inner = 1..self.records.len().saturating_sub(1);
            let least = inner.min_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(0);
            let Some(record) = self.records.remove(least) else { return };
            held -= record.bytes();
            self.crowded_out += 1;
        }
    }

    fn crowded_out_note(&self) -> Option<String> {
        let is_sparse = self.crowded_out > 0 && self.records.len() < FEW_RECORDS;
        is_sparse.then(|| {
            format!(
                "the past is full: {} hold {} moments, since this program has so many stacks, and {} were let go before \
                 their time; POST /debug/pprof/mark?name=NAME keeps a moment that matters",
                Bytes(self.held_bytes() as f64),
                self.records.len(),
                self.crowded_out
            )
        })
    }

    /// Counts a record that memory was too short for.
    pub(crate) fn pass_over(&mut self) {
        self.passed_over += 1;
    }

    /// The number of times that memory was too short for a record.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// What a reader of the past has to know, a sentence each: why it has fewer moments than it should, and what to do about it.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.crowded_out_note().into_iter().chain(self.passed_over_note()).collect()
    }

    fn passed_over_note(&self) -> Option<String> {
        (self.passed_over > 0).then(|| {
            format!(
                "moments of the past are missing: memory was too short for a record {} times; {MEMORY_REMEDY}",
                self.passed_over
            )
        })
    }

    /// Returns the record nearest to a moment.
    pub(crate) fn find(&self, moment: &Moment, now: Now) -> Result<&Record, Missing> {
        moment.find(self, now)
    }
}

/// How records are thinned out by age.
fn steps(period: Duration) -> Vec<Step> {
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    let step = |up_to, one_in| Step { up_to, one_in };
    let mut steps = vec![
        step(MINUTE, Duration::ZERO),
        step(5 * MINUTE, 15 * SECOND),
        step(60 * MINUTE, MINUTE),
        step(24 * 60 * MINUTE, 15 * MINUTE),
    ];
    if period > MINUTE {
        steps.push(step(LAST_PERIODS * period, SPARSE_PERIODS * period));
    }
    steps
}

#[cfg(test)]
pub(crate) mod testing {
    use alloc_profiler::internal::literal;
    use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
    use std::sync::LazyLock;
    use std::time::UNIX_EPOCH;

    /// It has no stacks. It is taken once, since a snapshot costs milliseconds without optimization.
    static EMPTY: LazyLock<Snapshot> = LazyLock::new(|| {
        literal!(Snapshot {
            taken_at: UNIX_EPOCH,
            stacks: Vec::new(),
            overflow: Vec::new(),
            ..alloc_profiler::snapshot()
        })
    });

    pub(crate) fn totals(alloc_bytes: u64, inuse_bytes: u64) -> Totals {
        literal!(Totals {
            alloc_objects: alloc_bytes as f64 / 2.0,
            alloc_bytes: alloc_bytes as f64,
            alloc_samples: 9,
            inuse_objects: inuse_bytes as f64 / 2.0,
            inuse_bytes: inuse_bytes as f64,
            inuse_samples: 3,
            ..Totals::default()
        })
    }

    /// Returns a snapshot with one stack for each number, of one size.
    pub(crate) fn snapshot(stacks: &[(u32, Totals)]) -> Snapshot {
        let stack = |&(id, totals): &(u32, Totals)| {
            literal!(StackTotals {
                id,
                trace: StackTrace::of_return_addresses([id as usize + 1, 0x1000]),
                by_size: vec![literal!(SizeTotals { size_class: 16, totals, ..SizeTotals::default() })],
                ..StackTotals::default()
            })
        };
        literal!(Snapshot { stacks: stacks.iter().map(stack).collect(), ..EMPTY.clone() })
    }
}

//! The past, already recorded: what the profile was at moments before now, so that nobody has to have asked in time.
//!
//! ```text
//! snapshot ─▶ record (a minute apart) ─▶ History ─▶ a past snapshot, a difference, a time line, suspects
//! ```
//!
//! `http::handler` fills it. For an hour's worth of periods every record is kept, then one in fifteen for a day's worth. All
//! of them together take a bounded number of bytes. Marks are records with a name, which are kept until they are replaced.
//!
//! Path: *read path*.

mod moment;
mod packed;
mod record;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use alloc_profiler::Snapshot;

use crate::encode::Bytes;
use crate::process::Memory;
pub(crate) use moment::{Missing, Moment, Now};
pub(crate) use packed::StackSums;
pub(crate) use record::{OVERFLOW, Record, Summary, collapsed, sums};

/// The time between two records, unless the owner chooses another.
pub(crate) const DEFAULT_PERIOD: Duration = Duration::from_secs(60);
/// The memory for records, unless the owner chooses another.
pub(crate) const DEFAULT_LIMIT_BYTES: usize = 8 << 20;
/// The greatest number of marks.
pub(crate) const MAX_MARKS: usize = 16;
/// The number of periods for which each record is kept: an hour.
const DENSE_PERIODS: u32 = 60;
/// After those, one record is kept for each so many periods: a quarter of an hour.
const SPARSE_PERIODS: u32 = 15;
/// A new peak has more in use than the one before by this share of that, since a record is packed for each.
const PEAK_GROWTH: f64 = 0.01;
/// The name of the highest moment for those who name moments, unless a mark has that name.
pub(crate) const PEAK: &str = "peak";
/// The number of periods after which a record goes: a day.
const LAST_PERIODS: u32 = 24 * 60;

/// The records and marks that are kept.
#[derive(Debug)]
pub(crate) struct History {
    /// The time between two records; if it is `None`, nothing is recorded but marks.
    period: Option<Duration>,
    limit_bytes: usize,
    /// The records, the oldest first.
    records: VecDeque<Record>,
    /// The marks, by name.
    marks: Vec<(String, Record)>,
    /// The recorded moment at which most was in use.
    peak: Option<Record>,
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
        History {
            period,
            limit_bytes,
            records: VecDeque::new(),
            marks: Vec::new(),
            peak: None,
            crowded_out: 0,
        }
    }

    pub(crate) fn period(&self) -> Option<Duration> {
        self.period
    }

    pub(crate) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// The records, the oldest first.
    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> + ExactSizeIterator {
        self.records.iter()
    }

    /// The marks, by name.
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
        self.keep_peak(snapshot, memory, now);
        self.records.push_back(Record::of(snapshot, memory, now));
        self.thin_out_by_age(now);
        self.thin_out_by_size(now);
    }

    /// Keeps `snapshot` as the highest moment, if more is in use than at the one before it by [`PEAK_GROWTH`] of that, and if
    /// it takes a quarter of the memory at most.
    pub(crate) fn keep_peak(&mut self, snapshot: &Snapshot, memory: Memory, now: Instant) {
        let highest = self.peak.as_ref().map(|peak| peak.summary.totals.inuse_bytes);
        if highest.is_none_or(|highest| snapshot.totals().inuse_bytes > highest * (1.0 + PEAK_GROWTH)) {
            let record = Record::of(snapshot, memory, now);
            // Marks may take half of the memory, and the records need some.
            if record.bytes() <= self.limit_bytes / 4 {
                self.peak = Some(record);
            }
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

    fn thin_out_by_age(&mut self, now: Instant) {
        let Some(period) = self.period else { return };
        // Records come a little late, never early, so half a period of grace is given.
        let grace = period / 2;
        let mut kept: Option<Instant> = None;
        self.records.retain(|record| {
            let age = now.saturating_duration_since(record.at);
            let is_kept = if age > period * LAST_PERIODS + grace {
                false
            } else if age > period * DENSE_PERIODS + grace {
                kept.is_none_or(|before| record.at - before + grace >= period * SPARSE_PERIODS)
            } else {
                true
            };
            if is_kept {
                kept = Some(record.at);
            }
            is_kept
        });
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

    /// A sentence that says that the past has fewer moments than it could, for want of room, and what to do about it.
    pub(crate) fn crowded_out(&self) -> Option<String> {
        (self.crowded_out > 0).then(|| {
            format!(
                "the past is full ({} of at most {}), so moments of it were let go before their time: {}; a longer \
                 PPROF_RECORD, such as 10m, makes it reach further",
                Bytes(self.held_bytes() as f64),
                Bytes(self.limit_bytes as f64),
                self.crowded_out
            )
        })
    }

    /// The record nearest to a moment.
    pub(crate) fn find(&self, moment: &Moment, now: Now) -> Result<&Record, Missing> {
        moment.find(self, now)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
    use std::sync::LazyLock;
    use std::time::UNIX_EPOCH;

    /// Without stacks. Taken once: a snapshot costs milliseconds without optimization.
    static EMPTY: LazyLock<Snapshot> = LazyLock::new(|| Snapshot {
        taken_at: UNIX_EPOCH,
        stacks: Vec::new(),
        overflow: Vec::new(),
        ..alloc_profiler::snapshot()
    });

    pub(crate) fn totals(alloc_bytes: u64, inuse_bytes: u64) -> Totals {
        Totals {
            alloc_objects: alloc_bytes as f64 / 2.0,
            alloc_bytes: alloc_bytes as f64,
            alloc_samples: 9,
            inuse_objects: inuse_bytes as f64 / 2.0,
            inuse_bytes: inuse_bytes as f64,
            inuse_samples: 3,
            ..Totals::default()
        }
    }

    /// A snapshot with one stack for each number, of one size.
    pub(crate) fn snapshot(stacks: &[(u32, Totals)]) -> Snapshot {
        let stack = |&(id, totals): &(u32, Totals)| StackTotals {
            id,
            trace: StackTrace::of_return_addresses([id as usize + 1, 0x1000]),
            by_size: vec![SizeTotals { size_class: 16, totals, ..SizeTotals::default() }],
        };
        Snapshot { stacks: stacks.iter().map(stack).collect(), ..EMPTY.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{snapshot, totals};
    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);
    const NO_MEMORY: Memory = Memory { resident_bytes: None, limit_bytes: None };

    /// Ages in periods, the oldest first.
    fn ages(history: &History, now: Instant) -> Vec<u64> {
        history.records().map(|record| (now - record.at + PERIOD / 2).as_secs() / PERIOD.as_secs()).collect()
    }

    #[test]
    fn an_hour_by_minutes_and_a_day_by_quarters() {
        let mut history = History::new(Some(PERIOD), DEFAULT_LIMIT_BYTES);
        let start = Instant::now();
        let mut now = start;
        for step in 0..3000_u32 {
            // A timer fires late, and differently each time.
            now = start + PERIOD * step + Duration::from_millis(u64::from(step * 7919 % 400));
            history.record(&snapshot(&[(0, totals(1, 1))]), NO_MEMORY, now);
        }
        let ages = ages(&history, now);
        assert_eq!(ages[ages.len() - 61..], (0..=60).rev().collect::<Vec<_>>());
        let old = &ages[..ages.len() - 61];
        assert!(old.windows(2).all(|pair| (15..=16).contains(&(pair[0] - pair[1]))), "{old:?}");
        assert!((1424..=1440).contains(&old[0]), "{old:?}");
        assert!(history.held_bytes() < 100_000);
    }

    #[test]
    fn the_highest_moment_stays_however_long_ago_it_was() {
        let mut history = History::new(Some(PERIOD), DEFAULT_LIMIT_BYTES);
        let start = Instant::now();
        assert!(history.peak().is_none());
        for (step, inuse) in [10, 500, 100_000, 100_500, 7].into_iter().chain([8; 2000]).enumerate() {
            let now = start + PERIOD * step as u32;
            history.record(&snapshot(&[(0, totals(200_000, inuse))]), NO_MEMORY, now);
        }
        // 100 500 was not higher by 1 %.
        let in_use = |record: &Record| record.summary.totals.inuse_bytes;
        assert_eq!(history.peak().map(in_use), Some(100_000.0));
        let now = Now { at: start + PERIOD * 2005, time: std::time::SystemTime::now() };
        let peak = Moment::Mark(PEAK.to_owned());
        assert_eq!(history.find(&peak, now).map(in_use), Ok(100_000.0));
        assert!(history.find(&Moment::Mark("other".to_owned()), now).is_err());
        // Who has given a mark that name means the mark.
        history.mark(PEAK, &snapshot(&[(0, totals(1, 1))]), NO_MEMORY, now.at, false).unwrap();
        assert_eq!(history.find(&peak, now).map(in_use), Ok(1.0));
        // Where one record is as large as the whole history may be, there is no room for it twice.
        let mut small = History::new(Some(PERIOD), 1);
        small.record(&snapshot(&[(0, totals(1, 1))]), NO_MEMORY, start);
        assert!(small.peak().is_none());
    }

    #[test]
    fn memory_is_capped_and_the_span_stays() {
        let many: Vec<_> = (0..500).map(|id| (id, totals(u64::from(id) * 7919, u64::from(id)))).collect();
        let one = Record::of(&snapshot(&many), NO_MEMORY, Instant::now()).bytes();
        let mut history = History::new(Some(PERIOD), 10 * one);
        let start = Instant::now();
        for step in 0..60_u32 {
            history.record(&snapshot(&many), NO_MEMORY, start + PERIOD * step);
            assert!(history.held_bytes() <= 10 * one);
        }
        let ages = ages(&history, start + PERIOD * 59);
        assert!(ages.len() >= 9 && ages[0] == 59 && *ages.last().unwrap() == 0, "{ages:?}");
        assert!(
            history.crowded_out().unwrap().contains(&format!("time: {};", 60 - ages.len())),
            "{history:?}"
        );
        // Denser near now.
        assert!(ages[0] - ages[1] > ages[ages.len() - 2], "{ages:?}");

        let mut tiny = History::new(Some(PERIOD), one / 2);
        tiny.record(&snapshot(&many), NO_MEMORY, start);
        assert_eq!((tiny.records().len(), tiny.held_bytes()), (0, 0));
    }

    #[test]
    fn marks_are_bounded_and_replaced_only_when_told() {
        let mut history = History::new(None, DEFAULT_LIMIT_BYTES);
        let now = Instant::now();
        let then = snapshot(&[(0, totals(1, 1))]);
        for index in 0..MAX_MARKS {
            assert_eq!(history.mark(&format!("m{index:02}"), &then, NO_MEMORY, now, false), Ok(()));
        }
        assert_eq!(history.mark("m03", &then, NO_MEMORY, now, false), Err(MarkError::Exists));
        assert_eq!(history.mark("new", &then, NO_MEMORY, now, false), Err(MarkError::TooMany));
        let later = snapshot(&[(0, totals(5, 5))]);
        assert_eq!(history.mark("m03", &later, NO_MEMORY, now, true), Ok(()));
        let found = history.find(&Moment::Mark("m03".into()), Now::by_clocks()).unwrap();
        assert_eq!(found.summary.totals.inuse_bytes, 5.0);
        assert!(history.find(&Moment::Mark("m99".into()), Now::by_clocks()).is_err());

        let mut small = History::new(None, 100);
        assert_eq!(small.mark("a", &then, NO_MEMORY, now, false), Err(MarkError::NoRoom));
    }
}

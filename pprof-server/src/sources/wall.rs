//! What threads do as time goes by, whether they run or wait: the stacks of all of them, taken again and again.
//!
//! Each row is a stack of the threads of one name, with the time that it was seen for. The value types are those of Go's
//! `fgprof`.
//!
//! Path: *read path*.

use super::options::Options;
use super::plain_text::PlainText;
use super::turn::{Turn, Turns};
use crate::labels;
use crate::mappings::Mappings;
use crate::profile::{
    Amount, Estimate, Family, Frames, Label, LabelValue, Period, Profile, Rows, Stacks, Unit, ValueType, add,
};
use alloc_profiler::{CodeAddress, StackTrace};
use capture::{Found, StartError, ThreadDump};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

/// How often stacks are taken.
const USUAL_PERIOD: Duration = Duration::from_millis(50);
/// Dumps take a part of the time that is no larger: where there are very many threads, they are taken less often.
const MAX_SHARE: u32 = 10;
/// Different rows that are kept. What is beyond has no stack.
const MAX_ROWS: usize = 1 << 15;

static TYPES: [ValueType; 2] = [
    ValueType { name: "samples", unit: Unit::Count, family: &PASSED },
    ValueType { name: "time", unit: Unit::Nanoseconds, family: &PASSED },
];

static PASSED: Family = Family {
    total: "Time of all threads",
    change: "Time of all threads",
    whole: "the time",
    state: "there",
    no_change: "no time",
    events: "dumps",
    samples: "dumps",
    comes_and_goes: false,
};

/// What sets a row apart.
type Key = (Box<[CodeAddress]>, bool, Vec<Label>);

/// Counts the dumps of each row, by the stack, of which it is known whether it goes on, and then by the labels.
type ByStack = BTreeMap<(Box<[CodeAddress]>, bool), BTreeMap<Vec<Label>, u64>>;

/// A profile that is being taken. One is taken at a time.
#[derive(Debug)]
pub(crate) struct Recording {
    rows: HashMap<Key, u64>,
    dumps: u32,
    /// Counts the threads without a stack, by the reason.
    lost: BTreeMap<Found, u64>,
    overflow: u64,
    started: Instant,
    _turn: Turn,
}

static TURNS: Turns = Turns::new();

impl Recording {
    /// Begins. `None`: another one is under way.
    pub(crate) fn start() -> Option<Recording> {
        Some(Recording {
            _turn: TURNS.take()?,
            rows: HashMap::new(),
            dumps: 0,
            lost: BTreeMap::new(),
            overflow: 0,
            started: Instant::now(),
        })
    }

    /// Takes the stacks of all threads once. Returns when that is to be done again.
    ///
    /// Cost: it takes as long as [`capture::thread_dump`].
    pub(crate) fn look(&mut self) -> Result<Instant, StartError> {
        let start = Instant::now();
        let dump = capture::thread_dump()?;
        self.add(&dump);
        Ok(start + USUAL_PERIOD.max(dump.duration * MAX_SHARE))
    }

    fn add(&mut self, dump: &ThreadDump) {
        self.dumps += 1;
        for thread in &dump.threads {
            if !thread.found.has_frames() {
                *self.lost.entry(thread.found).or_default() += 1;
            }
            let label = |key, value: &str| Label { key, value: LabelValue::Text(value.into()) };
            let mut labels = Vec::new();
            if !thread.name.is_empty() {
                labels.push(label(Label::THREAD, &thread.name));
            }
            labels.push(label(Label::STATE, thread.state.name()));
            labels.extend(thread.waits.as_ref().map(|waits| label(Label::WAITS, waits)));
            labels.extend(labels::of_number(thread.label));
            let key = (thread.frames.clone(), thread.is_truncated, labels);
            let has_room = self.rows.len() < MAX_ROWS;
            match self.rows.get_mut(&key) {
                Some(count) => *count += 1,
                None if has_room => _ = self.rows.insert(key, 1),
                None => self.overflow += 1,
            }
        }
    }

    /// Ends, and makes the profile of what was found.
    ///
    /// Cost: that is the time that naming addresses takes, and some 100 ns for each row.
    pub(crate) fn finish(mut self, options: Options) -> Profile {
        let duration = self.started.elapsed();
        let period = duration / self.dumps.max(1);
        let mut by_stack = ByStack::new();
        for ((frames, is_truncated, labels), count) in std::mem::take(&mut self.rows) {
            let labels = if options.has_labels { labels } else { Vec::new() };
            *by_stack.entry((frames, is_truncated)).or_default().entry(labels).or_default() += count;
        }
        if self.overflow > 0 {
            *by_stack.entry(Default::default()).or_default().entry(Vec::new()).or_default() += self.overflow;
        }
        let mut rows = Rows::new(TYPES.len(), by_stack.len());
        let (mut totals, mut traces) = ([Estimate::default(); 2], Vec::with_capacity(by_stack.len()));
        for (stack, ((frames, is_truncated), by_labels)) in by_stack.into_iter().enumerate() {
            for (labels, count) in by_labels {
                let labels = rows.labels_id(labels);
                let values = values(count, period);
                rows.push(stack, labels, &values, []);
                add(&mut totals, &values);
            }
            traces.push(StackTrace::new(frames, is_truncated));
        }
        Profile {
            name: "fgprof",
            types: &TYPES,
            shown_type: 1,
            default_type: None,
            period: Period {
                name: "wallclock",
                unit: Unit::Nanoseconds,
                value: nanoseconds(period) as u64,
                field: "period",
            },
            time: SystemTime::now(),
            duration: Some(duration),
            frames: Frames::All,
            own_bytes: 0,
            legacy: PlainText::of,
            rows,
            is_known: self.dumps > 0,
            totals: totals.to_vec(),
            notes: self.notes(duration, totals),
            stacks: Stacks::of(traces.iter(), &[], Mappings::of_process(), options.symbolize),
        }
    }

    /// What there is to say of the profile, a line each.
    fn notes(&self, duration: Duration, totals: [Estimate; 2]) -> Vec<String> {
        let time = |nanoseconds| Amount(nanoseconds, Unit::Nanoseconds).to_string();
        let mut notes = vec![format!(
            "fgprof: {} of all threads together in {}, from {} dumps",
            time(totals[1].value),
            time(nanoseconds(duration)),
            self.dumps
        )];
        let lost: u64 = self.lost.values().sum();
        if lost > 0 {
            notes.push(format!(
                "{lost} times a thread had no stack, which stands under [unknown stack]; goroutine says why, by name"
            ));
        }
        if self.overflow > 0 {
            notes.push(format!(
                "{} times a stack stands under [unknown stack], because there were more than {MAX_ROWS} different ones: ask for a \
                 shorter time",
                self.overflow
            ));
        }
        notes
    }
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// The values of what so many dumps have found. A stack that is seen by chance is counted with an error of the root of the number.
fn values(count: u64, period: Duration) -> [Estimate; 2] {
    let number = count as f64;
    let of =
        |unit: f64| Estimate { value: number * unit, samples: count as i64, variance: number * unit * unit };
    [of(1.0), of(nanoseconds(period))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Symbolize;
    use capture::{Thread, ThreadState};

    fn dump(threads: &[(&str, usize)]) -> ThreadDump {
        let mut dump = ThreadDump::default();
        let thread = |&(name, address)| {
            let frames = [CodeAddress::of_instruction(address)];
            Thread::new(1, name, ThreadState::Running, frames.into())
        };
        dump.threads = threads.iter().map(thread).collect();
        dump
    }

    const OPTIONS: Options = Options { symbolize: Symbolize::None, has_labels: true };

    /// There is one recording at a time, and each stands for the time that passed.
    #[test]
    fn what_is_seen_again_counts_again() {
        let mut recording = Recording::start().unwrap();
        assert!(Recording::start().is_none());
        recording.add(&dump(&[("a", 0x1000), ("a", 0x1000), ("b", 0x1000)]));
        recording.add(&dump(&[("a", 0x2000)]));
        let mut unknown = dump(&[("c", 0x1000)]);
        (unknown.threads[0].found, unknown.threads[0].frames) = (Found::NoAnswer, Box::default());
        recording.add(&unknown);
        let profile = recording.finish(OPTIONS);
        let period = profile.period.value as f64;
        let values: Vec<_> = profile.rows.iter().map(|row| row.values[0].rounded()).collect();
        assert_eq!(values, [1, 2, 1, 1], "without a stack, of a, of b, and of a");
        assert!(
            profile.rows.iter().all(|row| (row.values[1].value - row.values[0].value * period).abs() <= 5.0)
        );
        assert_eq!((profile.totals[0].rounded(), profile.is_known), (5, true));
        assert!(profile.notes[0].ends_with("from 3 dumps") && profile.notes[1].starts_with("1 times"));
        let mut other = Recording::start().expect("the first one is over");
        other.add(&dump(&[("a", 0x1000), ("b", 0x1000)]));
        let bare = other.finish(Options { has_labels: false, ..OPTIONS });
        assert_eq!(bare.rows.iter().map(|row| row.values[0].rounded()).collect::<Vec<_>>(), [2]);
    }
}

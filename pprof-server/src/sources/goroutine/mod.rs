//! Everything that runs or waits, as a profile: what Go's `goroutine` is for a program that has threads.
//!
//! Each kind of it is a [`Part`] that finds its rows in its own way: threads by a dump (`threads`), tasks by what is in sampled
//! blocks of the heap (`tasks`). Another kind is one more function in [`alive`].
//!
//! Path: *read path*.

mod entries;
pub(super) mod tasks;
mod threads;

pub(crate) use self::tasks::IndexWatch;
pub(crate) use self::tasks::makes_tasks;
pub(super) use self::tasks::{Lines, frame};
use super::plain_text::PlainText;
use crate::mappings::Mappings;
use crate::profile::{
    Cohort, Estimate, Family, Frames, Label, LabelValue, Period, Profile, Rows, Stacks, Symbolize, Unit,
    ValueType, add,
};
use alloc_profiler::StackTrace;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

static TYPES: [ValueType; 1] = [ValueType { name: "goroutine", unit: Unit::Count, family: &ALIVE }];
static LEAKED: [ValueType; 1] = [ValueType { name: "goroutineleak", unit: Unit::Count, family: &WAITING }];
static CREATED: [ValueType; 1] = [ValueType { name: "threadcreate", unit: Unit::Count, family: &BEGAN }];

static ALIVE: Family = Family {
    total: "Threads and tasks",
    change: "Change of the number of threads and tasks",
    whole: "the threads and tasks",
    state: "there",
    no_change: "as many as before",
    events: "threads and tasks",
    samples: "samples",
    comes_and_goes: true,
};

static WAITING: Family = Family {
    total: "Tasks that nobody can wake",
    change: "Change of the number of tasks that nobody can wake",
    whole: "the tasks that nobody can wake",
    state: "there",
    no_change: "as many as before",
    events: "tasks",
    samples: "samples",
    comes_and_goes: true,
};

static BEGAN: Family = Family {
    total: "Threads",
    change: "Change of the number of threads",
    whole: "the threads",
    state: "there",
    no_change: "as many as before",
    events: "threads",
    samples: "threads",
    comes_and_goes: true,
};

/// Which of Go's profiles it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It tells where everything is.
    Goroutine,
    /// It tells which tasks nobody can wake.
    GoroutineLeak,
    /// It tells where the threads that there are began.
    ThreadCreate,
}

impl Kind {
    fn types(self) -> &'static [ValueType; 1] {
        match self {
            Kind::Goroutine => &TYPES,
            Kind::GoroutineLeak => &LEAKED,
            Kind::ThreadCreate => &CREATED,
        }
    }

    /// Returns its name among the endpoints.
    pub(crate) fn name(self) -> &'static str {
        self.types()[0].name
    }
}

/// What one kind of row found.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// What runs or waits, in no particular order.
    pub(super) waiters: Vec<Waiter>,
    /// What is missing, and how sure the rest is, a line each.
    pub(super) notes: Vec<String>,
    /// False if nothing could be found out, so that no rows do not mean that there is nothing.
    pub(super) is_known: bool,
    /// The lines at addresses that are not looked up.
    pub(super) lines: Lines,
}

/// Something that runs or waits: a thread, for example.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    /// Where it is.
    pub(super) trace: StackTrace,
    /// The same at more length, for where each stands by itself.
    alone: Option<StackTrace>,
    /// What sets it apart, in the order of all rows: `kind`, `thread`, `state`, `waits`, `source`.
    pub(super) labels: Vec<Label>,
    /// How many of them there are.
    pub(super) count: Estimate,
    /// Its number, if it is one: that of a thread, the address of a task.
    id: Option<u64>,
    /// How long ago it began, if that is known.
    age: Option<Duration>,
}

/// How the profile is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) symbolize: Symbolize,
    /// Rows are kept apart by their labels, and have them.
    pub(crate) has_labels: bool,
    /// Each thread has a row of its own, with its number as the label [`Label::ID`].
    pub(crate) is_each_apart: bool,
}

/// Finds all that runs or waits now.
///
/// Cost: it takes as long as [`capture::thread_dump`].
pub(crate) fn alive() -> Vec<Part> {
    vec![threads::part(), tasks::part()]
}

/// Finds where the threads began that there are now.
///
/// Cost: it takes as long as [`capture::thread_dump`].
pub(crate) fn created() -> Vec<Part> {
    vec![threads::created()]
}

/// Finds the live tasks alone.
pub(crate) fn tasks_alone() -> Vec<Part> {
    vec![tasks::part()]
}

/// Makes the profile of what was found; of a `difference`, by how much that is more than these, after that time.
///
/// Cost: it takes as long as naming the addresses. Where threads began is found by names, even if none are wanted.
pub(crate) fn profile(
    kind: Kind,
    mut parts: Vec<Part>,
    mut difference: Option<(Vec<Part>, Duration)>,
    options: Options,
) -> Profile {
    let is_known = parts.iter().any(|part| part.is_known);
    if kind == Kind::ThreadCreate {
        let before = difference.iter_mut().flat_map(|(before, _)| before);
        let waiters = parts.iter_mut().chain(before).flat_map(|part| &mut part.waiters);
        entries::cut(&mut waiters.map(|waiter| &mut waiter.trace).collect::<Vec<_>>());
    }
    let mut counts = Counts::default();
    let (mut notes, mut lines) = (Vec::new(), Lines::new());
    let (before, duration) = difference.map_or_else(Default::default, |(before, time)| (before, Some(time)));
    for part in parts {
        part.waiters.into_iter().for_each(|waiter| counts.add(waiter, 1.0, options));
        notes.extend(part.notes);
        lines.extend(part.lines);
    }
    for part in before {
        part.waiters.into_iter().for_each(|waiter| counts.add(waiter, -1.0, options));
        lines.extend(part.lines);
    }
    let (traces, found) = counts.into_rows();
    let mut rows = Rows::new(TYPES.len(), found.len());
    let mut totals = [Estimate::default()];
    for (stack, labels, Counted { count, cohorts }) in found {
        let labels = rows.labels_id(labels);
        rows.push(stack, labels, &[count], cohorts);
        add(&mut totals, &[count]);
    }
    Profile {
        name: kind.name(),
        types: kind.types(),
        shown_type: 0,
        default_type: None,
        period: Period { name: kind.name(), unit: Unit::Count, value: 1, field: "period" },
        time: SystemTime::now(),
        duration,
        frames: Frames::All,
        own_bytes: 0,
        legacy: PlainText::of,
        rows,
        is_known,
        totals: totals.to_vec(),
        notes,
        stacks: Stacks::with_known(traces.iter(), &[], Mappings::of_process(), options.symbolize, &lines),
    }
}

/// Tells a stack by its frames, and by whether it goes on beyond them.
type StackKey = (Box<[alloc_profiler::CodeAddress]>, bool);

/// A row: the index of its stack, its labels, and how many there are.
type CountedRow = (usize, Vec<Label>, Counted);

/// How many there are of what is alike.
#[derive(Default)]
struct Counts(BTreeMap<StackKey, BTreeMap<Vec<Label>, Counted>>);

/// How many there are, and how old.
#[derive(Default)]
struct Counted {
    count: Estimate,
    cohorts: Vec<Cohort>,
}

impl Counts {
    fn add(&mut self, waiter: Waiter, sign: f64, options: Options) {
        let mut labels = if options.has_labels { waiter.labels } else { Vec::new() };
        if let Some(id) = waiter.id.filter(|_| options.is_each_apart) {
            labels.push(Label { key: Label::ID, value: LabelValue::Number(id as i64, "") });
        }
        let alone = waiter.alone.filter(|_| options.is_each_apart);
        let StackTrace { frames, is_truncated, .. } = alone.unwrap_or(waiter.trace);
        let Counted { count, cohorts } =
            self.0.entry((frames, is_truncated)).or_default().entry(labels).or_default();
        // What is gone has no age.
        let age = waiter.age.filter(|_| sign > 0.0);
        cohorts.extend(age.map(|age| Cohort { age, count: waiter.count.value }));
        count.value += sign * waiter.count.value;
        count.samples += sign as i64 * waiter.count.samples;
        count.variance += waiter.count.variance;
    }

    /// Returns each stack once, and the rows, each with the index of its stack. Rows of one stack follow one another.
    fn into_rows(self) -> (Vec<StackTrace>, Vec<CountedRow>) {
        let (mut traces, mut rows) = (Vec::new(), Vec::new());
        for ((frames, is_truncated), by_labels) in self.0 {
            let of_stack = by_labels.into_iter().filter(|(_, counted)| counted.count.value != 0.0);
            rows.extend(of_stack.map(|(labels, counted)| (traces.len(), labels, counted)));
            traces.push(StackTrace::new(frames, is_truncated));
        }
        (traces, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { symbolize: Symbolize::None, has_labels: true, is_each_apart: false };

    fn waiter(address: usize, name: &str, id: u32) -> Waiter {
        Waiter {
            trace: StackTrace::of_return_addresses([address, 0x9000]),
            labels: vec![Label { key: Label::THREAD, value: LabelValue::Text(name.into()) }],
            count: Estimate { value: 1.0, samples: 1, variance: 0.0 },
            id: Some(id.into()),
            alone: None,
            age: None,
        }
    }

    fn part(waiters: &[(usize, &str, u32)]) -> Vec<Part> {
        let waiters = waiters.iter().map(|&(address, name, id)| waiter(address, name, id)).collect();
        vec![Part { waiters, notes: vec!["note".to_owned()], is_known: true, lines: Lines::new() }]
    }

    /// Returns the values of all rows with their labels, in order.
    fn rows(profile: &Profile) -> Vec<(i64, Vec<Label>)> {
        let row = |row: crate::profile::Row<'_>| {
            (row.values[0].rounded(), profile.rows.labels(row.labels).to_vec())
        };
        profile.rows.iter().map(row).collect()
    }

    fn thread(name: &str) -> Label {
        Label { key: Label::THREAD, value: LabelValue::Text(name.into()) }
    }

    #[test]
    fn what_is_alike_is_counted_together() {
        let found = || part(&[(0x1000, "a", 1), (0x1000, "a", 2), (0x1000, "b", 3), (0x2000, "a", 4)]);
        let all = profile(Kind::Goroutine, found(), None, OPTIONS);
        assert_eq!(rows(&all), [(2, vec![thread("a")]), (1, vec![thread("b")]), (1, vec![thread("a")])]);
        assert_eq!((all.totals[0].rounded(), all.notes.len(), all.is_known), (4, 1, true));
        let bare = profile(Kind::Goroutine, found(), None, Options { has_labels: false, ..OPTIONS });
        assert_eq!(rows(&bare), [(3, vec![]), (1, vec![])]);
        let each = profile(Kind::Goroutine, found(), None, Options { is_each_apart: true, ..OPTIONS });
        let first = Label { key: Label::ID, value: LabelValue::Number(1, "") };
        assert_eq!(rows(&each)[0], (1, vec![thread("a"), first]));
        assert_eq!(rows(&each).len(), 4);
    }

    #[test]
    fn a_difference_is_what_came_and_went() {
        let before = part(&[(0x1000, "a", 1), (0x2000, "a", 2), (0x3000, "a", 3)]);
        let now = part(&[(0x1000, "a", 1), (0x1000, "a", 4), (0x2000, "a", 5)]);
        let change = profile(Kind::Goroutine, now, Some((before, Duration::from_secs(1))), OPTIONS);
        assert_eq!(rows(&change), [(1, vec![thread("a")]), (-1, vec![thread("a")])]);
        assert_eq!((change.totals[0].rounded(), change.duration), (0, Some(Duration::from_secs(1))));
    }
}

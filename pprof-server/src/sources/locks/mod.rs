//! Where threads wait for locks, and who makes them wait, as Go counts both.
//!
//! Scrapers ask for all of Go's profiles unless they are told otherwise, and count one that is refused as a failure. So where
//! nothing is measured, each is a valid profile, and its notes say why it is empty.
//!
//! Path: *read path*.

pub(crate) mod current;
pub(crate) mod task_waits;
mod wait_kind;

use self::task_waits::FoundTaskWaits;
use super::plain_text::PlainText;
use crate::labels;
use crate::mappings::Mappings;
use crate::profile::{
    Amount, Estimate, Family, Frames, Label, LabelValue, LabelsId, Marker, Period, Profile, Rows, Stacks,
    Symbolize, Unit, ValueType, add,
};
use alloc_profiler::StackTrace;
use capture::{LockSamples, LockStack, LockSums, LockWord};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

static WAITS: [ValueType; 2] = [
    ValueType { name: "contentions", unit: Unit::Count, family: &CONTENDED },
    ValueType { name: "delay", unit: Unit::Nanoseconds, family: &CONTENDED },
];

static CONTENDED: Family = Family {
    total: "Delay",
    change: "Delay",
    whole: "the delay",
    state: "waited",
    no_change: "no delay",
    events: "contentions",
    samples: "wait_samples",
    comes_and_goes: false,
};

/// A profile that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// This profile tells where threads waited.
    Block,
    /// Who held what others waited for.
    Mutex,
}

impl Counted {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Counted::Mutex => "mutex",
            Counted::Block => "block",
        }
    }

    fn stacks(self, samples: &LockSamples) -> &[LockStack] {
        match self {
            Counted::Mutex => &samples.mutex,
            Counted::Block => &samples.block,
        }
    }

    /// The stacks, and what has no stack.
    pub(crate) fn parts(self, samples: &mut LockSamples) -> (&mut Vec<LockStack>, &mut LockSums) {
        match self {
            Counted::Mutex => (&mut samples.mutex, &mut samples.mutex_overflow),
            Counted::Block => (&mut samples.block, &mut samples.block_overflow),
        }
    }

    fn overflow(self, samples: &LockSamples) -> LockSums {
        match self {
            Counted::Mutex => samples.mutex_overflow,
            Counted::Block => samples.block_overflow,
        }
    }
}

/// How the profile is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) symbolize: Symbolize,
    /// Rows are kept apart by their labels, and have them.
    pub(crate) has_labels: bool,
    /// Threads of runtimes that wait for work are there too.
    pub(crate) has_idle: bool,
}

/// What was measured, and what there was before, if only the change is wanted, with the time in between.
pub(crate) struct Measured {
    pub(crate) now: LockSamples,
    pub(crate) before: Option<(LockSamples, Duration)>,
    /// It holds what tasks have waited in that time. It is empty where nobody has looked.
    pub(crate) tasks: FoundTaskWaits,
}

/// What sets a row apart: its stack, its labels, and what was waited on.
type Key = (StackTrace, u32, LockWord);

/// These are the values of each stack, by its labels.
type RowsOf = BTreeMap<StackTrace, BTreeMap<Vec<Label>, [Estimate; 2]>>;

/// Makes the profile of what was measured.
///
/// Cost: it takes as long as naming the addresses, which tell locks from other wakes even if no names are wanted.
pub(crate) fn waits(counted: Counted, measured: &Measured, options: Options) -> Profile {
    let (mut rows_of, left_out) = shown(counted, measured, options);
    for (trace, labels, values) in &measured.tasks.rows {
        let labels = if options.has_labels { labels.clone() } else { Vec::new() };
        add(rows_of.entry(trace.clone()).or_default().entry(labels).or_default(), values);
    }
    let mut rows = Rows::new(WAITS.len(), rows_of.len());
    let (mut totals, mut traces) = ([Estimate::default(); 2], Vec::with_capacity(rows_of.len()));
    for (stack, (trace, by_labels)) in rows_of.into_iter().enumerate() {
        for (labels, values) in by_labels {
            let labels = rows.labels_id(labels);
            rows.push(stack, labels, &values, []);
            add(&mut totals, &values);
        }
        traces.push(trace);
    }
    let overflow = overflow(counted, measured);
    if overflow.samples > 0 {
        let values = estimates(&overflow);
        rows.push(traces.len(), LabelsId::default(), &values, []);
        add(&mut totals, &values);
    }
    let notes = notes(counted, measured, totals, left_out, options);
    Profile {
        name: counted.name(),
        types: &WAITS,
        shown_type: 1,
        default_type: None,
        period: Period { name: "contentions", unit: Unit::Count, value: 1, field: "period" },
        time: SystemTime::now(),
        duration: measured.before.as_ref().map(|(_, time)| *time),
        frames: Frames::Waits,
        own_bytes: 0,
        legacy: PlainText::of,
        rows,
        is_known: measured.now.was_on || !measured.tasks.rows.is_empty(),
        totals: totals.to_vec(),
        notes,
        stacks: Stacks::with_known(
            traces.iter(),
            &[Marker::OVERFLOW],
            Mappings::of_process(),
            options.symbolize,
            &measured.tasks.lines,
        ),
    }
}

/// Adds up what is shown by stacks and labels, and what is left out.
fn shown(counted: Counted, measured: &Measured, options: Options) -> (RowsOf, LockSums) {
    let found = changes(counted, measured);
    let named =
        Stacks::of(found.iter().map(|((trace, ..), _)| trace), &[], Mappings::of_process(), Symbolize::Full);
    let is_shown = |stack: usize, word: LockWord| match counted {
        Counted::Block => options.has_idle || !wait_kind::is_idle(&named, stack),
        Counted::Mutex => wait_kind::is_unlock(&named, stack, word),
    };
    let mut left_out = LockSums::default();
    let mut rows_of = RowsOf::new();
    for (stack, ((trace, label, word), sums)) in found.iter().enumerate() {
        if !is_shown(stack, *word) {
            left_out.contentions += sums.contentions;
            left_out.nanoseconds += sums.nanoseconds;
            continue;
        }
        let is_idle = counted == Counted::Block && options.has_idle && wait_kind::is_idle(&named, stack);
        let labels = if options.has_labels { labels_of(counted, *label, *word, is_idle) } else { Vec::new() };
        add(rows_of.entry(trace.clone()).or_default().entry(labels).or_default(), &estimates(sums));
    }
    (rows_of, left_out)
}

/// Returns what each stack has more than before. Sums never fall, so the difference of two is that of what came in between.
fn changes(counted: Counted, measured: &Measured) -> Vec<(Key, LockSums)> {
    let key = |stack: &LockStack| {
        (StackTrace::new(stack.frames.clone(), stack.is_truncated), stack.label, stack.word)
    };
    let mut found = BTreeMap::<Key, LockSums>::new();
    for stack in counted.stacks(&measured.now) {
        let sums = found.entry(key(stack)).or_default();
        *sums = sums.plus(&stack.sums);
    }
    for stack in measured.before.iter().flat_map(|(before, _)| counted.stacks(before)) {
        let sums = found.entry(key(stack)).or_default();
        *sums = sums.since(&stack.sums);
    }
    found.into_iter().filter(|(_, sums)| sums.samples > 0).collect()
}

fn overflow(counted: Counted, measured: &Measured) -> LockSums {
    let now = counted.overflow(&measured.now);
    measured.before.as_ref().map_or(now, |(before, _)| now.since(&counted.overflow(before)))
}

fn estimates(sums: &LockSums) -> [Estimate; 2] {
    let samples = i64::try_from(sums.samples).unwrap_or(i64::MAX);
    let of = |value: f64, variance: f64| Estimate { value, samples, variance };
    [of(sums.contentions, sums.contentions_variance), of(sums.nanoseconds, sums.nanoseconds_variance)]
}

fn labels_of(counted: Counted, label: u32, word: LockWord, is_idle: bool) -> Vec<Label> {
    let yes = |key| Label { key, value: LabelValue::Text("1".into()) };
    // A thread of `parking_lot` waits at a word of its own, so the last holder is charged with what earlier ones held.
    let is_approximate = counted == Counted::Mutex && word == LockWord::One;
    let approximate = is_approximate.then(|| yes("approximate"));
    approximate.into_iter().chain(is_idle.then(|| yes("idle"))).chain(labels::of_number(label)).collect()
}

/// Says why no wait was measured, if none was.
fn why_not_measured(name: &str, measured: &Measured) -> Option<String> {
    if !capture::sees_locks() {
        return Some(format!(
            "{name}: waits for locks are not measured, whatever the program waits for: write install!(locks = true), or \
             pprof_server::define_syscall!(); in the program's own crate; if that is there, another definition of `syscall` comes \
             before it, or the platform is not Linux on x86-64 with glibc 2.35 or later"
        ));
    }
    let remedy = format!(
        "{name}: waits for locks are not measured yet: ask for {name}?seconds=10, or set PPROF_BLOCK_RATE=1ms in the environment to \
         measure them all the time"
    );
    (!measured.now.was_on).then_some(remedy)
}

/// What there is to say of the profile, a line each.
fn notes(
    counted: Counted,
    measured: &Measured,
    totals: [Estimate; 2],
    left_out: LockSums,
    options: Options,
) -> Vec<String> {
    let name = counted.name();
    if let Some(why) = why_not_measured(name, measured) {
        return [&[why][..], &measured.tasks.notes].concat();
    }
    let time = |nanoseconds: f64| Amount(nanoseconds, Unit::Nanoseconds).to_string();
    let mut notes = vec![format!(
        "{name}: {} in {:.0} contentions, from {} samples, one for each {} of waiting; longer waits are all there",
        time(totals[1].value),
        totals[0].value,
        totals[1].samples,
        rates(&measured.now)
    )];
    if left_out.nanoseconds > 0.0 {
        let why = match counted {
            Counted::Block => "threads of runtimes that waited for work are left out: ask with idle=1",
            Counted::Mutex => {
                "wakes that are no unlocks, as of channels and condition variables, are left out: block has these waits"
            }
        };
        notes.push(format!(
            "{} in {:.0} contentions of {why}",
            time(left_out.nanoseconds),
            left_out.contentions
        ));
    }
    if counted == Counted::Mutex && options.has_labels {
        notes.push(
            "approximate=1: of a lock of parking_lot, the last holder is charged with all that a thread has waited, also for \
             earlier holders; block is right"
                .to_owned(),
        );
    }
    if measured.now.untracked > 0 {
        notes.push(format!(
            "{} waits since the start are charged to nobody in mutex, because too many words were waited on at once; block has them",
            measured.now.untracked
        ));
    }
    if overflow(counted, measured).samples > 0 {
        notes.push(
            "what stands under [profiler overflow] has no stack, because there were more than 4096 different ones".to_owned(),
        );
    }
    notes.extend(measured.tasks.notes.iter().cloned());
    notes.extend(labels::notes());
    notes
}

/// Tells for how long a thread waits for each sample, as a part of a sentence, such as `1.00 ms`.
fn rates(samples: &LockSamples) -> String {
    let time = |time: Duration| Amount(time.as_nanos() as f64, Unit::Nanoseconds).to_string();
    match samples.rates {
        Some((lowest, highest)) if lowest < highest => {
            format!("{} to {} (the rate was changed)", time(lowest), time(highest))
        }
        Some((rate, _)) => time(rate),
        None => time(capture::USUAL_BLOCK_RATE),
    }
}

#[cfg(test)]
mod tests;

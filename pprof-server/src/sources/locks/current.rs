//! Where threads wait at this moment, and which of them wait for one another, so that none of them can ever go on.
//!
//! Path: *read path*.

use super::{Options, WAITS, wait_kind};
use crate::labels;
use crate::mappings::Mappings;
use crate::profile::{
    Amount, Estimate, Frames, Label, LabelValue, Period, Profile, Rows, Stacks, Symbolize, Unit, add,
};
use crate::sources::plain_text::PlainText;
use alloc_profiler::StackTrace;
use capture::{CurrentWait, CurrentWaits, Deadlock};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How long waits are watched.
const SHORT_WATCH: Duration = Duration::from_millis(100);
/// How long they are, where threads seem to wait for one another: in a busy program, that goes by.
const LONG_WATCH: Duration = Duration::from_secs(1);
/// Threads that a sentence names.
const MAX_NAMED: usize = 10;

/// Threads that wait, and which of them have gone on waiting for some time.
pub(crate) struct Waiting {
    all: CurrentWaits,
    lasting: CurrentWaits,
    watched: Duration,
}

impl Waiting {
    /// How long threads are to be watched that wait like this.
    pub(crate) fn watch(waits: &CurrentWaits) -> Duration {
        if waits.deadlocks(|_| true).is_empty() { SHORT_WATCH } else { LONG_WATCH }
    }

    /// Looks which of those who waited have done so until now, so long after the look.
    pub(crate) fn after(all: CurrentWaits, watched: Duration) -> Waiting {
        let mut lasting = all.clone();
        lasting.keep_lasting();
        Waiting { all, lasting, watched }
    }

    /// How long a thread has waited: as it was measured, or at least as long as it was watched.
    fn waited(&self, wait: &CurrentWait, has_lasted: bool) -> Duration {
        wait.waited.unwrap_or(if has_lasted { self.watched } else { Duration::ZERO })
    }
}

/// Makes the profile of those who wait.
///
/// Cost: it takes as long as naming the addresses, which tell locks from other waits even if no names are wanted.
pub(crate) fn profile(waiting: &Waiting, options: Options) -> Profile {
    let traces: Vec<StackTrace> = waiting.all.waits.iter().map(trace).collect();
    let named = Stacks::of(traces.iter(), &[], Mappings::of_process(), Symbolize::Full);
    let index = |thread: u32| waiting.all.waits.iter().position(|wait| wait.thread.id == thread);
    let is_lock =
        |wait: &CurrentWait| index(wait.thread.id).is_some_and(|stack| wait_kind::is_lock(&named, stack));
    let deadlocks = waiting.lasting.deadlocks(is_lock);
    let lasting: HashSet<u32> = waiting.lasting.waits.iter().map(|wait| wait.thread.id).collect();
    let mut rows_of = BTreeMap::<StackTrace, BTreeMap<Vec<Label>, [Estimate; 2]>>::new();
    let (mut idle, mut not_measured) = (0, 0);
    for (stack, wait) in waiting.all.waits.iter().enumerate() {
        let is_idle = wait_kind::is_idle(&named, stack);
        if is_idle && !options.has_idle {
            idle += 1;
            continue;
        }
        not_measured += usize::from(wait.waited.is_none());
        let waited = waiting.waited(wait, lasting.contains(&wait.thread.id));
        let labels = if options.has_labels { labels_of(wait, is_idle, &deadlocks) } else { Vec::new() };
        let of = |value: f64| Estimate { value, samples: 1, variance: 0.0 };
        let values = [of(1.0), of(waited.as_nanos() as f64)];
        add(rows_of.entry(traces[stack].clone()).or_default().entry(labels).or_default(), &values);
    }
    drop(named);
    let mut rows = Rows::new(WAITS.len(), rows_of.len());
    let (mut totals, mut shown) = ([Estimate::default(); 2], Vec::with_capacity(rows_of.len()));
    for (stack, (trace, by_labels)) in rows_of.into_iter().enumerate() {
        for (labels, values) in by_labels {
            let labels = rows.labels_id(labels);
            rows.push(stack, labels, &values, []);
            add(&mut totals, &values);
        }
        shown.push(trace);
    }
    let notes = notes(waiting, &deadlocks, totals, [idle, not_measured]);
    Profile {
        name: "block",
        types: &WAITS,
        shown_type: 1,
        default_type: None,
        period: Period { name: "contentions", unit: Unit::Count, value: 1, field: "period" },
        time: waiting.all.taken_at,
        duration: None,
        frames: Frames::Waits,
        own_bytes: 0,
        legacy: PlainText::of,
        rows,
        is_known: true,
        totals: totals.to_vec(),
        notes,
        stacks: Stacks::of(shown.iter(), &[], Mappings::of_process(), options.symbolize),
    }
}

fn trace(wait: &CurrentWait) -> StackTrace {
    StackTrace::new(wait.thread.frames.clone(), wait.thread.is_truncated)
}

fn labels_of(wait: &CurrentWait, is_idle: bool, deadlocks: &[Deadlock]) -> Vec<Label> {
    let text = |key, value: &str| Label { key, value: LabelValue::Text(value.into()) };
    let name = Some(&*wait.thread.name).filter(|name| !name.is_empty()).map(|name| text(Label::THREAD, name));
    let number = (1..).zip(deadlocks).find(|(_, deadlock)| deadlock.threads.contains(&wait.thread.id));
    let deadlock = number.map(|(number, _)| text("deadlock", &number.to_string()));
    let idle = is_idle.then(|| text("idle", "1"));
    name.into_iter().chain(deadlock).chain(idle).chain(labels::of_number(wait.thread.label)).collect()
}

/// What there is to say of those who wait, a line each.
fn notes(
    waiting: &Waiting,
    deadlocks: &[Deadlock],
    totals: [Estimate; 2],
    [idle, not_measured]: [usize; 2],
) -> Vec<String> {
    let time = |nanoseconds: f64| Amount(nanoseconds, Unit::Nanoseconds).to_string();
    let mut notes: Vec<String> = deadlocks.iter().map(|deadlock| said(&waiting.lasting, deadlock)).collect();
    notes.push(format!(
        "block: {:.0} of {} threads wait at this moment for other threads, for {} together so far",
        totals[0].value,
        waiting.all.threads,
        time(totals[1].value)
    ));
    if not_measured > 0 {
        notes.push(format!(
            "{not_measured} of them began to wait before waits were measured: they count for as long as they were watched, {} at most; \
             PPROF_BLOCK_RATE=1ms in the environment measures them all the time",
            time(waiting.watched.as_nanos() as f64)
        ));
    }
    if idle > 0 {
        notes.push(format!("{idle} threads of runtimes that wait for work are left out: ask with idle=1"));
    }
    if deadlocks.is_empty() {
        notes.push(
            "no deadlock is seen: no circle of threads that wait for locks of the standard library which only they can have".to_owned(),
        );
    }
    notes.extend(labels::notes());
    notes
}

/// Says of a deadlock who waits for whom.
fn said(waits: &CurrentWaits, deadlock: &Deadlock) -> String {
    let by_id = |id: u32| waits.waits.iter().find(|wait| wait.thread.id == id);
    let name = |id: u32| match by_id(id).map(|wait| &*wait.thread.name) {
        Some(name) if !name.is_empty() => format!("{name:?} (thread {id})"),
        _ => format!("thread {id}"),
    };
    let waits_for = |id: u32| {
        let wait = by_id(id)?;
        Some(match wait.joins {
            Some(other) => format!("{} waits for the end of {}", name(id), name(other)),
            None => {
                let who = waits.pointed_to_by.get(&wait.address)?.iter().map(|&other| name(other));
                format!("{} waits for a lock that {} has", name(id), who.collect::<Vec<_>>().join(" or "))
            }
        })
    };
    let circle: Vec<String> = deadlock.threads.iter().filter_map(|&id| waits_for(id)).collect();
    let mut text = format!("deadlock: {}. None of them can go on", circle.join(", "));
    if !deadlock.others.is_empty() {
        let named: Vec<String> = deadlock.others.iter().take(MAX_NAMED).map(|&id| name(id)).collect();
        let more = if deadlock.others.len() > MAX_NAMED { " and more" } else { "" };
        text += &format!(", nor can those who wait for them: {}{more}", named.join(", "));
    }
    text
}

//! The stacks that may leak, the surest first, from the recorded past and the ages of what is in use.
//!
//! ```text
//! History + snapshot with ages ─▶ series of each stack ─▶ method (judge) ─▶ report ─▶ text, JSON, pprof
//! ```
//!
//! `http::handler` calls this for `/debug/pprof/leaks`.
//!
//! Path: *read path*. Cost: that of a profile, and some 0.1 µs for each stack and record.

mod method;
mod named_stacks;
#[doc(hidden)]
pub mod phases;
mod report;
#[cfg(test)]
mod scenarios;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use alloc_profiler::{Snapshot, Totals};
use method::{Growth, Kind, MIN_RECORDS, Series, judge};
pub(crate) use named_stacks::NamedStacks;

use crate::history::{History, OVERFLOW, Record, StackSums, sums};
use crate::profile::{Ages, Cohort, Frame, Time};
use crate::sources::heap::cohort;
use crate::writers::MAX_ROWS;

/// Records looked at: more of them say little more.
const MAX_RECORDS: usize = 30;
/// Changes of the interval told one by one.
const MAX_CHANGES_TOLD: usize = 3;
/// Periods looked at: as far as every record is kept.
const MAX_PERIODS: u32 = 60;

/// What is suspected.
#[derive(Debug)]
pub(crate) struct Report {
    time: SystemTime,
    /// The time from the first record that is looked at to now.
    window: Duration,
    /// How many moments are looked at. The present one is included.
    records: usize,
    suspects: Vec<Suspect>,
    /// What the reader has to know.
    notes: Vec<String>,
}

/// A stack that grew. It stands for all stacks that differ from it only in plumbing.
#[derive(Debug)]
struct Suspect {
    growth: Growth,
    /// What is in use now.
    totals: Totals,
    ages: Option<Ages>,
    /// Bytes in use at each record.
    bytes: Vec<f64>,
    /// Frames are kept of the first [`MAX_ROWS`] suspects, and none of the others.
    frames: Vec<Frame>,
    stack_ids: Vec<u32>,
}

/// The stacks of `now`, which must have ages and is what `names` names, that grew in the last hour (or 60 periods).
pub(crate) fn report(names: &NamedStacks, history: &History, now: &Snapshot, at: Instant) -> Report {
    alloc_profiler::unsampled(|| {
        let groups = Groups { of_stack: names.groups(now) };
        let members = groups.members();
        let (times, series) = series(history, now, at, &groups);
        let mut suspects: Vec<(usize, Growth)> =
            series.iter().filter_map(|(group, series)| Some((*group, judge(series)?))).collect();
        suspects.sort_by(|(a_group, a), (b_group, b)| {
            b.kind.cmp(&a.kind).then(b.z.total_cmp(&a.z)).then(a_group.cmp(b_group))
        });
        let suspects = suspects.into_iter().enumerate().map(|(rank, (group, growth))| {
            let members = &members[&group];
            let sizes = || members.iter().flat_map(|&index| &now.stacks[index].by_size);
            let mut totals = Totals::default();
            sizes().for_each(|size| totals += size.totals);
            let ages: Vec<Cohort> = sizes().flat_map(|size| &size.ages).map(cohort).collect();
            Suspect {
                growth,
                totals,
                ages: Ages::of(&[&ages[..]]),
                bytes: series[&group].bytes.clone(),
                // Nobody can ask for more rows, and the names of ten thousand stacks are a hundred megabytes.
                frames: if rank < MAX_ROWS { names.frames(members[0]) } else { Vec::new() },
                stack_ids: members.iter().map(|&index| now.stacks[index].id).collect(),
            }
        });
        let suspects: Vec<Suspect> = suspects.collect();
        Report {
            time: now.taken_at,
            window: Duration::try_from_secs_f64(-times.first().copied().unwrap_or(0.0)).unwrap_or_default(),
            records: times.len(),
            notes: notes(history, now, at, times.len(), &suspects)
                .into_iter()
                .chain(names.losses(now))
                .collect(),
            suspects,
        }
    })
}

fn notes(
    history: &History,
    now: &Snapshot,
    at: Instant,
    records: usize,
    suspects: &[Suspect],
) -> Vec<String> {
    let mut notes = interval_changes(history, now, at);
    match history.period() {
        None => notes.push(
            "the recorder is off, so nothing is known of the past; PPROF_RECORD=60s in the environment turns it on"
                .to_owned(),
        ),
        Some(period) if records < MIN_RECORDS => notes.push(format!(
            "too early to tell: {records} of {MIN_RECORDS} snapshots are there, one is taken every {}",
            humantime::format_duration(period)
        )),
        Some(_) => {}
    }
    notes.extend(history.crowded_out());
    if suspects.iter().any(|suspect| suspect.growth.kind == Kind::Leak) {
        notes.push(
            "what fills steadily looks like a leak until it is full: look again when the history is longer"
                .to_owned(),
        );
    }
    notes
}

/// Returns a sentence for each change of the sampling interval in the window, the latest first. If there are more than
/// a few, the earlier ones are left out.
fn interval_changes(history: &History, now: &Snapshot, at: Instant) -> Vec<String> {
    let mut intervals: Vec<(Duration, u64)> =
        window(history, at).map(|record| (record.age(at), record.summary.sampling_interval)).collect();
    intervals.push((Duration::ZERO, now.sampling_interval));
    let changes = intervals.windows(2).rev().filter(|pair| pair[0].1 != pair[1].1);
    let sentence = |pair: &[(Duration, u64)]| {
        let [(before, from), (after, to)] = [pair[0], pair[1]];
        format!(
            "the sampling interval changed from {from} to {to} bytes, between {} and {} ago: errors are those of the \
             samples, whatever interval each was taken at",
            Time(before),
            Time(after)
        )
    };
    let mut notes: Vec<String> = changes.clone().take(MAX_CHANGES_TOLD).map(sentence).collect();
    let untold = changes.count().saturating_sub(MAX_CHANGES_TOLD);
    if untold > 0 {
        notes.push(format!("the sampling interval changed {untold} times more before"));
    }
    notes
}

/// Returns the records of the window: those that are looked at, and those between them that are passed over.
fn window(history: &History, at: Instant) -> impl Iterator<Item = &Record> {
    let period = history.period().unwrap_or_default();
    let longest = period * MAX_PERIODS + period / 2;
    history.records().filter(move |record| record.age(at) <= longest)
}

/// Which stacks of the snapshot are one.
struct Groups {
    /// By index into the snapshot's stacks: the index of the first that is the same.
    of_stack: Vec<usize>,
}

impl Groups {
    /// Maps each group to the indices of its stacks.
    fn members(&self) -> HashMap<usize, Vec<usize>> {
        let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, &group) in self.of_stack.iter().enumerate() {
            members.entry(group).or_default().push(index);
        }
        members
    }
}

/// The times looked at, in seconds, now being 0, and the series of each group that may have grown.
fn series(
    history: &History,
    now: &Snapshot,
    at: Instant,
    groups: &Groups,
) -> (Vec<f64>, HashMap<usize, Series>) {
    let records: Vec<_> = window(history, at).collect();
    let step = records.len().div_ceil(MAX_RECORDS).max(1);
    // Every `step`th, counted from the first, so that the window is as long as it can be.
    let records: Vec<_> = records.into_iter().step_by(step).collect();
    let mut times: Vec<f64> = records.iter().map(|record| -record.age(at).as_secs_f64()).collect();
    times.push(0.0);
    let mut numbers: Vec<u32> = records.iter().map(|record| record.number).collect();
    numbers.push(now.number);

    let group_of_id: HashMap<u32, usize> =
        now.stacks.iter().zip(&groups.of_stack).map(|(stack, &group)| (stack.id, group)).collect();
    let empty = || Series {
        bytes: vec![0.0; times.len()],
        objects: vec![0.0; times.len()],
        variances: vec![0.0; times.len()],
        births: vec![Vec::new(); times.len()],
        live: Vec::new(),
        times: times.clone(),
        numbers: numbers.clone(),
    };
    let mut by_group: HashMap<usize, Series> = HashMap::new();
    // What is not in use now has not grown.
    for (stack, &group) in now.stacks.iter().zip(&groups.of_stack) {
        let ages = stack.by_size.iter().flat_map(|size| &size.ages);
        let live = ages.map(|age| method::Cohort {
            born: -age.age.as_secs_f64(),
            bytes: age.bytes,
            objects: age.objects,
        });
        let mut live = live.peekable();
        if live.peek().is_some() {
            by_group.entry(group).or_insert_with(empty).live.extend(live);
        }
    }
    let mut add = |index: usize, StackSums { id, totals, births }: StackSums| {
        let group = group_of_id.get(&id).filter(|_| id != OVERFLOW);
        if let Some(series) = group.and_then(|group| by_group.get_mut(group)) {
            series.bytes[index] += totals.inuse_bytes;
            series.objects[index] += totals.inuse_objects;
            series.variances[index] += totals.inuse_bytes_variance;
            series.births[index].extend(births);
        }
    };
    for (index, record) in records.iter().enumerate() {
        record.sums().into_iter().for_each(|sums| add(index, sums));
    }
    sums(now).into_iter().for_each(|sums| add(records.len(), sums));
    (times, by_group)
}

impl Report {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.suspects.len()
    }

    /// Returns `now` with the stacks of the suspects alone.
    pub(crate) fn snapshot(&self, now: &Snapshot) -> Snapshot {
        let ids: HashSet<u32> =
            self.suspects.iter().flat_map(|suspect| suspect.stack_ids.iter().copied()).collect();
        let stacks = now.stacks.iter().filter(|stack| ids.contains(&stack.id)).cloned().collect();
        Snapshot { stacks, overflow: Vec::new(), ..now.clone() }
    }
}

//! The groups that may leak, the surest first, from the recorded past and the ages of what is in use.
//!
//! ```text
//! History + snapshot with ages ─▶ series of each group ─▶ windows ─▶ method ─▶ report ─▶ text, JSON, pprof
//! ```
//!
//! A group is what a person takes for one: stacks that differ only in libraries are one. `http::handler` calls this for
//! `/debug/pprof/leaks`, and `dump` before memory is full.
//!
//! Path: *read path*. Cost: that of a profile, and some 0.1 µs for each stack and moment, of which there are at most 90.

mod json;
mod kind;
mod method;
mod named_stacks;
mod notes;
#[doc(hidden)]
pub mod phases;
#[cfg(test)]
mod scenarios;
mod series;
mod tasks;
#[cfg(test)]
mod testing;
mod text;
mod windows;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime};

use alloc_profiler::internal::literal;
use alloc_profiler::{Snapshot, Totals};
use kind::Kind;
use method::{Growth, MIN_MOMENTS};
use named_stacks::Groups;
pub(crate) use named_stacks::NamedStacks;
pub(in crate::sources) use named_stacks::named_frame;
use series::{Moments, Series};
pub(crate) use tasks::Wait;
use tasks::{Growths, Tasks};
use windows::MIN_SPAN;

use crate::history::History;
use crate::process::Memory;
use crate::profile::{Ages, Cohort, Frame};
use crate::sources::heap::{self, cohort};

/// The time that is looked at unless another one is asked for: what began earlier than that is seldom news.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// So many of a group's stacks are shown, the heaviest first.
const STACKS_SHOWN: usize = 5;
/// The names in all stacks that are shown beside the first of each group take at most so many bytes.
const MAX_TEXT_BYTES: usize = 16 << 20;
/// While it is too early for a verdict, what grew is listed from so many times what chance would make of it.
const EARLY_Z_MIN: f64 = 1.0;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The time to look at, if it is this one alone, instead of an hour and all shorter ones.
    pub(crate) window: Option<Duration>,
    /// Of so many suspects there are frames.
    pub(crate) rows: usize,
}

/// What is suspected.
#[derive(Debug)]
pub(crate) struct Report {
    time: SystemTime,
    /// How long before `time` each moment was that is looked at, in seconds, the oldest first; the last one is 0.
    ages: Vec<f64>,
    /// The time until there is a verdict, if it is too early for one. What grew is listed nevertheless.
    too_early: Option<Duration>,
    suspects: Vec<Suspect>,
    /// How many more tasks there are than at each moment, if anything grows.
    task_growths: Growths,
    /// False if nothing could be sampled, so that nobody knows what grows.
    is_known: bool,
    /// What the reader has to know.
    notes: Vec<String>,
}

/// A group that grew.
#[derive(Debug)]
struct Suspect {
    growth: Growth,
    /// The time until it fills what memory is left, if it goes on like this.
    full_in: Option<Duration>,
    /// What is in use now.
    totals: Totals,
    ages: Option<Ages>,
    /// How many bytes were in use at each moment.
    bytes: Vec<f64>,
    /// The heaviest stacks, as far as they are shown.
    stacks: Vec<SuspectStack>,
    /// How many stacks it has that differ in functions or lines.
    stack_count: usize,
    /// The numbers that its stacks have in the snapshot.
    stack_ids: Vec<u32>,
    /// Its tasks, if they were looked at and it has any.
    tasks: Option<Tasks>,
    /// What holds its blocks, in words, if somebody asked for that and it is known.
    held_by: Option<String>,
}

/// One of the stacks of a suspect: one or several that are shown the same.
#[derive(Debug)]
struct SuspectStack {
    /// What is in use of it now, in bytes.
    inuse_bytes: f64,
    /// Holds the frames. The leaf is the first, and there is always one.
    frames: Vec<Frame>,
}

/// Reports the groups of `now`, which must have ages and is what `names` names, that grew. `memory` is that of now.
pub(crate) fn report(
    names: &NamedStacks,
    history: &History,
    now: &Snapshot,
    memory: Memory,
    wanted: Wanted,
) -> Report {
    alloc_profiler::unsampled(|| {
        let at = now.taken_at_monotonic;
        let groups = names.groups(now);
        let records = series::looked_at(history, at, wanted.window.unwrap_or(LONGEST_WINDOW));
        let moments = Moments::of(&records, now, at);
        let series = series::series(&moments, &records, now, |stack| Some(groups.of_stack[stack]));
        let windows = windows::windows(&moments, wanted.window.is_some());
        let too_early = windows.is_empty().then(|| first_verdict_in(&moments, history));
        let mut grown: Vec<(usize, Growth, &Series<'_>)> = series
            .iter()
            .filter_map(|(&group, series)| Some((group, verdict(series, &windows)?, series)))
            .collect();
        grown.sort_by(|(a_group, a, _), (b_group, b, _)| {
            b.kind.cmp(&a.kind).then(b.z.total_cmp(&a.z)).then(a_group.cmp(b_group))
        });
        let members = Members::of(now, &groups);
        let mut room = MAX_TEXT_BYTES;
        let suspects = grown.iter().enumerate().map(|(rank, &(group, growth, series))| {
            let shown = if rank < wanted.rows { STACKS_SHOWN } else { 0 };
            let mut suspect = members.suspect(group, growth, series, memory);
            suspect.stacks = members.stacks(names, group, shown, &mut room);
            suspect
        });
        let suspects: Vec<Suspect> = suspects.collect();
        let task_growths = match suspects.is_empty() || wanted.rows == 0 {
            true => Growths::default(),
            false => Growths::of(names, &moments, &records, now),
        };
        let notes = notes::notes(history, now, &records, wanted);
        Report {
            time: now.taken_at,
            ages: moments.times.iter().map(|time| -time).collect(),
            too_early,
            notes: notes.into_iter().chain(names.losses(now)).collect(),
            suspects,
            task_growths,
            is_known: heap::is_known(now, alloc_profiler::is_installed()),
        }
    })
}

/// Returns what is to be said of a group. While it is too early, that is how much more is in use than at the first moment.
fn verdict(series: &Series<'_>, windows: &[usize]) -> Option<Growth> {
    if !windows.is_empty() {
        return windows::verdict(series, windows);
    }
    let z = series.z(0, series.moments.len() - 1);
    (z >= EARLY_Z_MIN).then(|| series.growth(Kind::Growing, z, 0, 0))
}

/// Returns the time until there are enough moments for a verdict, by the pace of the recorder.
fn first_verdict_in(moments: &Moments, history: &History) -> Duration {
    let missing = MIN_MOMENTS.saturating_sub(moments.len()) as u32;
    let of_moments = history.pause().unwrap_or_default() * missing;
    of_moments.max(Duration::from_secs_f64((MIN_SPAN - moments.span()).max(1.0)))
}

/// Which stacks each group has.
struct Members<'a> {
    now: &'a Snapshot,
    groups: &'a Groups,
    /// For each group, where its stacks are in the snapshot.
    of_group: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Members<'a> {
    fn of(now: &'a Snapshot, groups: &'a Groups) -> Members<'a> {
        let mut of_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, &group) in groups.of_stack.iter().enumerate() {
            of_group.entry(group).or_default().push(index);
        }
        Members { now, groups, of_group }
    }

    /// A suspect whose stacks are not told yet.
    fn suspect(&self, group: usize, growth: Growth, series: &Series<'_>, memory: Memory) -> Suspect {
        let indices = &self.of_group[&group];
        let sizes = || indices.iter().flat_map(|&index| &self.now.stacks[index].by_size);
        let mut totals = Totals::default();
        sizes().for_each(|size| totals += size.totals);
        let ages: Vec<Cohort> = sizes().flat_map(|size| &size.ages).map(cohort).collect();
        let shown: HashSet<usize> = indices.iter().map(|&index| self.groups.shown_as[index]).collect();
        Suspect {
            growth,
            full_in: full_in(&growth, series.rate(&growth), memory),
            totals,
            ages: Ages::of(&[&ages[..]]),
            bytes: series.bytes.clone(),
            stacks: Vec::new(),
            stack_count: shown.len(),
            stack_ids: indices.iter().map(|&index| self.now.stacks[index].id).collect(),
            tasks: None,
            held_by: None,
        }
    }

    /// Returns the heaviest stacks of a group. Beside the first one, there are as many as have `room` for their names.
    fn stacks(&self, names: &NamedStacks, group: usize, most: usize, room: &mut usize) -> Vec<SuspectStack> {
        if most == 0 {
            return Vec::new();
        }
        let mut bytes: BTreeMap<usize, f64> = BTreeMap::new();
        for &index in &self.of_group[&group] {
            let sizes = self.now.stacks[index].by_size.iter();
            *bytes.entry(self.groups.shown_as[index]).or_default() +=
                sizes.map(|size| size.totals.inuse_bytes).sum::<f64>();
        }
        let mut heaviest: Vec<(usize, f64)> = bytes.into_iter().collect();
        heaviest.sort_by(|(a_index, a), (b_index, b)| b.total_cmp(a).then(a_index.cmp(b_index)));
        heaviest.truncate(most);
        let frames = names.frames(heaviest.iter().map(|&(index, _)| index));
        let stacks = heaviest.iter().zip(frames);
        let stacks = stacks.map(|(&(_, inuse_bytes), frames)| SuspectStack { inuse_bytes, frames });
        let has_room = |(rank, stack): &(usize, SuspectStack)| {
            let text: usize = stack.frames.iter().map(|frame| frame.function.len() + frame.file.len()).sum();
            let left = room.checked_sub(text);
            *room = left.unwrap_or(0);
            *rank == 0 || left.is_some()
        };
        stacks.enumerate().take_while(has_room).map(|(_, stack)| stack).collect()
    }
}

/// Returns the time until what grows at `rate` bytes a second fills what the limit leaves; `None` if there is no limit, if it has
/// stopped, or if the growth may be chance.
fn full_in(growth: &Growth, rate: f64, memory: Memory) -> Option<Duration> {
    let left_bytes = memory.group.limit_bytes?.saturating_sub(memory.resident_bytes?);
    let is_sure = growth.kind != Kind::Burst && growth.z >= method::Z_MIN && rate > 0.0;
    is_sure.then(|| Duration::try_from_secs_f64(left_bytes as f64 / rate).ok())?
}

impl Suspect {
    /// Returns whether it grew before the first moment too, perhaps.
    fn is_older(&self) -> bool {
        self.growth.since == 0 && self.bytes[0] > 0.0
    }
}

impl Report {
    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.suspects.len()
    }

    /// Returns the time from the first moment that is looked at to now.
    fn window(&self) -> Duration {
        Duration::try_from_secs_f64(self.ages[0]).unwrap_or_default()
    }

    /// Returns the time of the moment with this index.
    fn moment(&self, index: usize) -> SystemTime {
        let age = Duration::try_from_secs_f64(self.ages[index]).unwrap_or_default();
        self.time.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns how long it took to grow.
    fn growth_time(&self, growth: &Growth) -> Duration {
        let seconds = self.ages[growth.since] - self.ages[growth.until];
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// Notes what holds the blocks of each suspect, as `sentence` says for the frame that names it.
    pub(crate) fn note_holders(&mut self, sentence: impl Fn(&Frame) -> Option<String>) {
        for suspect in &mut self.suspects {
            let frames = suspect.stacks.first().map_or(&[][..], |stack| &stack.frames);
            suspect.held_by = frames.get(named_frame(frames)).and_then(&sentence);
        }
    }

    /// Adds a sentence to the notes.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Returns `now` with the stacks of the suspects alone.
    pub(crate) fn snapshot(&self, now: &Snapshot) -> Snapshot {
        let ids: HashSet<u32> =
            self.suspects.iter().flat_map(|suspect| suspect.stack_ids.iter().copied()).collect();
        let stacks = now.stacks.iter().filter(|stack| ids.contains(&stack.id)).cloned().collect();
        literal!(Snapshot { stacks, overflow: Vec::new(), ..now.clone() })
    }
}

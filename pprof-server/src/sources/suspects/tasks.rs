//! The tasks that belong to a suspect: how their number grew, and where they wait.
//!
//! A task is one block of memory, and the recorder knows how many blocks of each stack were in use. So the number of tasks at a
//! recorded moment is known although no task was looked at then. Where tasks wait is looked up when somebody asks, by a caller
//! that holds no lock of the history.
//!
//! Path: *read path*. Cost: some 0.1 µs for each stack that spawns and each moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use alloc_profiler::Snapshot;

use super::named_stacks::{NamedStacks, named_frame};
use super::series::{self, Moments};
use super::{Report, Suspect};
use crate::history::Record;
use crate::profile::{Ages, ENDED, Frame};
use crate::symbols::Origin;

/// So many places where the tasks of one suspect wait are told, those with the most tasks first.
const WAITS_SHOWN: usize = 5;
/// What compilers write behind the name of an `async fn` for the function that polls its future.
const POLLED: [&str; 3] = ["::{{closure}}", "::{closure#0}", "::{async_fn#0}"];

/// Tasks that wait at one place and were spawned by one function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    /// The function that spawned them; empty if it is not known.
    pub(crate) spawned_by: String,
    /// The functions that wait for one another, the innermost first; empty if they are not known.
    pub(crate) frames: Vec<Frame>,
    /// How many tasks there are, as estimated from the samples.
    pub(crate) count: f64,
    /// It is one standard error of `count`.
    pub(crate) error: f64,
    /// How many sampled tasks the estimate rests on.
    pub(crate) samples: i64,
    pub(crate) ages: Option<Ages>,
}

/// Tasks that belong to one suspect, and where they wait.
#[derive(Debug)]
pub(super) struct Tasks {
    /// When they were looked at.
    pub(super) looked_at: SystemTime,
    pub(super) count: f64,
    /// It is one standard error of `count`.
    pub(super) error: f64,
    pub(super) samples: i64,
    /// By how many they are more than at the moment at which the suspect began to grow; `None` if nothing tells who spawned them.
    pub(super) growth: Option<Change>,
    /// Where they wait, as far as it is shown.
    pub(super) waits: Vec<Wait>,
    /// How many places there are, those included that are not shown.
    pub(super) wait_count: usize,
}

/// It says by how much a number changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) count: f64,
    /// It is one standard error of `count`.
    pub(super) error: f64,
}

/// How many tasks each function has spawned more since each of the moments that are looked at, by the function's name.
#[derive(Debug, Default)]
pub(super) struct Growths(pub(super) BTreeMap<String, Vec<Change>>);

impl Growths {
    /// Counts the tasks in `now`, which `names` names, and in `records`.
    pub(super) fn of(names: &NamedStacks, moments: &Moments, records: &[&Record], now: &Snapshot) -> Growths {
        let mut groups: BTreeMap<String, usize> = BTreeMap::new();
        let spawners: Vec<Option<usize>> = (0..now.stacks.len())
            .map(|stack| {
                let next = groups.len();
                Some(*groups.entry(names.spawner(stack)?).or_insert(next))
            })
            .collect();
        if groups.is_empty() {
            return Growths::default();
        }
        let series = series::series(moments, records, now, |stack| spawners[stack]);
        let changes = groups.into_iter().filter_map(|(name, group)| {
            let series = series.get(&group)?;
            let last = moments.len() - 1;
            // All tasks that one function spawns are about as large, so what is known of bytes tells of tasks.
            let bytes_each = series.bytes[last] / series.objects[last];
            let change = |from: usize| Change {
                count: series.objects[last] - series.objects[from],
                error: series.sampling_variance(from, last).sqrt() / bytes_each,
            };
            (bytes_each > 0.0).then(|| (name, (0..=last).map(change).collect()))
        });
        Growths(changes.collect())
    }

    /// Adds up the changes since the moment with this index of what any of these functions spawned.
    fn sum<'a>(&self, spawners: impl Iterator<Item = &'a str>, since: usize) -> Option<Change> {
        let of_each = spawners.filter_map(|name| Some(*self.0.get(name)?.get(since)?));
        // The tasks of different functions are different samples, so their errors are independent.
        of_each.reduce(|a, b| Change { count: a.count + b.count, error: a.error.hypot(b.error) })
    }
}

impl Report {
    /// Returns whether there is anything to be told of tasks: something grows, and the program spawns tasks.
    pub(crate) fn wants_waits(&self) -> bool {
        !self.suspects.is_empty() && !self.task_growths.0.is_empty()
    }

    /// Tells of each suspect where its tasks wait, which are among `waits` as they were at `looked_at`. `notes` is what there is
    /// to say of tasks.
    pub(crate) fn add_waits(&mut self, waits: &[Wait], looked_at: SystemTime, notes: &[String]) {
        let mut told: BTreeSet<String> = BTreeSet::new();
        for suspect in &mut self.suspects {
            // The surest suspect of a function comes first, and what is said there need not be said again.
            if let Some(name) = suspect.function().map(str::to_owned).filter(|name| !told.contains(name)) {
                suspect.tasks = tasks_of(suspect, &name, waits, looked_at, &self.task_growths);
                told.insert(name);
            }
        }
        if self.suspects.iter().any(|suspect| suspect.tasks.is_some()) {
            self.notes.extend_from_slice(notes);
        }
    }
}

/// Returns the tasks that `name`, the function of `suspect`, has spawned, and those that run it.
fn tasks_of(
    suspect: &Suspect,
    name: &str,
    waits: &[Wait],
    looked_at: SystemTime,
    growths: &Growths,
) -> Option<Tasks> {
    let of_suspect: Vec<&Wait> = waits.iter().filter(|wait| wait.belongs_to(name)).collect();
    let mut spawners: Vec<&str> = of_suspect.iter().map(|wait| &*wait.spawned_by).collect();
    spawners.sort_unstable();
    spawners.dedup();
    let variance: f64 = of_suspect.iter().map(|wait| wait.error * wait.error).sum();
    (!of_suspect.is_empty()).then(|| Tasks {
        looked_at,
        count: of_suspect.iter().map(|wait| wait.count).sum(),
        error: variance.sqrt(),
        samples: of_suspect.iter().map(|wait| wait.samples).sum(),
        growth: growths.sum(spawners.into_iter(), suspect.growth.since),
        wait_count: of_suspect.len(),
        waits: of_suspect.into_iter().take(WAITS_SHOWN).cloned().collect(),
    })
}

impl Suspect {
    /// Returns the name of the function by which a person would call it.
    fn function(&self) -> Option<&str> {
        let frames = &self.stacks.first()?.frames;
        Some(&frames.get(named_frame(frames))?.function)
    }
}

impl Wait {
    /// Returns whether `function` spawned these tasks, or is what they run.
    fn belongs_to(&self, function: &str) -> bool {
        let polled = POLLED.iter().find_map(|end| function.strip_suffix(end)).unwrap_or(function);
        // mutant: E50 tasks of another function belong to a suspect
        self.spawned_by == function || self.frames.iter().any(|frame| frame.function == polled)
    }

    /// Returns the function that the tasks have run to its end, if they have.
    pub(super) fn ended(&self) -> Option<&str> {
        self.frames.first()?.function.strip_suffix(ENDED)
    }

    /// Returns the frame of the line to mend, which is the innermost of the program's own, and what is waited for there, if that is
    /// somebody else's.
    pub(super) fn line(&self) -> Option<(&Frame, Option<&Frame>)> {
        let own = self.frames.iter().position(|frame| frame.origin() == Origin::Own).unwrap_or(0);
        Some((self.frames.get(own)?, self.frames.first().filter(|_| own > 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, report, report_with_tasks, wait};
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn the_tasks_that_the_function_spawned_belong_to_the_suspect() {
        let report = report_with_tasks();
        let tasks = report.suspects[0].tasks.as_ref().unwrap();
        assert_eq!((tasks.count, tasks.error, tasks.samples, tasks.wait_count), (990.0, 50.0, 65, 2));
        // The suspect grows since the second moment.
        assert_eq!(tasks.growth, Some(Change { count: 400.0, error: 40.0 }));
        let (line, what) = tasks.waits[0].line().unwrap();
        assert_eq!((line.line, what.map(|frame| frame.line)), (7, Some(245)));
        assert!(tasks.waits[1].line().is_none());
        assert_eq!(report.notes.last().map(String::as_str), Some("tasks: a note"));
    }

    #[test]
    fn what_a_task_allocates_itself_is_told_with_the_task() {
        let of = wait("main", &[frame("shop::read", "src/read.rs", 7)], 1.0, 0.0, 1);
        for (function, belongs) in [
            ("main", true),
            ("shop::read::{{closure}}", true),
            ("shop::read::{async_fn#0}", true),
            ("shop::read", true),
            ("shop::read::{{closure}}::{{closure}}", false),
            ("shop::reader", false),
        ] {
            assert_eq!(of.belongs_to(function), belongs, "{function}");
        }
    }

    #[test]
    fn tasks_are_told_once_and_what_has_ended_does_not_wait() {
        let mut report = report();
        let again = super::super::testing::report().suspects.remove(0);
        report.suspects.push(again);
        let over = wait("f", &[frame("shop::tick [ended]", "src/tick.rs", 3)], 5.0, 1.0, 5);
        assert_eq!(over.ended(), Some("shop::tick"));
        report.add_waits(&[over], UNIX_EPOCH, &[]);
        assert!(report.suspects[0].tasks.is_some() && report.suspects[1].tasks.is_none());
        let text = report.to_string();
        let expected = "    5 ± 1 have ended, and somebody holds their handles: shop::tick, age 20 s\n        (median), 90 s (oldest)\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn without_tasks_of_its_own_a_suspect_tells_of_none() {
        let mut report = report();
        assert!(!report.wants_waits(), "nothing spawns tasks");
        report.add_waits(&[wait("g", &[], 5.0, 1.0, 5)], UNIX_EPOCH, &["tasks: a note".to_owned()]);
        assert!(report.suspects[0].tasks.is_none());
        assert_eq!(report.notes, ["a note"]);
    }
}

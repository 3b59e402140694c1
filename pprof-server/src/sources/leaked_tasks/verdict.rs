//! Which tasks nobody can wake, from who could wake each of them.
//!
//! A task can be woken by what runs, by what comes from outside, and by another task that can be woken itself. So all begin as leaked, and
//! whoever could be woken is taken out until nothing changes. What is not known of a task makes all that it could wake not judged.
//!
//! Path: *read path*. Pure.

use holders::Root;

/// What is known of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Facts {
    /// It runs, or it will without any other task, for this reason.
    Awake(Awake),
    /// It has ended. What is in its memory belongs to whoever has its handle.
    Ended,
    /// It is not known what it does, for this reason.
    NotKnown(Reason),
    /// It waits, and these could wake it.
    Waits(Vec<Waker>),
}

/// Why a task can go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awake {
    /// It runs, or what it waits for has come.
    Runs,
    /// It waits for a time, a socket or the like.
    Event,
    /// It is being aborted.
    Aborted,
    /// It serves profiles.
    OfProfiler,
}

/// What could wake a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waker {
    /// Another task, which has a pointer to what is waited for, or is itself waited for.
    Task(usize),
    /// A variable or a stack leads to what is waited for.
    Root(Root),
    /// Whoever has its handle, who may end it.
    Handle,
    /// Perhaps something that is not known.
    NotKnown(Reason),
}

/// Why a task is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// It was not read.
    Unread,
    /// It waits for a future that nobody understands.
    Future,
    /// It has not waited for long.
    Young,
    /// More refer to it than those that are understood.
    References,
    /// What it waits for is in no block that is known, or in a task's own memory.
    Place,
    /// More pointers to what it waits for exist than were found.
    Pointers,
    /// A block has a pointer to what it waits for, and nothing was found that leads to that block.
    Lost,
    /// Memory that was not sampled leads to what it waits for.
    Unsampled,
    /// There were more pointers than are kept.
    TooMany,
    /// Something of it changed from one look to the next.
    Changed,
    /// It could be woken by a task that is not judged.
    Task,
}

/// What is concluded of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody can wake it.
    Leaked,
    /// It goes on by itself.
    Awake(Awake),
    /// This could wake it.
    Wakeable(Waker),
    NotJudged(Reason),
    Ended,
}

/// Returns what is to be concluded of each task.
pub(super) fn verdicts(tasks: &[Facts]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = tasks.iter().map(first).collect();
    // Whoever is surely awake is found before the doubts, which spread likewise.
    spread(tasks, &mut verdicts, |waker, verdicts| match *waker {
        Waker::Task(by) if matches!(verdicts[by], Verdict::Awake(_) | Verdict::Wakeable(_)) => {
            Some(Verdict::Wakeable(*waker))
        }
        _ => None,
    });
    spread(tasks, &mut verdicts, |waker, verdicts| match *waker {
        Waker::NotKnown(reason) => Some(Verdict::NotJudged(reason)),
        // mutant: E81 a task that is not judged wakes nobody
        Waker::Task(by) if matches!(verdicts[by], Verdict::NotJudged(_) | Verdict::Ended) => {
            Some(Verdict::NotJudged(Reason::Task))
        }
        _ => None,
    });
    verdicts
}

/// Returns what is to be concluded of a task by itself.
fn first(facts: &Facts) -> Verdict {
    match facts {
        Facts::Awake(awake) => Verdict::Awake(*awake),
        Facts::Ended => Verdict::Ended,
        Facts::NotKnown(reason) => Verdict::NotJudged(*reason),
        Facts::Waits(wakers) => {
            let is_sure = |waker: &&Waker| matches!(waker, Waker::Root(_) | Waker::Handle);
            wakers.iter().find(is_sure).map_or(Verdict::Leaked, |&waker| Verdict::Wakeable(waker))
        }
    }
}

/// Takes out of the leaked tasks those of which `conclude` knows otherwise by one of their wakers, until nothing changes.
fn spread(
    tasks: &[Facts],
    verdicts: &mut [Verdict],
    conclude: impl Fn(&Waker, &[Verdict]) -> Option<Verdict>,
) {
    let mut has_changed = true;
    while std::mem::take(&mut has_changed) {
        for (index, facts) in tasks.iter().enumerate() {
            let Facts::Waits(wakers) = facts else { continue };
            if verdicts[index] != Verdict::Leaked {
                continue;
            }
            if let Some(verdict) = wakers.iter().find_map(|waker| conclude(waker, verdicts)) {
                verdicts[index] = verdict;
                has_changed = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(wakers: &[Waker]) -> Facts {
        Facts::Waits(wakers.to_vec())
    }

    #[test]
    fn tasks_that_only_wake_each_other_are_leaked() {
        let tasks = [
            // It has both ends itself.
            waits(&[]),
            waits(&[Waker::Task(1)]),
            // These wait for each other.
            waits(&[Waker::Task(3)]),
            waits(&[Waker::Task(2)]),
            // This waits for those.
            waits(&[Waker::Task(3), Waker::Task(0)]),
        ];
        assert_eq!(verdicts(&tasks), [Verdict::Leaked; 5]);
    }

    #[test]
    fn whoever_is_awake_wakes_all_that_wait_for_it() {
        let tasks = [
            waits(&[Waker::Task(1)]),
            waits(&[Waker::Task(2), Waker::Task(0)]),
            Facts::Awake(Awake::Event),
            waits(&[Waker::Root(Root::Static(7))]),
            waits(&[Waker::Task(3)]),
            waits(&[Waker::Handle]),
        ];
        let by = |task| Verdict::Wakeable(Waker::Task(task));
        assert_eq!(
            verdicts(&tasks),
            [
                by(1),
                by(2),
                Verdict::Awake(Awake::Event),
                Verdict::Wakeable(Waker::Root(Root::Static(7))),
                by(3),
                Verdict::Wakeable(Waker::Handle)
            ]
        );
    }

    #[test]
    fn a_doubt_makes_all_that_depend_on_it_doubtful() {
        let tasks = [
            waits(&[Waker::NotKnown(Reason::Unsampled)]),
            waits(&[Waker::Task(0)]),
            Facts::NotKnown(Reason::Future),
            waits(&[Waker::Task(2), Waker::Task(3)]),
            // It is sure that this can be woken, whatever else is not known.
            waits(&[Waker::NotKnown(Reason::Place), Waker::Root(Root::Stack(1))]),
            waits(&[Waker::Task(0), Waker::Task(4)]),
        ];
        let doubts = |reason| Verdict::NotJudged(reason);
        assert_eq!(
            verdicts(&tasks),
            [
                doubts(Reason::Unsampled),
                doubts(Reason::Task),
                doubts(Reason::Future),
                doubts(Reason::Task),
                Verdict::Wakeable(Waker::Root(Root::Stack(1))),
                Verdict::Wakeable(Waker::Task(4))
            ]
        );
    }
}

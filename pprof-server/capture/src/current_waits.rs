//! What a look at the threads that wait found, as plain, owned data, and which of them wait for one another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::{LockWord, Thread};

/// The threads that wait for others at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CurrentWaits {
    /// Tells when the look was over.
    pub taken_at: SystemTime,
    /// The threads that wait on a word of memory, in the order of their numbers.
    pub waits: Vec<CurrentWait>,
    /// Of each word that somebody waits on as on a lock: the threads whose stacks have a pointer to it, but those that wait on it.
    /// Whoever holds the lock is among them as a rule, since the guard of a lock points to it; others may be too. Where the stack of
    /// a thread that ran was cannot be told, so a pointer on any stack that no thread slept on counts for each thread that ran.
    pub pointed_to_by: BTreeMap<usize, Vec<u32>>,
    /// How many threads were looked at.
    pub threads: usize,
}

/// A thread that waits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CurrentWait {
    /// The thread, and where it is.
    pub thread: Thread,
    /// The address of the word that it waits on.
    pub address: usize,
    /// What that may be.
    pub word: LockWord,
    /// Whether it goes on by itself after some time.
    pub has_end: bool,
    /// The thread whose end it waits for.
    pub joins: Option<u32>,
    /// How long it has waited, or those who wait on the word on average. `None`: waits are not measured, or were not yet when it
    /// began.
    pub waited: Option<Duration>,
    /// The CPU time that the thread had used: as long as that stays the same, it is the same wait.
    #[cfg_attr(not(by_signals), allow(dead_code, reason = "there are none without signals"))]
    pub(crate) used: Duration,
}

/// Threads that wait for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlock {
    /// The numbers of the threads, each of which waits for the next, and the last for the first.
    pub threads: Vec<u32>,
    /// Threads that are in no such circle, and wait for one that is.
    pub others: Vec<u32>,
}

impl CurrentWait {
    /// Makes a wait of a thread without a limit.
    #[must_use]
    pub fn new(thread: Thread, address: usize, word: LockWord) -> CurrentWait {
        CurrentWait { thread, address, word, has_end: false, joins: None, waited: None, used: Duration::ZERO }
    }

    /// Whether only somebody else's doing can end it, and whose that is may be known.
    fn is_endless_wait_for_a_lock(&self) -> bool {
        !self.has_end && matches!(self.word, LockWord::Mutex | LockWord::RwLock) && self.joins.is_none()
    }
}

impl CurrentWaits {
    /// Finds threads that wait for locks which only threads that wait likewise can have: nobody of them can go on.
    ///
    /// Who may have a lock is told by pointers on stacks. A pointer that was left behind, or that somebody has without having the lock,
    /// makes one more who may have it, so a deadlock may not be found. One is found where there is none only if the thread that does
    /// have the lock has no pointer to it on its stack, and all who have one wait for each other. `is_lock` says whether a wait is
    /// one for a lock, for example by its stack. Waits that have not lasted for a while should be left out, see
    /// [`keep_lasting`](Self::keep_lasting).
    ///
    /// Cost: some microseconds for each thread that waits.
    pub fn deadlocks(&self, is_lock: impl Fn(&CurrentWait) -> bool) -> Vec<Deadlock> {
        let may_end_by = self.who_may_end(is_lock);
        let mut stuck: BTreeSet<u32> = may_end_by.keys().copied().collect();
        loop {
            let before = stuck.len();
            // mutant: E97 one who can go on is not enough
            let is_stuck = |thread: &u32| may_end_by[thread].iter().all(|other| stuck.contains(other));
            stuck = stuck.iter().copied().filter(is_stuck).collect();
            if stuck.len() == before {
                break;
            }
        }
        circles(&may_end_by, &stuck)
    }

    /// Of each wait without an end of its own, the threads that may end it, of which there is at least one.
    fn who_may_end(&self, is_lock: impl Fn(&CurrentWait) -> bool) -> BTreeMap<u32, Vec<u32>> {
        let who = |wait: &CurrentWait| match wait.joins {
            Some(thread) if !wait.has_end => Some(vec![thread]),
            None if wait.is_endless_wait_for_a_lock() && is_lock(wait) => {
                self.pointed_to_by.get(&wait.address).cloned()
            }
            _ => None,
        };
        let known = self.waits.iter().filter_map(|wait| Some((wait.thread.id, who(wait)?)));
        known.filter(|(_, threads)| !threads.is_empty()).collect()
    }
}

/// The circles that threads are in of whom each waits for the first of those that may end its wait, and who waits for them.
fn circles(may_end_by: &BTreeMap<u32, Vec<u32>>, stuck: &BTreeSet<u32>) -> Vec<Deadlock> {
    let next = |thread: u32| may_end_by.get(&thread).and_then(|threads| threads.first().copied());
    let mut found: Vec<Deadlock> = Vec::new();
    for &first in stuck {
        // After as many steps as there are threads, the walk is in a circle.
        let inside = (0..stuck.len()).try_fold(first, |thread, _| next(thread));
        let Some(inside) = inside else { continue };
        let mut threads = vec![inside];
        threads.extend(
            std::iter::successors(next(inside), |&thread| next(thread))
                .take_while(|&thread| thread != inside),
        );
        let known = found.iter_mut().find(|deadlock| deadlock.threads.contains(&inside));
        let deadlock = match known {
            Some(known) => known,
            None => {
                let least = (0..threads.len()).min_by_key(|&index| threads[index]).unwrap_or(0);
                threads.rotate_left(least);
                found.push(Deadlock { threads, others: Vec::new() });
                let Some(last) = found.last_mut() else { continue };
                last
            }
        };
        if !deadlock.threads.contains(&first) {
            deadlock.others.push(first);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ThreadState;

    fn wait(id: u32, address: usize) -> CurrentWait {
        CurrentWait::new(Thread::new(id, "", ThreadState::Sleeping, Box::default()), address, LockWord::Mutex)
    }

    fn waits(waits: Vec<CurrentWait>, pointed_to_by: &[(usize, &[u32])]) -> CurrentWaits {
        CurrentWaits {
            taken_at: SystemTime::UNIX_EPOCH,
            threads: waits.len(),
            waits,
            pointed_to_by: pointed_to_by
                .iter()
                .map(|(address, threads)| (*address, threads.to_vec()))
                .collect(),
        }
    }

    fn deadlocks(of: &CurrentWaits) -> Vec<(Vec<u32>, Vec<u32>)> {
        let found = of.deadlocks(|_| true).into_iter();
        found.map(|deadlock| (deadlock.threads, deadlock.others)).collect()
    }

    #[test]
    fn two_threads_that_wait_for_each_other_are_a_deadlock() {
        let two = vec![wait(1, 0x20), wait(2, 0x10)];
        assert_eq!(deadlocks(&waits(two.clone(), &[(0x10, &[1]), (0x20, &[2])])), [(vec![1, 2], vec![])]);
        // Another one waits for one of them, and one waits for that.
        let mut more = [two.clone(), vec![wait(3, 0x10), wait(4, 0x99)]].concat();
        more[3].joins = Some(3);
        let of = waits(more, &[(0x10, &[1]), (0x20, &[2])]);
        assert_eq!(deadlocks(&of), [(vec![1, 2], vec![3, 4])]);
        assert_eq!(of.deadlocks(|wait| wait.thread.id != 2), [], "one of them waits for no lock");
    }

    #[test]
    fn circles_may_have_any_length_and_number() {
        let pointers: [(usize, &[u32]); 6] =
            [(0x10, &[1]), (0x20, &[2]), (0x30, &[3]), (0x40, &[4]), (0x50, &[5]), (0x60, &[6])];
        let all =
            vec![wait(1, 0x30), wait(2, 0x10), wait(3, 0x20), wait(4, 0x50), wait(5, 0x40), wait(6, 0x40)];
        assert_eq!(deadlocks(&waits(all, &pointers)), [(vec![1, 3, 2], vec![]), (vec![4, 5], vec![6])]);
    }

    /// Whoever may go on may give the lock back.
    #[test]
    fn one_who_can_go_on_and_may_have_the_lock_is_enough() {
        let two = || vec![wait(1, 0x20), wait(2, 0x10)];
        for pointers in
            [&[(0x10, &[1, 7][..]), (0x20, &[2])][..], &[(0x10, &[1]), (0x20, &[])], &[(0x10, &[1])], &[]]
        {
            assert_eq!(deadlocks(&waits(two(), pointers)), [], "{pointers:?}");
        }
        for change in [
            (|wait: &mut CurrentWait| wait.has_end = true) as fn(&mut CurrentWait),
            |wait| wait.word = LockWord::Parker,
            |wait| wait.joins = Some(8),
        ] {
            let mut two = two();
            change(&mut two[1]);
            assert_eq!(deadlocks(&waits(two, &[(0x10, &[1]), (0x20, &[2])])), []);
        }
        // A third one that may have it waits as well, for one of the two.
        let three = [two(), vec![wait(3, 0x10)]].concat();
        assert_eq!(deadlocks(&waits(three, &[(0x10, &[1]), (0x20, &[2, 3])])), [(vec![1, 2], vec![3])]);
    }

    #[test]
    fn threads_that_wait_for_each_other_s_end_are_one_too() {
        let mut two = vec![wait(1, 0x20), wait(2, 0x10)];
        (two[0].joins, two[1].joins) = (Some(2), Some(1));
        assert_eq!(deadlocks(&waits(two, &[])), [(vec![1, 2], vec![])]);
    }
}

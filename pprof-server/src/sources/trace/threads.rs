//! What each thread was doing as time went by, as the kernel tells it.
//!
//! Path: *read path*.

use std::collections::BTreeMap;
use std::time::Duration;

use capture::ThreadLook;

use super::pace::Pace;
use crate::trace::{StateSpan, Thread};
use alloc_profiler::internal::cpu_time;

/// Threads that are told apart. Those beyond are in no trace.
const MAX_THREADS: usize = 4096;
/// Times in one state that are kept. After that, states are no longer told.
const MAX_SPANS: usize = 100_000;

/// Keeps what is known of the threads so far.
#[derive(Debug, Default)]
pub(super) struct Threads {
    by_id: BTreeMap<u32, Thread>,
    spans: usize,
    pub(super) pace: Pace,
    /// Threads were seen that there is no room for.
    pub(super) are_too_many: bool,
    /// States were seen that there is no room for.
    pub(super) are_states_cut: bool,
    /// The system does not tell.
    pub(super) are_hidden: bool,
}

impl Threads {
    /// Looks what threads do, if that is due.
    pub(super) fn look_if_due(&mut self, now: Duration) {
        if self.pace.is_due(now) {
            self.look(now);
        }
    }

    /// Looks what threads do.
    pub(super) fn look(&mut self, now: Duration) {
        let started = cpu_time();
        match capture::thread_looks() {
            Ok(looks) => self.add(now, &looks),
            Err(_) => self.are_hidden = true,
        }
        self.pace.looked(now, cpu_time().saturating_sub(started));
    }

    pub(super) fn add(&mut self, at: Duration, looks: &[ThreadLook]) {
        for look in looks {
            let is_known = self.by_id.contains_key(&look.id);
            if !is_known && self.by_id.len() >= MAX_THREADS {
                self.are_too_many = true;
                continue;
            }
            let has_room = self.spans < MAX_SPANS;
            let new = || Thread { id: look.id, start: at, ..Thread::default() };
            let thread = self.by_id.entry(look.id).or_insert_with(new);
            if *thread.name != *look.name {
                thread.name = (*look.name).to_owned();
            }
            thread.end = at;
            if let Some(last) = thread.states.last_mut() {
                last.end = at;
                if last.state == look.state {
                    continue;
                }
            }
            if has_room {
                thread.states.push(StateSpan { state: look.state, start: at, end: at });
                self.spans += 1;
            } else {
                self.are_states_cut = true;
            }
        }
    }

    /// Notes a thread that was sampled, and perhaps never seen between its beginning and its end.
    pub(super) fn meet(&mut self, id: u32, name: &str) {
        if self.by_id.len() < MAX_THREADS {
            let new = || Thread { id, name: name.to_owned(), ..Thread::default() };
            self.by_id.entry(id).or_insert_with(new);
        }
    }

    /// Returns all threads, by their numbers. Those that were there at the last look are taken to be there until the end.
    pub(super) fn finish(self, end: Duration) -> Vec<Thread> {
        let last_look = self.by_id.values().map(|thread| thread.end).max().unwrap_or_default();
        let mut threads: Vec<Thread> = self.by_id.into_values().collect();
        for thread in threads.iter_mut().filter(|thread| thread.end == last_look || thread.states.is_empty())
        {
            thread.end = end;
            thread.states.last_mut().into_iter().for_each(|last| last.end = end);
        }
        threads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture::ThreadState;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn states_follow_one_another_until_a_thread_is_gone() {
        use ThreadState::{Running, Sleeping};
        let mut threads = Threads::default();
        let look = |id, state| ThreadLook::new(id, "name", state);
        threads.add(at(0), &[look(7, Running), look(8, Sleeping)]);
        threads.add(at(1), &[look(7, Running), look(8, Running)]);
        threads.add(at(2), &[look(7, Sleeping), look(9, Running)]);
        threads.add(at(3), &[look(7, Sleeping), look(9, Running)]);
        threads.meet(7, "other");
        threads.meet(10, "short");
        let span = |state, start, end| StateSpan { state, start: at(start), end: at(end) };
        let thread = |id, name: &str, start, end, states: &[StateSpan]| Thread {
            id,
            name: name.into(),
            start: at(start),
            end: at(end),
            states: states.to_vec(),
        };
        assert_eq!(
            threads.finish(at(4)),
            [
                thread(7, "name", 0, 4, &[span(Running, 0, 2), span(Sleeping, 2, 4)]),
                thread(8, "name", 0, 1, &[span(Sleeping, 0, 1), span(Running, 1, 1)]),
                thread(9, "name", 2, 4, &[span(Running, 2, 4)]),
                thread(10, "short", 0, 4, &[]),
            ]
        );
    }

    #[test]
    fn what_has_no_room_is_told() {
        let mut threads = Threads::default();
        let looks: Vec<_> =
            (0..=MAX_THREADS as u32).map(|id| ThreadLook::new(id, "", ThreadState::Running)).collect();
        threads.add(at(0), &looks);
        assert!(threads.are_too_many && !threads.are_states_cut);
        for second in 1..30 {
            let state = if second % 2 == 0 { ThreadState::Running } else { ThreadState::Sleeping };
            let looks: Vec<_> = looks.iter().map(|look| ThreadLook::new(look.id, "", state)).collect();
            threads.add(at(second), &looks);
        }
        assert!(threads.are_states_cut);
        let spans: usize = threads.finish(at(30)).iter().map(|thread| thread.states.len()).sum();
        assert_eq!(spans, MAX_SPANS);
    }
}

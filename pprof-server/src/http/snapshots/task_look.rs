//! Where the program's tasks wait, as it was found out a short time ago.
//!
//! The page asks for suspects again and again, and the debug information of a large program takes a second to look through. So what
//! was found is kept for a while, the longer the more it cost: looking at tasks takes at most a twentieth of one processor, however
//! often somebody asks.
//!
//! Path: *read path*.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use alloc_profiler::internal::cpu_time;

use crate::encode::{TaskTable, task_table};

/// What was found is kept for so many times the processor's time that it cost.
const KEPT_FOR_COST: u32 = 20;
/// It is kept for at least so long.
const KEPT_AT_LEAST: Duration = Duration::from_secs(1);

/// The last look at the program's tasks.
#[derive(Debug, Default)]
pub(crate) struct TaskLook(Mutex<Option<Found>>);

/// What was found by a look at the tasks.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) table: Arc<TaskTable>,
    pub(crate) at: SystemTime,
    /// From this moment on, tasks are looked at anew.
    until: Instant,
}

impl TaskLook {
    /// Returns where tasks wait, and when that was found out. Those who ask meanwhile wait for the same answer.
    ///
    /// Cost: it takes as long as [`task_table`], or no time.
    pub(crate) fn found(&self) -> Found {
        self.found_by(Instant::now(), task_table)
    }

    fn found_by(&self, now: Instant, look: impl FnOnce() -> TaskTable) -> Found {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // mutant: E51 tasks are looked at whenever somebody asks
        if let Some(found) = last.as_ref().filter(|found| now < found.until) {
            return found.clone();
        }
        let (at, started) = (SystemTime::now(), cpu_time());
        let table = Arc::new(look());
        let cost = cpu_time().saturating_sub(started);
        let until = now + (cost * KEPT_FOR_COST).max(KEPT_AT_LEAST);
        last.insert(Found { table, at, until }).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_kept_the_longer_the_more_it_cost() {
        let look = TaskLook::default();
        let start = Instant::now();
        let mut looks = 0;
        let mut ask = |after: Duration, work: Duration| {
            look.found_by(start + after, || {
                looks += 1;
                let started = cpu_time();
                while cpu_time().saturating_sub(started) < work {
                    std::hint::spin_loop();
                }
                TaskTable::default()
            });
            looks
        };
        let second = Duration::from_secs(1);
        assert_eq!(ask(Duration::ZERO, Duration::ZERO), 1);
        assert_eq!(ask(second / 2, Duration::ZERO), 1);
        // This look takes 0.1 s of the processor, so it holds for 2 s at least.
        assert_eq!(ask(second * 3, second / 10), 2);
        assert_eq!(ask(second * 3 + second * 19 / 10, Duration::ZERO), 2);
        assert_eq!(ask(second * 3600, Duration::ZERO), 3);
    }
}

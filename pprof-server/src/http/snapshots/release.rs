//! Gives free pages back to the system, for `gc=1`.
//!
//! Path: *read path*. Other threads of the program may wait meanwhile, for up to a second where the heap is large and
//! fragmented.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A release that is over.
#[derive(Clone, Copy, Debug)]
struct Release {
    ended: Instant,
    took: Duration,
}

impl Release {
    /// Whether releases take a tenth of the time at most, if the next one begins now.
    fn is_long_ago(self, now: Instant) -> bool {
        // mutant: D13 free pages are given back without pause
        now.saturating_duration_since(self.ended) >= 9 * self.took
    }
}

/// Gives free pages back, unless that was done just now. It stops threads of the program, and a client that asks without
/// pause must not take more than a tenth of their time.
pub(super) fn release_free_memory() {
    static LAST: Mutex<Option<Release>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let started = Instant::now();
    if last.is_none_or(|last| last.is_long_ago(started)) {
        alloc_profiler::release_free_memory();
        let ended = Instant::now();
        *last = Some(Release { ended, took: ended - started });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_back_in_a_tenth_of_the_time_at_most() {
        let ended = Instant::now();
        let last = Release { ended, took: Duration::from_millis(800) };
        assert!(!last.is_long_ago(ended) && !last.is_long_ago(ended + Duration::from_millis(7100)));
        assert!(last.is_long_ago(ended + Duration::from_millis(7200)));
        assert!(Release { ended, took: Duration::ZERO }.is_long_ago(ended));
    }
}

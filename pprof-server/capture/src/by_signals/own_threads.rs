//! Threads that no capture shows, since they are the profiler's own.
//!
//! A child of `fork` may leave its threads out too, so there is no lock here that could stay held.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{forks, system_call};
use crate::OWN_LABEL;
use unwinder::label;

/// Threads that can be left out at once. Those beyond are in the profile.
const MAX_THREADS: usize = 256;

/// All threads of the profiler have names that begin so.
const NAMES: &str = "pprof-";

/// Holds the numbers of threads; 0 means that the slot is free.
static THREADS: [AtomicU32; MAX_THREADS] = [const { AtomicU32::new(0) }; MAX_THREADS];

/// While it exists, the thread that made it is left out of captures.
#[derive(Debug)]
pub struct OwnThread {
    place: Option<&'static AtomicU32>,
    forks: u32,
    label: u32,
}

/// Leaves the calling thread out of all captures, as long as what this returns exists: threads that make profiles are not what
/// the program is doing. [`CpuSamples::own_time`](crate::CpuSamples::own_time) tells how much CPU time they took.
///
/// Threads whose names begin with `pprof-` are in no list of threads either: one that has just begun has not said so yet, and has its
/// name already.
///
/// At most 256 threads are left out at once. Cost: two system calls.
#[must_use]
pub fn leave_out() -> OwnThread {
    let thread_id = system_call::thread_id();
    let free = |place: &&AtomicU32| place.compare_exchange(0, thread_id, Relaxed, Relaxed).is_ok();
    OwnThread { place: THREADS.iter().find(free), forks: forks::count(), label: label::replace(OWN_LABEL) }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        label::restore(self.label);
        if let Some(place) = self.place.filter(|_| self.forks == forks::count()) {
            place.store(0, Relaxed);
        }
    }
}

/// The threads that are left out.
pub(super) fn all() -> Vec<u32> {
    THREADS.iter().map(|place| place.load(Relaxed)).filter(|&thread_id| thread_id != 0).collect()
}

/// Whether a thread of this name is the profiler's own. One that has just begun, or is about to end, is not among [`all`].
pub(super) fn is_named_so(name: &str) -> bool {
    // mutant: E13 a thread of the profiler's own that has just begun is shown
    name.starts_with(NAMES)
}

/// Forgets the parent's threads.
pub(super) fn begin_anew() {
    THREADS.iter().for_each(|place| place.store(0, Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_left_out_while_it_says_so() {
        let own = leave_out();
        let thread_id = system_call::thread_id();
        assert!(all().contains(&thread_id));
        drop(own);
        assert!(!all().contains(&thread_id));
    }
}

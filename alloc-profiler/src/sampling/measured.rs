//! Threads whose every allocation is measured.
//!
//! Such a thread has a countdown of 0, so that each of its allocations takes the slow path. There it looks like a paused
//! thread at first, so that nobody else pays for the question. The gap that it had waits until it is no longer measured.
//!
//! Path: *allocation path*.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::atomic::Ordering::Relaxed;

use super::thread::{IS_MEASURED, PAUSED, THREAD, Thread};
use super::{due::Due, interval};
use crate::tables::measured::LATE_THREADS;

impl Thread {
    /// Has every allocation be measured from the next one on.
    pub(super) fn begin_measured(&self, slot: u32) {
        self.slot.set(slot);
        if self.pauses.get() & IS_MEASURED == 0 {
            self.before_measured.set(self.stop());
            self.pauses.set(self.pauses.get() | IS_MEASURED);
            self.go_on(0);
        }
    }

    /// Goes on with the gap that there was before.
    fn end_measured(&self) {
        let countdown = self.stop();
        self.pauses.set(self.pauses.get() & !IS_MEASURED);
        if self.pauses.get() == 0 {
            return self.go_on(self.before_measured.get());
        }
        // Whoever ends the pause would go on with the countdown of a measured thread.
        self.is_fresh_gap_due.set(true);
        self.go_on(countdown);
    }
}

/// Decides in a thread that is paused or measured. Where the thread is neither any more, the allocation is to be counted down and decided
/// as any other.
#[cold]
#[inline(never)]
pub(super) fn decide(thread: &Thread, size: usize) -> ControlFlow<Option<Due>> {
    if thread.pauses.get() != IS_MEASURED {
        thread.bytes_until_sample.set(PAUSED);
        return Break(None);
    }
    let countdown = thread.bytes_until_sample.get().wrapping_add(size as i64);
    if thread.is_within_a_decision(countdown) {
        return Break(None);
    }
    if thread.slot.get() == 0 && interval::in_force() != interval::MEASURED {
        // The process is not measured any more.
        thread.end_measured();
        return Continue(());
    }
    // mutant: E90 a measured thread measures one allocation
    thread.go_on(0);
    Break(Some(Due::Measured))
}

/// Has a thread without a gap be measured with the process, from this allocation on.
#[cold]
#[inline(never)]
pub(super) fn join(thread: &Thread, size: usize) -> Due {
    // The allocation has counted down already.
    thread.bytes_until_sample.set(thread.bytes_until_sample.get().wrapping_add(size as i64));
    thread.begin_measured(0);
    Due::Measured
}

/// Has a thread that ran before be measured with the process, from its next allocation on. The gap that it had is over.
#[cold]
#[inline(never)]
pub(super) fn join_late(thread: &Thread) {
    LATE_THREADS.fetch_add(1, Relaxed);
    thread.is_fresh_gap_due.set(true);
    thread.bytes_until_sample.set(0);
    thread.begin_measured(0);
}

/// Has the calling thread be measured from its next allocation on. `slot` is that of its measurements, or 0 if only the process is
/// measured. It returns false if the thread is paused.
pub(crate) fn begin(slot: u32) -> bool {
    THREAD.with(|thread| {
        if thread.pauses.get() & !IS_MEASURED > 0 {
            return false;
        }
        thread.begin_measured(slot);
        true
    })
}

/// Ends what [`begin`] began, unless the process is measured.
pub(crate) fn end() {
    THREAD.with(|thread| {
        thread.slot.set(0);
        if thread.pauses.get() & IS_MEASURED != 0 && interval::in_force() != interval::MEASURED {
            thread.end_measured();
        }
    });
}

/// Returns the slot of the measurements of the calling thread; 0 if it has none.
pub(crate) fn slot() -> u32 {
    THREAD.try_with(|thread| thread.slot.get()).unwrap_or(0)
}

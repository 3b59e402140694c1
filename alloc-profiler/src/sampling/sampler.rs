//! A countdown of bytes in each thread says when to sample.
//!
//! Everything slow hides behind the same branch: a thread's first use, an interval changed elsewhere, "off",
//! re-entrancy and measurements are all expressed by what the countdown is set to.
//!
//! Path: *allocation path*, where the countdown has ended.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::due::Due;
use super::gap::{self, NEVER};
use super::thread::{THREAD, Thread, count_down};
use super::{interval, measured};

/// Decides whether the allocation of `size` bytes that [`count_down`] pointed out is recorded, and returns why if it is.
/// Sets the countdown to what follows the allocation.
#[cold]
pub(crate) fn decide(size: usize) -> Option<Due> {
    // The thread-local is always there. But `with` panics where it is not, and the compiler does not always see that this
    // cannot happen.
    THREAD.try_with(|thread| decide_in(thread, size)).ok().flatten()
}

#[inline(always)]
fn decide_in(thread: &Thread, size: usize) -> Option<Due> {
    if thread.pauses.get() > 0 {
        return match measured::decide(thread, size) {
            Break(due) => due,
            Continue(()) if count_down(size) => decide(size),
            Continue(()) => None,
        };
    }
    // This is the countdown as it was before this allocation.
    let countdown = thread.bytes_until_sample.get().wrapping_add(size as i64);
    if thread.is_within_a_decision(countdown) {
        return None;
    }
    // Every allocation is sampled and was before, so there is nothing to draw.
    if thread.interval.get() == 1 && interval::in_force() == 1 {
        thread.go_on(0);
        return Some(Due::Sampled(1.0));
    }
    let size_bytes = i64::try_from(size).unwrap_or(NEVER).min(NEVER);
    let interval = interval::in_force();
    let mut generator = thread.generator.take();
    let is_first = generator.is_none();
    if interval == interval::MEASURED && (is_first || thread.interval.get() == 1) {
        // It has no gap by which this allocation would have to be judged.
        thread.generator.set(generator);
        INSTALLED.store(true, Relaxed);
        return Some(measured::join(thread, size));
    }
    let mut gap = if is_first {
        INSTALLED.store(true, Relaxed);
        generator = Some(gap::next_generator());
        thread.interval.set(interval);
        gap::draw(&mut generator, interval)
    } else if countdown < 0 {
        gap::draw(&mut generator, thread.interval.get())
    } else {
        countdown.saturating_add(thread.deferred.get())
    };
    // All of this allocation is judged by the interval that its gap was drawn with, whatever interval is in force now. Only
    // so is its weight the reciprocal of its probability.
    let weight = (gap < size_bytes).then(|| gap::weight(size, thread.interval.get()));
    gap = if weight.is_some() || interval != thread.interval.get() {
        gap::draw(&mut generator, interval)
    } else {
        gap.saturating_sub(size_bytes)
    };
    thread.interval.set(interval);
    thread.generator.set(generator);
    if interval == interval::MEASURED {
        measured::join_late(thread);
        return weight.map(Due::Sampled);
    }
    let countdown = thread.split(gap);
    thread.go_on(countdown);
    weight.map(Due::Sampled)
}

/// Leaves the decision on an allocation of `size` bytes, which [`count_down`] pointed out, to the inner allocator, which
/// counts it down too. In all, `levels` allocators count it. Gaps are longer by that factor, so that they take together as
/// many samples as one would.
///
/// Every thread's first allocation comes by here before the thread draws its first gap.
pub(crate) fn leave_to_inner(size: usize, levels: u64) {
    gap::count_levels(levels);
    let _ = THREAD.try_with(|thread| {
        let mut countdown = thread.bytes_until_sample.get().wrapping_add(size as i64);
        // In a pause, and in a handler that has interrupted another decision, the inner allocator sees to everything.
        if thread.pauses.get() == 0 && countdown >= 0 {
            let size_bytes = i64::try_from(size).unwrap_or(NEVER).min(NEVER);
            let gap = countdown.saturating_add(thread.deferred.get()).saturating_sub(size_bytes);
            countdown = thread.split(gap.max(0));
        }
        thread.bytes_until_sample.set(countdown);
    });
}

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Whether any thread has come through [`decide`].
pub(crate) fn is_installed() -> bool {
    INSTALLED.load(Relaxed)
}

//! Each thread knows when its next sample is due, and can stop counting for a while.
//!
//! A countdown of bytes says when to sample. It never runs for more than [`STRETCH_BYTES`] without a look at the interval; the rest of
//! a longer gap waits in `deferred`.
//!
//! A signal's handler may interrupt its thread at any instruction of this folder, and may itself allocate, pause, or set
//! another interval. So the countdown also keeps the handler out: while the rest of [`Thread`] is changed, the countdown
//! is negative, as it was for the allocation that is being decided, or it is that of a paused thread. In both states a
//! handler's own allocations are not sampled, and it leaves the countdown as it found it. One store at the end makes all of
//! the change valid at once.
//!
//! Path: *allocation path*; `count_down` is on every allocation.

use std::cell::Cell;
use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

use rand::rngs::SmallRng;

use super::gap::{self, NEVER};
use super::interval;
use crate::process::alone::Alone;

/// How many bytes a thread allocates at most before it looks at the interval again.
const STRETCH_BYTES: i64 = 1 << 20;
/// The countdown of a thread that is paused. What the thread allocates meanwhile does not bring it down to [`NEVER`].
pub(super) const PAUSED: i64 = i64::MAX;
/// In `pauses`: the thread is measured.
pub(super) const IS_MEASURED: u32 = 1 << 31;
/// How many allocations of handlers may come between an allocation's countdown and the end of its decision. Where a handler
/// left by `longjmp`, that end never comes; then the thread goes on with a fresh gap after as many.
const MAX_NESTED: u32 = 1024;

pub(super) struct Thread {
    /// The countdown, which is negative when the present allocation must take the slow path. It is about [`PAUSED`] while
    /// the thread is paused.
    pub(super) bytes_until_sample: Cell<i64>,
    /// The bytes of the gap that lie beyond the countdown.
    pub(super) deferred: Cell<i64>,
    /// The interval, in bytes, that the present gap was drawn with.
    pub(super) interval: Cell<u64>,
    pub(super) generator: Cell<Option<SmallRng>>,
    /// How many `Pause`s are open, and [`IS_MEASURED`]. It is above 0 only while the countdown is that of a paused or measured
    /// thread.
    pub(super) pauses: Cell<u32>,
    /// The slot of the measurements of this thread; 0 if only the process is measured.
    pub(super) slot: Cell<u32>,
    /// This is what the countdown was before the thread was measured.
    pub(super) before_measured: Cell<i64>,
    /// Whether a fresh gap was asked for where none could be drawn. It is drawn when the thread goes on.
    pub(super) is_fresh_gap_due: Cell<bool>,
    /// How many allocations of handlers have come while another one is being decided.
    pub(super) nested: Cell<u32>,
}

// mutant: A6 thread-locals have a destructor
thread_local! {
    // `const` and without `Drop`, this is a bare thread-local: it can be used before and after everything else in a thread's
    // life, and its first use allocates nothing.
    pub(super) static THREAD: Thread = const {
        Thread {
            bytes_until_sample: Cell::new(0),
            deferred: Cell::new(0),
            interval: Cell::new(0),
            generator: Cell::new(None),
            pauses: Cell::new(0),
            slot: Cell::new(0),
            before_measured: Cell::new(0),
            is_fresh_gap_due: Cell::new(false),
            nested: Cell::new(0),
        }
    };
}

impl Thread {
    /// Whether the countdown does not count, as in a `Pause`, while a gap is being drawn, and in a measured thread. (After two allocations of
    /// `isize::MAX` bytes within a pause, only `pauses` tells.)
    fn is_paused(&self) -> bool {
        self.bytes_until_sample.get() > NEVER || self.pauses.get() > 0
    }

    /// Pauses the thread and returns its countdown. A handler that allocates between the two steps does so as if it
    /// came later, within the pause.
    #[inline(always)]
    pub(super) fn stop(&self) -> i64 {
        let countdown = self.bytes_until_sample.replace(PAUSED);
        // The compiler must not move what follows before the store: a handler would find the thread half changed and not
        // paused.
        compiler_fence(SeqCst);
        countdown
    }

    /// Goes on with what `stop` returned or with another countdown. This is one store, so that a handler finds the thread
    /// either paused or complete.
    #[inline(always)]
    pub(super) fn go_on(&self, countdown: i64) {
        compiler_fence(SeqCst);
        self.bytes_until_sample.set(countdown);
        compiler_fence(SeqCst);
        // Within another pause the fresh gap stays due. A handler that asks for one from here on draws it by itself.
        if self.is_fresh_gap_due.get() && !self.is_paused() {
            self.draw_afresh();
        }
    }

    /// Draws a fresh gap of the interval in force. If the thread is paused, or if an allocation is about to be decided by the
    /// gap that there is, the gap is drawn later.
    #[cold]
    fn draw_afresh(&self) {
        if self.is_paused() || self.bytes_until_sample.get() < 0 {
            return self.is_fresh_gap_due.set(true);
        }
        self.stop();
        self.is_fresh_gap_due.set(false);
        let mut generator = self.generator.take();
        // A thread without a generator draws at its first allocation.
        let mut countdown = 0;
        if generator.is_some() {
            self.interval.set(interval::in_force());
            countdown = self.split(gap::draw(&mut generator, self.interval.get()));
        }
        self.generator.set(generator);
        self.go_on(countdown);
    }

    /// Whether the allocation that is asked about comes from a handler that has interrupted another one between its countdown and the end
    /// of its decision. `countdown` is that before the handler's allocation, and this puts it back.
    #[inline(always)]
    pub(super) fn is_within_a_decision(&self, countdown: i64) -> bool {
        // mutant: D15 a handler comes into a decision
        if countdown < 0 && self.nested.get() < MAX_NESTED {
            // The allocation that was interrupted has counted down and is not decided yet, so it must find the countdown as it left it.
            self.nested.set(self.nested.get().saturating_add(1));
            self.bytes_until_sample.set(countdown);
            return true;
        }
        self.nested.set(0);
        false
    }

    /// Defers the part of `gap` that is beyond one stretch, and returns the rest: the countdown.
    pub(super) fn split(&self, gap: i64) -> i64 {
        let countdown = gap.min(STRETCH_BYTES);
        self.deferred.set(gap.saturating_sub(countdown));
        countdown
    }
}

/// Counts an allocation of `size` bytes, and returns whether [`decide`] must be asked about it.
#[inline(always)]
pub(crate) fn count_down(size: usize) -> bool {
    // mutant: A15 allocations share a counter
    THREAD.with(|thread| {
        let left = thread.bytes_until_sample.get().wrapping_sub(size as i64);
        thread.bytes_until_sample.set(left);
        left < 0
    })
}

/// Draws a fresh gap for the calling thread, so that a new interval counts from its very next allocation on. (Other
/// threads notice the interval at the end of their gap or stretch.)
pub(crate) fn restart() {
    THREAD.with(Thread::draw_afresh);
}

/// Has the child draw gaps of its own, from its next allocation on.
pub(crate) fn begin_anew(_: &Alone) {
    gap::forget_seed();
    THREAD.with(|thread| {
        let found = thread.stop();
        thread.generator.set(None);
        thread.deferred.set(0);
        thread.pauses.set(thread.pauses.get() & !IS_MEASURED);
        thread.slot.set(0);
        thread.is_fresh_gap_due.set(true);
        thread.go_on(found);
    });
}

/// Fixes the gaps of the calling thread, and of the threads that begin to allocate after this call, in the order in which
/// they begin.
pub(crate) fn seed(seed: u64) {
    gap::fix_seed(seed);
    let generator = gap::next_generator();
    THREAD.with(|thread| {
        let found = thread.stop();
        thread.generator.set(Some(generator));
        thread.is_fresh_gap_due.set(true);
        thread.go_on(found);
    });
}

//! A countdown of bytes in each thread says when to sample, and what a sample then stands for.
//!
//! The gap to the next sampled byte is `floor(X)` with `X` exponential of mean `sampling_interval`, so that a
//! block of `size` bytes is sampled with probability `1 - exp(-size / interval)` wherever it stands (the
//! geometric distribution has no memory). A sample weighs the reciprocal of this probability, so summed weights are
//! unbiased for any mix of sizes. At 512 KiB, a block of 64 bytes is sampled once in 8192.5 times and stands for 8192.5
//! objects; one of 1 MiB is sampled with probability 0.865 and stands for 1.157 objects.
//!
//! Everything slow hides behind the same branch: a thread's first use, an interval changed elsewhere, "off"
//! and re-entrancy are all expressed by what the countdown is set to. It never runs for more than
//! [`STRETCH_BYTES`] without a look at the interval; the rest of a longer gap waits in `deferred`.
//!
//! A thread that is measured has a countdown of 0, so that each of its allocations takes the slow path. There it looks like a paused
//! thread at first, so that nobody else pays for the question. The gap that it had waits until it is no longer measured.
//!
//! A signal's handler may interrupt its thread at any instruction of this file, and may itself allocate, pause, or set
//! another interval. So the countdown also keeps the handler out: while the rest of [`Thread`] is changed, the countdown
//! is negative, as it was for the allocation that is being decided, or it is that of a paused thread. In both states a
//! handler's own allocations are not sampled, and it leaves the countdown as it found it. One store at the end makes all of
//! the change valid at once.
//!
//! Path: *allocation path*; `count_down` is on every allocation.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, compiler_fence};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Exp1};

use crate::process::alone::Alone;
use crate::process::c_library;
use crate::sampling::interval;
use crate::tables::measured;

/// How many bytes a thread allocates at most before it looks at the interval again.
const STRETCH_BYTES: i64 = 1 << 20;
/// The gap in bytes when sampling is off, and the upper clamp of all gaps: more than any thread will ever allocate.
const NEVER: i64 = i64::MAX / 4;
/// The countdown of a thread that is paused. What the thread allocates meanwhile does not bring it down to [`NEVER`].
const PAUSED: i64 = i64::MAX;
/// In `pauses`: the thread is measured.
const IS_MEASURED: u32 = 1 << 31;
/// How many allocations of handlers may come between an allocation's countdown and the end of its decision. Where a handler
/// left by `longjmp`, that end never comes; then the thread goes on with a fresh gap after as many.
const MAX_NESTED: u32 = 1024;

struct Thread {
    /// The countdown, which is negative when the present allocation must take the slow path. It is about [`PAUSED`] while
    /// the thread is paused.
    bytes_until_sample: Cell<i64>,
    /// The bytes of the gap that lie beyond the countdown.
    deferred: Cell<i64>,
    /// The interval, in bytes, that the present gap was drawn with.
    interval: Cell<u64>,
    generator: Cell<Option<SmallRng>>,
    /// How many `Pause`s are open, and [`IS_MEASURED`]. It is above 0 only while the countdown is that of a paused or measured
    /// thread.
    pauses: Cell<u32>,
    /// The slot of the measurements of this thread; 0 if only the process is measured.
    slot: Cell<u32>,
    /// This is what the countdown was before the thread was measured.
    before_measured: Cell<i64>,
    /// Whether a fresh gap was asked for where none could be drawn. It is drawn when the thread goes on.
    is_fresh_gap_due: Cell<bool>,
    /// How many allocations of handlers have come while another one is being decided.
    nested: Cell<u32>,
}

// mutant: A6 thread-locals have a destructor
thread_local! {
    // `const` and without `Drop`, this is a bare thread-local: it can be used before and after everything else in a thread's
    // life, and its first use allocates nothing.
    static THREAD: Thread = const {
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
    fn stop(&self) -> i64 {
        let countdown = self.bytes_until_sample.replace(PAUSED);
        // The compiler must not move what follows before the store: a handler would find the thread half changed and not
        // paused.
        compiler_fence(SeqCst);
        countdown
    }

    /// Goes on with what `stop` returned or with another countdown. This is one store, so that a handler finds the thread
    /// either paused or complete.
    #[inline(always)]
    fn go_on(&self, countdown: i64) {
        compiler_fence(SeqCst);
        self.bytes_until_sample.set(countdown);
        compiler_fence(SeqCst);
        // Within another pause the fresh gap stays due. A handler that asks for one from here on draws it by itself.
        if self.is_fresh_gap_due.get() && !self.is_paused() {
            self.draw_afresh();
        }
    }

    /// Has every allocation be measured from the next one on.
    fn begin_measured(&self, slot: u32) {
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
            countdown = split(self, draw_gap(&mut generator, self.interval.get()));
        }
        self.generator.set(generator);
        self.go_on(countdown);
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

/// Why an allocation is recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Due {
    /// It was sampled, and stands for so many objects.
    Sampled(f64),
    /// Measurements count it.
    Measured,
}

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
        return decide_apart(thread, size);
    }
    // This is the countdown as it was before this allocation.
    let countdown = thread.bytes_until_sample.get().wrapping_add(size as i64);
    // mutant: D15 a handler comes into a decision
    if countdown < 0 && thread.nested.get() < MAX_NESTED {
        // We are in a handler. The allocation that it interrupted has counted down and is not decided yet, so it must find the
        // countdown as it left it.
        thread.nested.set(thread.nested.get().saturating_add(1));
        thread.bytes_until_sample.set(countdown);
        return None;
    }
    thread.nested.set(0);
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
        return Some(join(thread, size));
    }
    let mut gap = if is_first {
        INSTALLED.store(true, Relaxed);
        generator = Some(SmallRng::seed_from_u64(next_seed()));
        thread.interval.set(interval);
        draw_gap(&mut generator, interval)
    } else if countdown < 0 {
        draw_gap(&mut generator, thread.interval.get())
    } else {
        countdown.saturating_add(thread.deferred.get())
    };
    // All of this allocation is judged by the interval that its gap was drawn with, whatever interval is in force now. Only
    // so is its weight the reciprocal of its probability.
    let weight = (gap < size_bytes).then(|| weight(size, thread.interval.get()));
    gap = if weight.is_some() || interval != thread.interval.get() {
        draw_gap(&mut generator, interval)
    } else {
        gap.saturating_sub(size_bytes)
    };
    thread.interval.set(interval);
    thread.generator.set(generator);
    if interval == interval::MEASURED {
        join_late(thread);
        return weight.map(Due::Sampled);
    }
    let countdown = split(thread, gap);
    thread.go_on(countdown);
    weight.map(Due::Sampled)
}

/// Decides in a thread that is paused or measured.
#[cold]
#[inline(never)]
fn decide_apart(thread: &Thread, size: usize) -> Option<Due> {
    if thread.pauses.get() != IS_MEASURED {
        thread.bytes_until_sample.set(PAUSED);
        return None;
    }
    let countdown = thread.bytes_until_sample.get().wrapping_add(size as i64);
    if countdown < 0 && thread.nested.get() < MAX_NESTED {
        // We are in a handler, as in `decide_in`.
        thread.nested.set(thread.nested.get().saturating_add(1));
        thread.bytes_until_sample.set(countdown);
        return None;
    }
    thread.nested.set(0);
    if thread.slot.get() == 0 && interval::in_force() != interval::MEASURED {
        // The process is not measured any more.
        thread.end_measured();
        return if count_down(size) { decide(size) } else { None };
    }
    // mutant: E90 a measured thread measures one allocation
    thread.go_on(0);
    Some(Due::Measured)
}

/// Has a thread without a gap be measured with the process, from this allocation on.
#[cold]
#[inline(never)]
fn join(thread: &Thread, size: usize) -> Due {
    INSTALLED.store(true, Relaxed);
    // The allocation has counted down already.
    thread.bytes_until_sample.set(thread.bytes_until_sample.get().wrapping_add(size as i64));
    thread.begin_measured(0);
    Due::Measured
}

/// Has a thread that ran before be measured with the process, from its next allocation on. The gap that it had is over.
#[cold]
#[inline(never)]
fn join_late(thread: &Thread) {
    measured::LATE_THREADS.fetch_add(1, Relaxed);
    thread.is_fresh_gap_due.set(true);
    thread.bytes_until_sample.set(0);
    thread.begin_measured(0);
}

/// Returns the number of objects that a sampled block of `size` bytes stands for: the reciprocal of its probability.
///
/// It is `1 / (1 - exp(-size / interval))`, which is at least 1. It is exactly 1 at the intervals 1 and 0 (at 0 nothing is
/// sampled, so its weight is never asked for).
fn weight(size: usize, interval: u64) -> f64 {
    if interval <= 1 { 1.0 } else { -1.0 / (-(size.max(1) as f64) / interval as f64).exp_m1() }
}

/// Draws the number of bytes to let pass before the next sampled one.
fn draw_gap(generator: &mut Option<SmallRng>, interval: u64) -> i64 {
    match (interval, generator) {
        (0, _) | (_, None) => NEVER,
        (1, _) => 0,
        (interval, Some(generator)) => {
            let unit: f64 = Exp1.sample(generator);
            // mutant: D15 bytes that are counted twice are half as many
            let mean = interval as f64 * LEVELS.load(Relaxed) as f64;
            // `as` saturates, so no gap is negative or out of range.
            ((unit * mean) as i64).min(NEVER)
        }
    }
}

/// Defers the part of `gap` that is beyond one stretch, and returns the rest: the countdown.
fn split(thread: &Thread, gap: i64) -> i64 {
    let countdown = gap.min(STRETCH_BYTES);
    thread.deferred.set(gap.saturating_sub(countdown));
    countdown
}

/// Has the calling thread be measured from its next allocation on. `slot` is that of its measurements, or 0 if only the process is
/// measured. It returns false if the thread is paused.
pub(crate) fn begin_measured(slot: u32) -> bool {
    THREAD.with(|thread| {
        if thread.pauses.get() & !IS_MEASURED > 0 {
            return false;
        }
        thread.begin_measured(slot);
        true
    })
}

/// Ends what [`begin_measured`] began, unless the process is measured.
pub(crate) fn end_measured() {
    THREAD.with(|thread| {
        thread.slot.set(0);
        if thread.pauses.get() & IS_MEASURED != 0 && interval::in_force() != interval::MEASURED {
            thread.end_measured();
        }
    });
}

/// Returns the slot of the measurements of the calling thread; 0 if it has none.
pub(crate) fn measured_slot() -> u32 {
    THREAD.try_with(|thread| thread.slot.get()).unwrap_or(0)
}

/// Draws a fresh gap for the calling thread, so that a new interval counts from its very next allocation on. (Other
/// threads notice the interval at the end of their gap or stretch.)
pub(crate) fn restart() {
    THREAD.with(Thread::draw_afresh);
}

/// While it exists, this thread's allocations are neither sampled nor counted. Frees are noticed as ever.
///
/// It is not `Send` and never handed out, because after an `await` another thread may go on with it. Where pauses are
/// nested, in a handler too, the last to begin is the first to end, so each can put back what it found.
pub(crate) struct Pause {
    /// The countdown to go on with, which is that of a paused thread if this pause is not the first.
    found: i64,
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

impl Pause {
    pub(crate) fn begin() -> Pause {
        THREAD.with(|thread| {
            // mutant: D15 a pause that a handler comes into has no end (1)
            let found = thread.stop();
            // mutant: D15 a pause that a handler comes into has no end (2)
            thread.pauses.set(thread.pauses.get().saturating_add(1));
            Pause { found, _of_this_thread: std::marker::PhantomData }
        })
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        THREAD.with(|thread| {
            thread.pauses.set(thread.pauses.get().saturating_sub(1));
            // mutant: B3 the first block after a pause is sampled
            thread.go_on(self.found);
        });
    }
}

/// How many times each allocation is counted down: once by each of the `SamplingAllocator`s that are around one another.
static LEVELS: AtomicU64 = AtomicU64::new(1);

/// Leaves the decision on an allocation of `size` bytes, which [`count_down`] pointed out, to the inner allocator, which
/// counts it down too. In all, `levels` allocators count it. Gaps are longer by that factor, so that they take together as
/// many samples as one would.
///
/// Every thread's first allocation comes by here before the thread draws its first gap.
pub(crate) fn leave_to_inner(size: usize, levels: u64) {
    if LEVELS.load(Relaxed) < levels {
        LEVELS.store(levels, Relaxed);
    }
    let _ = THREAD.try_with(|thread| {
        let mut countdown = thread.bytes_until_sample.get().wrapping_add(size as i64);
        // In a pause, and in a handler that has interrupted another decision, the inner allocator sees to everything.
        if thread.pauses.get() == 0 && countdown >= 0 {
            let size_bytes = i64::try_from(size).unwrap_or(NEVER).min(NEVER);
            let gap = countdown.saturating_add(thread.deferred.get()).saturating_sub(size_bytes);
            countdown = split(thread, gap.max(0));
        }
        thread.bytes_until_sample.set(countdown);
    });
}

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Whether any thread has come through [`decide`].
pub(crate) fn is_installed() -> bool {
    INSTALLED.load(Relaxed)
}

/// The process's own seed, or 0 if there is none yet.
static SEED: AtomicU64 = AtomicU64::new(0);
static THREADS_SEEDED: AtomicU64 = AtomicU64::new(0);

/// Returns a seed for each thread. It takes no randomness from the system, which may block or forbid that; nobody's
/// secret depends on which allocations are sampled.
fn next_seed() -> u64 {
    if SEED.load(Relaxed) == 0 {
        let address_space_layout = (&raw const SEED).addr() as u64;
        let seed = c_library::nanos()
            ^ address_space_layout.rotate_left(32)
            ^ u64::from(std::process::id()).rotate_left(16);
        let _ = SEED.compare_exchange(0, seed | 1, Relaxed, Relaxed);
    }
    let thread_number = THREADS_SEEDED.fetch_add(1, Relaxed);
    // mutant: B3 threads are seeded alike
    // This is not the constant that `seed_from_u64` itself steps by: with that one, neighbours would share most of their
    // state.
    SEED.load(Relaxed).wrapping_add(thread_number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
}

/// Has the child draw gaps of its own, from its next allocation on.
pub(crate) fn begin_anew(_: &Alone) {
    SEED.store(0, Relaxed);
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
    SEED.store(seed.wrapping_shl(1) | 1, Relaxed);
    THREADS_SEEDED.store(0, Relaxed);
    let generator = SmallRng::seed_from_u64(next_seed());
    THREAD.with(|thread| {
        let found = thread.stop();
        thread.generator.set(Some(generator));
        thread.is_fresh_gap_due.set(true);
        thread.go_on(found);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_the_reciprocal_of_the_probability() {
        for (size, interval) in [(1, 2), (64, 524_288), (4096, 524_288), (1 << 20, 524_288), (1 << 40, 3)] {
            let probability = 1.0 - (-(size as f64) / interval as f64).exp();
            let product = weight(size, interval) * probability;
            assert!((product - 1.0).abs() < 1e-9, "{size} at {interval}: {product}");
        }
        assert_eq!(weight(64, 1), 1.0);
        assert_eq!(weight(64, 0), 1.0);
        assert!(weight(0, 512).is_finite());
        assert!((weight(64, 524_288) - 8192.5).abs() < 0.01);
        assert!(weight(1, u64::MAX).is_finite());
    }

    #[test]
    fn gaps_have_the_exponential_distribution() {
        // This is the test of Kolmogorov and Smirnov on 100 000 gaps of a fixed seed. A right generator exceeds the bound
        // 2.2 / sqrt(n) with probability 2 exp(-2 * 2.2^2) = 1.3e-4. The seed makes the outcome repeatable.
        const COUNT: usize = 100_000;
        let interval = 524_288;
        let mut generator = Some(SmallRng::seed_from_u64(7));
        let mut gaps: Vec<i64> = (0..COUNT).map(|_| draw_gap(&mut generator, interval)).collect();
        gaps.sort_unstable();
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(rank, &gap)| {
                let expected = 1.0 - (-(gap as f64 + 0.5) / interval as f64).exp();
                (expected - (rank as f64 + 0.5) / COUNT as f64).abs()
            })
            .fold(0.0, f64::max);
        assert!(distance < 2.2 / (COUNT as f64).sqrt(), "Kolmogorov-Smirnov distance {distance}");
    }

    #[test]
    fn extreme_intervals_keep_gaps_in_range() {
        let mut generator = Some(SmallRng::seed_from_u64(1));
        assert_eq!(draw_gap(&mut generator, 0), NEVER);
        assert_eq!(draw_gap(&mut generator, 1), 0);
        for _ in 0..1000 {
            assert!((0..=NEVER).contains(&draw_gap(&mut generator, u64::MAX)));
            assert!(draw_gap(&mut generator, 2) >= 0);
        }
    }
}

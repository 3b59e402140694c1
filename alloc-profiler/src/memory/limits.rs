//! These are the caps on what the profiler keeps, as they are in force.
//!
//! Path: *allocation path*, sampled allocations only; [`set_limits`] is called by the program.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static MEMORY_BYTES: AtomicUsize = AtomicUsize::new(Limits::DEFAULT.memory_bytes);
static STACKS: AtomicUsize = AtomicUsize::new(Limits::DEFAULT.stacks);
static LIVE_SAMPLES: AtomicUsize = AtomicUsize::new(Limits::DEFAULT.live_samples);

/// Hard caps on what the profiler keeps. What they keep out is counted: see [`Dropped`](crate::Dropped).
///
/// Begin with [`Limits::DEFAULT`], since there may be more caps in later versions:
///
/// ```
/// use alloc_profiler::{Limits, set_limits};
///
/// set_limits(Limits::DEFAULT.with_memory_bytes(16 << 20).with_stacks(10_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many bytes stacks, totals and live samples take together. Stacks and totals take at most half of it. The filter
    /// comes on top: it takes two thousandths of the heap's size, at most 8 MiB.
    pub memory_bytes: usize,
    /// How many distinct stacks are kept. Beyond, samples on new stacks count under one overflow stack.
    pub stacks: usize,
    /// How many live samples are kept, rounded up to a multiple of 256 and shared out by address. Beyond, samples count as
    /// allocated but are missing from what is in use.
    pub live_samples: usize,
}

impl Limits {
    /// 64 MiB, 65 536 stacks, 2^20 live samples.
    pub const DEFAULT: Limits = Limits { memory_bytes: 64 << 20, stacks: 1 << 16, live_samples: 1 << 20 };

    /// Returns the same limits with another [`Limits::memory_bytes`].
    #[must_use]
    pub const fn with_memory_bytes(self, memory_bytes: usize) -> Limits {
        Limits { memory_bytes, ..self }
    }

    /// Returns the same limits with another number of [`Limits::stacks`].
    #[must_use]
    pub const fn with_stacks(self, stacks: usize) -> Limits {
        Limits { stacks, ..self }
    }

    /// Returns the same limits with another number of [`Limits::live_samples`].
    #[must_use]
    pub const fn with_live_samples(self, live_samples: usize) -> Limits {
        Limits { live_samples, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

/// Returns the caps in force.
#[must_use]
pub fn limits() -> Limits {
    Limits { memory_bytes: memory_bytes(), stacks: stacks(), live_samples: live_samples() }
}

/// Sets the caps, at any time. Lower ones do not undo what is kept already.
pub fn set_limits(limits: Limits) {
    MEMORY_BYTES.store(limits.memory_bytes, Relaxed);
    STACKS.store(limits.stacks, Relaxed);
    LIVE_SAMPLES.store(limits.live_samples, Relaxed);
}

/// Returns the [`Limits::memory_bytes`] that is in force.
pub(crate) fn memory_bytes() -> usize {
    MEMORY_BYTES.load(Relaxed)
}

/// Returns the [`Limits::stacks`] that is in force.
pub(crate) fn stacks() -> usize {
    STACKS.load(Relaxed)
}

/// Returns the [`Limits::live_samples`] that is in force.
pub(crate) fn live_samples() -> usize {
    LIVE_SAMPLES.load(Relaxed)
}

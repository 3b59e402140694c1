//! What can be set: the sampling interval and the caps.
//!
//! Path: *allocation path* (`sampling_interval` is read there); the rest is called by the program.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::{fork, live, memory, sampler, stack, stacks};

/// Mean bytes between samples unless set otherwise: 512 KiB, like Go.
pub const DEFAULT_SAMPLING_INTERVAL: u64 = 512 * 1024;

/// The environment variable that [`init_from_env`] reads: mean bytes between samples.
pub const INTERVAL_VARIABLE: &str = "ALLOC_PROFILER_INTERVAL";

static SAMPLING_INTERVAL: AtomicU64 = AtomicU64::new(DEFAULT_SAMPLING_INTERVAL);

/// The mean bytes between samples in force; 1 = every allocation, 0 = off.
#[must_use]
pub fn sampling_interval() -> u64 {
    SAMPLING_INTERVAL.load(Relaxed)
}

/// Sets the mean bytes between samples, in the whole process: 1 = every allocation, 0 = off.
///
/// In the calling thread it counts from the next allocation; any other thread notices within one of its old
/// gaps or 1 MiB of its own allocations, whichever is smaller. What was sampled before keeps its weight, so
/// estimates stay right across the change, and blocks sampled before are still noticed when they are freed.
///
/// # Cost
///
/// One store. At small intervals it is the program that pays: see the crate's documentation.
pub fn set_sampling_interval(bytes: u64) {
    prepare();
    SAMPLING_INTERVAL.store(bytes, Relaxed);
    sampler::restart();
}

/// Takes the sampling interval from `ALLOC_PROFILER_INTERVAL`, if that is set: a whole number of bytes, 1 =
/// every allocation, 0 = off.
///
/// A bad value is reported on stderr and changes nothing. Only the first call in a process does anything, so an
/// interval set later by the program stays. `pprof_server::install!` and `pprof_server::serve` call it.
pub fn init_from_env() {
    // Not a `Once`: a child of a fork would wait for a thread that it does not have.
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if IS_DONE.swap(true, Relaxed) {
        return;
    }
    prepare();
    let Some(value) = std::env::var_os(INTERVAL_VARIABLE) else { return };
    match value.to_str().and_then(|value| value.trim().parse().ok()) {
        Some(bytes) => set_sampling_interval(bytes),
        None => {
            let warning = format!(
                "alloc_profiler: {INTERVAL_VARIABLE}={value:?} is not a number of bytes such as 524288 \
                 (1 = every allocation, 0 = off); the interval stays {} bytes\n",
                sampling_interval()
            );
            // `eprintln!` would panic where standard error is a closed pipe.
            let _ = std::io::stderr().write_all(warning.as_bytes());
        }
    }
}

/// What must be done once and cannot be done by the allocator: called by whatever the program calls of ours.
pub(crate) fn prepare() {
    stack::prepare();
    fork::prepare();
}

/// Hard caps on what the profiler keeps. What they keep out is counted: see [`Dropped`](crate::Dropped).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes for stacks, totals and live samples together; stacks and totals take at most half. The filter comes
    /// on top: two thousandths of the heap's size, at most 8 MiB.
    pub memory_bytes: usize,
    /// Distinct stacks. Beyond, samples on new stacks count under one overflow stack.
    pub stacks: usize,
    /// Live samples, rounded up to a multiple of 256 and shared out by address. Beyond, samples count as
    /// allocated but are missing from what is in use.
    pub live_samples: usize,
}

impl Limits {
    /// 64 MiB, 65 536 stacks, 2^20 live samples.
    pub const DEFAULT: Limits = Limits { memory_bytes: 64 << 20, stacks: 1 << 16, live_samples: 1 << 20 };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

/// The caps in force.
#[must_use]
pub fn limits() -> Limits {
    Limits { memory_bytes: memory::limit_bytes(), stacks: stacks::limit(), live_samples: live::limit() }
}

/// Sets the caps, at any time. Lower ones do not undo what is kept already.
pub fn set_limits(limits: Limits) {
    memory::set_limit_bytes(limits.memory_bytes);
    stacks::set_limit(limits.stacks);
    live::set_limit(limits.live_samples);
}

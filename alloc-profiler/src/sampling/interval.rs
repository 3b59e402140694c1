//! This holds the sampling interval that is in force.
//!
//! Path: *allocation path*: a load for each sampled allocation, and at least one for each MiB that a thread allocates.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The sampling interval unless another one is set, in bytes: 512 KiB, like Go's.
pub const DEFAULT_SAMPLING_INTERVAL: u64 = 512 * 1024;

/// In place of an interval: every allocation of the process is measured.
pub(crate) const MEASURED: u64 = u64::MAX;

/// Threads follow this: the interval that is set, or [`MEASURED`].
static IN_FORCE: AtomicU64 = AtomicU64::new(DEFAULT_SAMPLING_INTERVAL);
/// The interval that is set.
static SAMPLING_INTERVAL: AtomicU64 = AtomicU64::new(DEFAULT_SAMPLING_INTERVAL);

/// Returns the sampling interval in force: the mean number of bytes between two samples. 1 samples every allocation, and 0
/// turns sampling off.
#[must_use]
pub fn sampling_interval() -> u64 {
    SAMPLING_INTERVAL.load(Relaxed)
}

/// Returns the interval that threads are to follow, or [`MEASURED`].
#[inline(always)]
pub(crate) fn in_force() -> u64 {
    IN_FORCE.load(Relaxed)
}

/// Stores another interval. Threads notice it when they next look: see `thread`. While the process is measured, it waits.
pub(crate) fn store(bytes: u64) {
    SAMPLING_INTERVAL.store(bytes, Relaxed);
    let bytes = followed(bytes);
    let _ = IN_FORCE.fetch_update(Relaxed, Relaxed, |in_force| (in_force != MEASURED).then_some(bytes));
}

/// Has every allocation of the process be measured from now on, or not any more.
pub(crate) fn measure_all(all: bool) {
    if all {
        return IN_FORCE.store(MEASURED, Relaxed);
    }
    loop {
        let bytes = sampling_interval();
        IN_FORCE.store(followed(bytes), Relaxed);
        // Another one may have been set in between, which then found `MEASURED`.
        if sampling_interval() == bytes {
            return;
        }
    }
}

/// Returns what threads follow where `bytes` is set. No interval is [`MEASURED`]: no program allocates that much.
fn followed(bytes: u64) -> u64 {
    bytes.min(MEASURED - 1)
}

//! This holds the sampling interval that is in force.
//!
//! Path: *allocation path*: a load for each sampled allocation, and at least one for each MiB that a thread allocates.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The sampling interval unless another one is set, in bytes: 512 KiB, like Go's.
pub const DEFAULT_SAMPLING_INTERVAL: u64 = 512 * 1024;

static SAMPLING_INTERVAL: AtomicU64 = AtomicU64::new(DEFAULT_SAMPLING_INTERVAL);

/// Returns the sampling interval in force: the mean number of bytes between two samples. 1 samples every allocation, and 0
/// turns sampling off.
#[must_use]
pub fn sampling_interval() -> u64 {
    SAMPLING_INTERVAL.load(Relaxed)
}

/// Stores another interval. Threads notice it when they next look: see `sampler`.
pub(crate) fn store(bytes: u64) {
    SAMPLING_INTERVAL.store(bytes, Relaxed);
}

//! The program sets the sampling interval here.
//!
//! Path: *called by the program*, never by the allocator.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::fork;
use crate::sampling::{interval, labels, stack_room, thread};

/// The environment variable that [`init_from_env`] reads: the sampling interval in bytes.
pub const INTERVAL_VARIABLE: &str = "ALLOC_PROFILER_INTERVAL";

/// Sets the sampling interval of the whole process: the mean number of bytes between two samples. 1 samples every
/// allocation, and 0 turns sampling off.
///
/// In the calling thread it counts from the next allocation on. Any other thread notices it within one of its old gaps or
/// 1 MiB of its own allocations, whichever is smaller. What was sampled before keeps its weight, so estimates stay right
/// across the change, and blocks that were sampled before are still noticed when they are freed.
///
/// # Cost
///
/// The call costs one store. At small intervals it is the program that pays: see the crate's documentation.
pub fn set_sampling_interval(bytes: u64) {
    prepare();
    interval::store(bytes);
    thread::restart();
}

/// Has samples be kept apart by the labels of their threads from now on ([`SizeTotals::label`]), or not any more. It is off at
/// first. What was sampled before keeps the label that it has. `pprof-server` sets the labels.
///
/// # Cost
///
/// The call costs one store. A sampled allocation reads one word more. A stack takes some 100 bytes for each label that it is met
/// with, and each stack is looked through by its labels, so labels should be few: `pprof-server` has 4096 at most.
///
/// [`SizeTotals::label`]: crate::SizeTotals::label
pub fn keep_labels(are_kept: bool) {
    prepare();
    labels::keep(are_kept);
}

/// Whether samples are kept apart by labels: see [`keep_labels`].
#[must_use]
pub fn are_labels_kept() -> bool {
    labels::are_kept()
}

/// Takes the sampling interval from the environment variable `ALLOC_PROFILER_INTERVAL`, if that is set: a whole number of
/// bytes, where 1 samples every allocation and 0 turns sampling off.
///
/// A bad value is reported on standard error and changes nothing. Only the first call in a process does anything, so an
/// interval that the program sets later stays. `pprof_server::install!` and `pprof_server::serve` call this function.
pub fn init_from_env() {
    // This is no `Once`: a child of `fork` would wait for a thread that it does not have.
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
                interval::sampling_interval()
            );
            // `eprintln!` would panic where standard error is a closed pipe.
            let _ = std::io::stderr().write_all(warning.as_bytes());
        }
    }
}

/// Does what must be done once and cannot be done by the allocator. Every function that the program calls to set or to read
/// something calls it.
pub(crate) fn prepare() {
    unwinder::prepare();
    stack_room::prepare_thread();
    fork::prepare();
}

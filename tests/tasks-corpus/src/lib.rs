//! What the programs of the corpus have in common.

use tokio::runtime::{Builder, Runtime};

/// Has every task in the profile, and makes the runtime that the tasks run on.
///
/// # Panics
///
/// It panics if no thread can be had.
#[must_use]
pub fn runtime() -> Runtime {
    alloc_profiler::set_sampling_interval(1);
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be built")
}

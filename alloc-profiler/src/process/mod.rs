//! This module deals with the process that the profiler lives in: its threads and locks, its C library, its
//! descriptors, and other copies of this crate. Nothing here knows of samples.

pub(crate) mod alone;
pub(crate) mod bell;
pub(crate) mod c_library;
pub(crate) mod copies;
#[cfg(unix)]
pub(crate) mod descriptors;
pub(crate) mod malloc_stats;
pub(crate) mod release;
pub(crate) mod sync;
pub(crate) mod threads;

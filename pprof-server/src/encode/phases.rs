//! This does what `heap_profile` does, with a clock after each step, for the benchmark of the read path.
//!
//! It is not part of the interface; `benches/read_path.rs` uses it.
//!
//! Path: *read path*.

use super::{ProfileOptions, gzip, message, profile};
use alloc_profiler::{Snapshot, unsampled};
use std::time::{Duration, Instant};

/// How long each step took, and what came out.
#[derive(Clone, Copy, Debug)]
pub struct Phases {
    /// Mappings read, distinct addresses found and named, rows made.
    pub names: Duration,
    /// Tells how long merging, sorting and writing the rows as a protobuf message took.
    pub build: Duration,
    /// Tells how long compressing the message took.
    pub gzip: Duration,
    /// Tells the size of the message.
    pub message_bytes: usize,
    /// Tells the size of the profile once it is compressed.
    pub gzipped_bytes: usize,
}

/// Encodes as [`heap_profile`](super::heap_profile) does, and measures each step.
#[must_use]
pub fn heap_profile(snapshot: &Snapshot, options: &ProfileOptions) -> Phases {
    unsampled(|| {
        let start = Instant::now();
        let profile = profile(snapshot, options);
        let named = Instant::now();
        let message = message(&profile, options.limit);
        let (built, message_bytes) = (Instant::now(), message.len());
        let gzipped_bytes = gzip(message).len();
        let gzipped = Instant::now();
        Phases {
            names: named - start,
            build: built - named,
            gzip: gzipped - built,
            message_bytes,
            gzipped_bytes,
        }
    })
}

//! `heap_profile` with a clock after each step, for the benchmark of the read path.
//!
//! Not part of the interface. Used by `benches/read_path.rs`.
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
    /// Rows merged, sorted and written as a protobuf message.
    pub build: Duration,
    /// The message compressed.
    pub gzip: Duration,
    /// Size of the message.
    pub message_bytes: usize,
    /// Size of the profile.
    pub gzipped_bytes: usize,
}

/// As [`heap_profile`](super::heap_profile).
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

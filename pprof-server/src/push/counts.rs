//! How many profiles were pushed, and what became of them.
//!
//! Path: *read path*.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many profiles were pushed to an engine so far, and what became of them: see [`Push::counts`](crate::Push::counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushCounts {
    /// The engine took so many.
    pub accepted: u64,
    /// The engine answered so many times that it did not take one. What was allocated is told by the next profile, and CPU
    /// profiles are sent again unless the engine would refuse them again.
    pub refused: u64,
    /// So many did not get to the engine. They are treated as those that were refused.
    pub unsent: u64,
    /// So many were sent whole, and no answer says whether the engine took them. They are not sent again.
    pub unknown: u64,
    /// So many CPU profiles were given up: they were refused for good, or newer ones needed their room.
    pub dropped: u64,
}

/// The same while it changes.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl Counts {
    pub(super) fn now(&self) -> PushCounts {
        PushCounts {
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}

//! The figures of one measurement, while it runs.
//!
//! Path: *allocation path*, measured blocks only.

use std::sync::atomic::{AtomicU64, Ordering::*};

/// This is a number of objects, with their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

/// This is what a measurement counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) allocated: Counts,
    pub(crate) freed: Counts,
    pub(crate) peak_bytes: u64,
    pub(crate) untracked_blocks: u64,
}

/// This is the same, as threads add to it.
pub(super) struct Counters {
    allocated_objects: AtomicU64,
    allocated_bytes: AtomicU64,
    freed_objects: AtomicU64,
    freed_bytes: AtomicU64,
    /// What is in use is kept beside the other sums, because only one atomic operation tells what it was at one moment.
    inuse_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    untracked_blocks: AtomicU64,
}

impl Counters {
    pub(super) const fn zero() -> Self {
        Counters {
            allocated_objects: AtomicU64::new(0),
            allocated_bytes: AtomicU64::new(0),
            freed_objects: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            inuse_bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            untracked_blocks: AtomicU64::new(0),
        }
    }

    pub(super) fn begin_anew(&self) {
        let Counters {
            allocated_objects,
            allocated_bytes,
            freed_objects,
            freed_bytes,
            inuse_bytes,
            peak_bytes,
            untracked_blocks,
        } = self;
        let all = [allocated_objects, allocated_bytes, freed_objects, freed_bytes];
        all.into_iter()
            .chain([inuse_bytes, peak_bytes, untracked_blocks])
            .for_each(|counter| counter.store(0, Relaxed));
    }

    pub(super) fn allocated(&self, size: u64) {
        self.allocated_objects.fetch_add(1, Relaxed);
        self.allocated_bytes.fetch_add(size, Relaxed);
        self.now_in_use(size);
    }

    pub(super) fn freed(&self, size: u64) {
        self.freed_objects.fetch_add(1, Relaxed);
        self.freed_bytes.fetch_add(size, Relaxed);
        // mutant: E90 memory that was freed counts for the peak
        self.inuse_bytes.fetch_sub(size, Relaxed);
    }

    /// Takes back what `freed` counted, for the block stays.
    pub(super) fn kept(&self, size: u64) {
        self.freed_objects.fetch_sub(1, Relaxed);
        self.freed_bytes.fetch_sub(size, Relaxed);
        self.now_in_use(size);
    }

    /// Counts a block whose free cannot be noticed.
    pub(super) fn untracked(&self) {
        self.untracked_blocks.fetch_add(1, Relaxed);
    }

    fn now_in_use(&self, size: u64) {
        let in_use = self.inuse_bytes.fetch_add(size, Relaxed).wrapping_add(size);
        self.peak_bytes.fetch_max(in_use, Relaxed);
    }

    pub(super) fn figures(&self) -> Figures {
        let counts = |objects: &AtomicU64, bytes: &AtomicU64| Counts {
            objects: objects.load(Relaxed),
            bytes: bytes.load(Relaxed),
        };
        Figures {
            allocated: counts(&self.allocated_objects, &self.allocated_bytes),
            freed: counts(&self.freed_objects, &self.freed_bytes),
            peak_bytes: self.peak_bytes.load(Relaxed),
            untracked_blocks: self.untracked_blocks.load(Relaxed),
        }
    }
}

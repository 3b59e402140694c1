//! This is as in the profiler, but counts begin anew for each order.

use crate::process::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn raise(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

pub(crate) static DUPLICATE_INSERTS: Counter = Counter(AtomicU64::new(0));
pub(crate) static MISSED_REMOVALS: Counter = Counter(AtomicU64::new(0));

//! What was lost or cut, by reason: raised where it happens, read by snapshots.
//!
//! Path: *allocation path*, exceptional cases only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Dropped;
use crate::fork::Alone;

pub(crate) struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Counter(AtomicU64::new(0))
    }

    pub(crate) fn raise(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn zero(&self) {
        self.0.store(0, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

pub(crate) static STACKS_FULL: Counter = Counter::new();
pub(crate) static LIVE_FULL: Counter = Counter::new();
pub(crate) static LIVE_BUSY: Counter = Counter::new();
pub(crate) static MISSED_REMOVALS: Counter = Counter::new();
pub(crate) static LOW_STACK: Counter = Counter::new();
pub(crate) static TRUNCATED_STACKS: Counter = Counter::new();
pub(crate) static CUT_STACKS: Counter = Counter::new();
pub(crate) static NO_STACK: Counter = Counter::new();
/// A block recorded at an address that already had a record, which it replaces: its free was missed, or the block is
/// part of another one. Tests demand zero.
pub(crate) static DUPLICATE_INSERTS: Counter = Counter::new();

/// All counts now.
pub(crate) fn dropped() -> Dropped {
    Dropped {
        stacks_full: STACKS_FULL.get(),
        live_full: LIVE_FULL.get(),
        live_busy: LIVE_BUSY.get(),
        missed_removals: MISSED_REMOVALS.get(),
        low_stack: LOW_STACK.get(),
        truncated_stacks: TRUNCATED_STACKS.get(),
        cut_stacks: CUT_STACKS.get(),
        no_stack: NO_STACK.get(),
        replaced_records: DUPLICATE_INSERTS.get(),
    }
}

/// Counts nothing of what the parent lost.
pub(crate) fn begin_anew(_: &Alone) {
    let counters = [
        &STACKS_FULL,
        &LIVE_FULL,
        &LIVE_BUSY,
        &MISSED_REMOVALS,
        &LOW_STACK,
        &TRUNCATED_STACKS,
        &CUT_STACKS,
        &NO_STACK,
    ];
    counters.into_iter().chain([&DUPLICATE_INSERTS]).for_each(Counter::zero);
}

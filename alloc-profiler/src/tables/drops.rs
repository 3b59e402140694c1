//! Counters tell how much was lost or cut, by reason. They are raised where it happens, and snapshots read them.
//!
//! Path: *allocation path*, exceptional cases only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::process::alone::Alone;

/// How many samples were lost or cut short, by reason. In a healthy program all counts are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Samples that are counted under [`Snapshot::overflow`](crate::Snapshot::overflow) because a limit on distinct stacks
    /// or on memory was reached. Their objects and bytes are in the totals.
    pub stacks_full: u64,
    /// Samples that are counted in `alloc_*` but missing from `inuse_*`, because a limit on live samples or on memory was
    /// reached.
    pub live_full: u64,
    /// Samples that are counted in `alloc_*` but missing from `inuse_*`, because the table's lock could not be had in time.
    pub live_busy: u64,
    /// Freed blocks whose record could be neither removed at once nor noted down, so that it may linger.
    pub missed_removals: u64,
    /// Samples that are counted under the empty stack, because too little of the thread's own stack was left to unwind it.
    pub low_stack: u64,
    /// Samples whose stack was deeper than [`MAX_STACK_DEPTH`](crate::MAX_STACK_DEPTH) frames.
    pub truncated_stacks: u64,
    /// Samples whose outermost frames are missing, because a function on the way has no unwind tables and no frame pointer
    /// that could be verified.
    pub cut_stacks: u64,
    /// Samples that are counted under the empty stack, because not even the first caller could be told.
    pub no_stack: u64,
    /// Samples that are counted in `alloc_*` but missing from `inuse_*`, because another block was recorded at the same
    /// address. Either one [`SamplingAllocator`](crate::SamplingAllocator) hands out memory that is a block of another one, as a pool over
    /// the global allocator does, or a free was missed.
    pub replaced_records: u64,
}

impl Dropped {
    /// Returns what was added to each count since `earlier`.
    pub(crate) fn since(&self, earlier: &Dropped) -> Dropped {
        Dropped {
            stacks_full: self.stacks_full.saturating_sub(earlier.stacks_full),
            live_full: self.live_full.saturating_sub(earlier.live_full),
            live_busy: self.live_busy.saturating_sub(earlier.live_busy),
            missed_removals: self.missed_removals.saturating_sub(earlier.missed_removals),
            low_stack: self.low_stack.saturating_sub(earlier.low_stack),
            truncated_stacks: self.truncated_stacks.saturating_sub(earlier.truncated_stacks),
            cut_stacks: self.cut_stacks.saturating_sub(earlier.cut_stacks),
            no_stack: self.no_stack.saturating_sub(earlier.no_stack),
            replaced_records: self.replaced_records.saturating_sub(earlier.replaced_records),
        }
    }
}

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
/// Counts blocks that were recorded at an address which already had a record. The new record replaces the old one, whose free
/// was missed or whose block the new one is a part of. Tests demand that it is 0.
pub(crate) static DUPLICATE_INSERTS: Counter = Counter::new();

/// Reads all counts.
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
        // mutant: D15 records that another block took are not told
        replaced_records: DUPLICATE_INSERTS.get(),
    }
}

/// Forgets what the parent of a fork lost.
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

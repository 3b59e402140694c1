//! A removal is postponed if the lock could not be had in time. The next owner of the lock does them first.
//!
//! On a busy machine, a lock's owner may not run for as long as it takes another thread to free hundreds of blocks. So a
//! shard has a few slots of its own for addresses, and all shards have many in common.
//!
//! Path: *allocation path*, sampled blocks only.

use super::table::EMPTY;
use crate::process::alone::Alone;
use crate::process::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use crate::tables::drops;

/// The slots that all shards share: addresses for which their shard had no free slot.
static SPILT: [AtomicUsize; 1024] = [const { AtomicUsize::new(EMPTY) }; 1024];

/// Keeps the postponed removals of one shard.
#[repr(C)]
pub(super) struct Postponed {
    /// Whether any address of this shard is in `slots` or in `SPILT`.
    has_any: AtomicBool,
    /// Whether any address of this shard is in `SPILT`.
    has_spilt: AtomicBool,
    /// Each slot holds an address, or `EMPTY`.
    slots: [AtomicUsize; 8],
}

impl Postponed {
    pub(super) const fn new() -> Self {
        Postponed {
            has_any: AtomicBool::new(false),
            has_spilt: AtomicBool::new(false),
            slots: [const { AtomicUsize::new(EMPTY) }; 8],
        }
    }

    /// Whether there may be any. If not, there are surely none that were added before the lock was taken.
    #[inline(always)]
    pub(super) fn may_be_some(&self) -> bool {
        self.has_any.load(Relaxed)
    }

    /// Notes that the record of `address` is to be removed. If no slot is left, it counts that and returns false.
    pub(super) fn add(&self, address: usize) -> bool {
        let note = |slot: &AtomicUsize| slot.compare_exchange(EMPTY, address, AcqRel, Relaxed).is_ok();
        if !self.slots.iter().any(note) {
            // mutant: B1 removals that wait are few
            if !SPILT.iter().any(note) {
                drops::MISSED_REMOVALS.raise();
                return false;
            }
            self.has_spilt.swap(true, AcqRel);
        }
        // mutant: B1 of two that wait, one is seen
        // This is no store. With stores, a thread that finds the flag raised would see the slot of the thread that raised it
        // last, and perhaps no other.
        self.has_any.swap(true, AcqRel);
        true
    }

    /// Whether the record of `address` is to be removed.
    pub(super) fn contains(&self, address: usize) -> bool {
        let is_noted = |slot: &AtomicUsize| slot.load(Acquire) == address;
        self.slots.iter().any(is_noted) || SPILT.iter().any(is_noted)
    }

    /// Takes back what [`add`](Self::add) noted. It returns false if the removal has been done or is being done.
    pub(super) fn cancel(&self, address: usize) -> bool {
        let take_back = |slot: &AtomicUsize| slot.compare_exchange(address, EMPTY, AcqRel, Relaxed).is_ok();
        self.slots.iter().any(take_back) || SPILT.iter().any(take_back)
    }

    /// Hands to `remove`, which has the shard's lock, each address that was noted in the shard's own slots, and each in the
    /// shared ones that `is_ours`.
    pub(super) fn take_each(&self, is_ours: impl Fn(usize) -> bool, mut remove: impl FnMut(usize)) {
        let mut take = |slot: &AtomicUsize, address: usize| {
            // mutant: D15 a removal is done that was put off for good
            // The exchange fails if the block's owner has taken the address back.
            if slot.compare_exchange(address, EMPTY, AcqRel, Relaxed).is_ok() {
                remove(address);
            }
        };
        // The flag is lowered before the slots are read, so that whoever fills a slot meanwhile raises it again.
        self.has_any.swap(false, AcqRel);
        for slot in &self.slots {
            let address = slot.load(Acquire);
            if address != EMPTY {
                take(slot, address);
            }
        }
        // The same holds for the shared slots.
        if self.has_spilt.swap(false, AcqRel) {
            for slot in &SPILT {
                let address = slot.load(Acquire);
                if address != EMPTY && is_ours(address) {
                    take(slot, address);
                }
            }
        }
    }

    /// Forgets what the parent of a fork noted.
    pub(super) fn begin_anew(&self, _: &Alone) {
        self.slots.iter().for_each(|slot| slot.store(EMPTY, Relaxed));
        self.has_any.store(false, Relaxed);
        self.has_spilt.store(false, Relaxed);
    }
}

/// Forgets what the parent of a fork noted in the shared slots.
pub(super) fn begin_anew(_: &Alone) {
    SPILT.iter().filter(|slot| slot.load(Relaxed) != EMPTY).for_each(|slot| slot.store(EMPTY, Relaxed));
}

//! Removals that had to wait, since the lock could not be had in time: the next owner of the lock does them first.
//!
//! On a busy machine, a lock's owner may not run for as long as it takes another thread to free hundreds of blocks: a
//! shard has a few places of its own, and all shards have many in common.
//!
//! Path: *allocation path*, sampled blocks only.

use super::table::EMPTY;
use crate::alone::Alone;
use crate::drops;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

/// Addresses that found no place with their shard.
static SPILT: [AtomicUsize; 1024] = [const { AtomicUsize::new(EMPTY) }; 1024];

/// Of a shard.
#[repr(C)]
pub(super) struct Postponed {
    /// Whether there are any `places` taken, or any of ours in `SPILT`.
    has_any: AtomicBool,
    /// Whether there are any of ours in `SPILT`.
    has_spilt: AtomicBool,
    /// Addresses.
    places: [AtomicUsize; 8],
}

impl Postponed {
    pub(super) const fn new() -> Self {
        Postponed {
            has_any: AtomicBool::new(false),
            has_spilt: AtomicBool::new(false),
            places: [const { AtomicUsize::new(EMPTY) }; 8],
        }
    }

    /// False: there are surely none that were added before the lock was taken.
    #[inline(always)]
    pub(super) fn may_be_some(&self) -> bool {
        self.has_any.load(Relaxed)
    }

    /// Notes that the record of `address` is to be removed. False, and counted: there is no place left.
    pub(super) fn add(&self, address: usize) -> bool {
        let note = |place: &AtomicUsize| place.compare_exchange(EMPTY, address, AcqRel, Relaxed).is_ok();
        if !self.places.iter().any(note) {
            // mutant: B1 removals that wait are few
            if !SPILT.iter().any(note) {
                drops::MISSED_REMOVALS.raise();
                return false;
            }
            self.has_spilt.swap(true, AcqRel);
        }
        // mutant: B1 of two that wait, one is seen
        // Not stored: who finds it raised would see the place of the one who raised it last, and perhaps no other.
        self.has_any.swap(true, AcqRel);
        true
    }

    /// Whether the record of `address` is to be removed.
    pub(super) fn contains(&self, address: usize) -> bool {
        let is_noted = |place: &AtomicUsize| place.load(Acquire) == address;
        self.places.iter().any(is_noted) || SPILT.iter().any(is_noted)
    }

    /// Takes back what [`add`](Self::add) noted. False: it has been done, or is being done.
    pub(super) fn cancel(&self, address: usize) -> bool {
        let take_back = |place: &AtomicUsize| place.compare_exchange(address, EMPTY, AcqRel, Relaxed).is_ok();
        self.places.iter().any(take_back) || SPILT.iter().any(take_back)
    }

    /// Hands each address to `remove`, which has the shard's lock, and of those that are noted for all shards each that
    /// `is_ours`.
    pub(super) fn take_each(&self, is_ours: impl Fn(usize) -> bool, mut remove: impl FnMut(usize)) {
        let mut take = |place: &AtomicUsize, address: usize| {
            // mutant: D15 a removal is done that was put off for good
            // Or its owner has taken it back.
            if place.compare_exchange(address, EMPTY, AcqRel, Relaxed).is_ok() {
                remove(address);
            }
        };
        // Before the places are read: one taken meanwhile raises the flag again.
        self.has_any.swap(false, AcqRel);
        for place in &self.places {
            let address = place.load(Acquire);
            if address != EMPTY {
                take(place, address);
            }
        }
        // As above.
        if self.has_spilt.swap(false, AcqRel) {
            for place in &SPILT {
                let address = place.load(Acquire);
                if address != EMPTY && is_ours(address) {
                    take(place, address);
                }
            }
        }
    }

    /// Forgets what the parent noted.
    pub(super) fn begin_anew(&self, _: &Alone) {
        self.places.iter().for_each(|place| place.store(EMPTY, Relaxed));
        self.has_any.store(false, Relaxed);
        self.has_spilt.store(false, Relaxed);
    }
}

/// Forgets what the parent noted for all shards.
pub(super) fn begin_anew(_: &Alone) {
    SPILT.iter().filter(|place| place.load(Relaxed) != EMPTY).for_each(|place| place.store(EMPTY, Relaxed));
}

//! A table holds live samples by address. It is open-addressed, with linear probing.
//!
//! A removal leaves a mark in its slot if searches must go on there; the next record that comes by takes the slot. Marks
//! before an empty slot are removed with it. When every allocation is sampled, what counts is how many cache lines are waited
//! for. So the keys lie by themselves, eight to a line, and a free looks at nothing else. An allocation asks for them in
//! advance, while its stack is taken.
//!
//! Tables that were outgrown are kept for other shards. Their pages are lent back to the system but never unmapped, so a late
//! reader reads stale keys or zeros at worst.
//!
//! Path: *allocation path*, sampled blocks only.

use crate::hash::multiply;
use crate::memory::{self, AtomicRef, Purpose};
use crate::process::alone::Alone;
use crate::process::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use crate::process::sync::{Patience, SpinLock};

/// No block starts at this address, so it marks an empty slot, where searches end.
pub(super) const EMPTY: usize = 0;
/// No block starts here either. It marks a slot whose record was removed, where searches go on.
const REMOVED: usize = 1;

/// Tables that were outgrown, by the binary logarithm of their number of slots.
static SPARES: [SpinLock<Option<&'static Table>>; usize::BITS as usize] =
    [const { SpinLock::new(None) }; usize::BITS as usize];

/// The record of a sampled block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LiveSample {
    pub(crate) address: usize,
    pub(crate) size: usize,
    /// The number of objects that it stands for, with the 24 significant bits of an `f32`.
    pub(crate) weight: f64,
    pub(crate) site_id: u32,
    /// The time at which it was allocated, by [`c_library::ticks`](crate::process::c_library::ticks).
    pub(crate) born: u32,
    /// The number of the last snapshot that had begun by then.
    pub(crate) after_snapshot: u32,
}

impl LiveSample {
    /// Whether it was sampled by chance, and not with certainty.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.weight > 1.0
    }
}

/// A table, which is changed under the lock of the shard that has it.
pub(super) struct Table {
    /// All of the table's memory, in which the keys come before the values.
    words: &'static [AtomicU64],
    pub(super) keys: &'static [AtomicU64],
    /// Each key has three values: the size, the weight with the number of the last snapshot, and the site with the birth.
    pub(super) values: &'static [[AtomicU64; 3]],
    next_spare: AtomicRef<Table>,
    /// Whether its pages are lent back to the system at present.
    is_lent: AtomicBool,
}

/// Forgets the spare tables of the parent of a fork.
pub(super) fn begin_anew(alone: &Alone) {
    for spares in &SPARES {
        *spares.seize(alone) = None;
    }
}

pub(super) const fn hash(number: usize) -> u64 {
    multiply(number as u64)
}

/// Returns the slot at which searches for `address` begin, in a table as large as can be. Blocks that are allocated one after
/// the other often lie side by side. Those of the same 128 bytes have their keys on the same cache line, each in a slot of
/// its own, since no two are nearer than 16 bytes.
#[inline(always)]
pub(crate) const fn home(address: usize) -> usize {
    let hash = hash(address >> 7);
    let line = hash.wrapping_shr(40 - 3) as usize & !7;
    line | (address >> 4 ^ hash as usize >> 32) & 7
}

/// Whether the key of a slot is that of a record.
fn is_address(key: usize) -> bool {
    key > REMOVED
}

/// Reads the record in a slot, if there is one.
fn sample(
    address: usize,
    [size, weight_and_snapshot, site_and_birth]: &[AtomicU64; 3],
) -> Option<LiveSample> {
    is_address(address).then(|| {
        let weight_and_snapshot = weight_and_snapshot.load(Relaxed);
        let site_and_birth = site_and_birth.load(Relaxed);
        LiveSample {
            address,
            size: size.load(Relaxed) as usize,
            weight: f64::from(f32::from_bits(weight_and_snapshot as u32)),
            after_snapshot: (weight_and_snapshot >> 32) as u32,
            site_id: site_and_birth as u32,
            born: (site_and_birth >> 32) as u32,
        }
    })
}

impl Table {
    /// Returns an empty table with `slots` slots, a power of two. It is a spare table or a new one.
    pub(super) fn with_slots(slots: usize) -> Option<&'static Table> {
        let spare = SPARES.get(slots.checked_ilog2()? as usize).and_then(|spares| {
            let mut spares = spares.try_lock(Patience::Bounded)?;
            let table = (*spares)?;
            *spares = table.next_spare.load();
            Some(table)
        });
        if let Some(table) = spare {
            if !table.is_lent.load(Relaxed) {
                table.keys.iter().for_each(|key| key.store(EMPTY as u64, Relaxed));
                return Some(table);
            }
            if memory::take_back(table.words) {
                table.is_lent.store(false, Relaxed);
                return Some(table);
            }
            table.keep();
            return None;
        }
        let words = memory::zeroed_slice(slots.checked_mul(4)?, Purpose::Live)?;
        let (keys, values) = words.split_at_checked(slots)?;
        let (values, _) = values.as_chunks();
        let (next_spare, is_lent) = (AtomicRef::none(), AtomicBool::new(false));
        memory::allocate(Table { words, keys, values, next_spare, is_lent }, Purpose::Live)
    }

    /// Gives its memory back, as far as it can be given, and keeps the table for another shard.
    pub(super) fn spare(&'static self) {
        self.is_lent.store(memory::lend_back(self.words), Relaxed);
        self.keep();
    }

    fn keep(&'static self) {
        if let Some(spares) = SPARES.get(self.keys.len().checked_ilog2().unwrap_or(0) as usize)
            && let Some(mut spares) = spares.try_lock(Patience::Bounded)
        {
            self.next_spare.store(*spares);
            *spares = Some(self);
        }
    }

    #[inline]
    pub(super) fn mask(&self) -> usize {
        self.keys.len().wrapping_sub(1)
    }

    #[inline]
    pub(super) fn key(&self, slot: usize) -> usize {
        self.keys.get(slot).map_or(EMPTY, |key| key.load(Relaxed) as usize)
    }

    /// Returns the slot of `address`, or else the one to put it in: the first free slot that a search for it comes by.
    #[inline(always)]
    pub(super) fn search(&self, address: usize, home: usize) -> Option<usize> {
        let mask = self.mask();
        let mut free = None;
        for step in 0..self.keys.len() {
            let slot = home.wrapping_add(step) & mask;
            match self.key(slot) {
                key if key == address => return Some(slot),
                EMPTY => return free.or(Some(slot)),
                REMOVED => free = free.or(Some(slot)),
                _ => {}
            }
        }
        free
    }

    /// Returns the slot of `address`, if the table has a record of it.
    #[inline(always)]
    pub(super) fn find(&self, address: usize) -> Option<usize> {
        let (home, mask) = (home(address), self.mask());
        let mut slots = (0..self.keys.len()).map(|step| home.wrapping_add(step) & mask);
        let slot = slots.find(|&slot| matches!(self.key(slot), key if key == address || key == EMPTY))?;
        (self.key(slot) == address).then_some(slot)
    }

    /// Returns what the record in a slot adds to sums.
    #[inline(always)]
    pub(super) fn size_and_weight(&self, slot: usize) -> (usize, f64) {
        self.values.get(slot).map_or((0, 1.0), |[size, weight_and_snapshot, _]| {
            let weight = f32::from_bits(weight_and_snapshot.load(Relaxed) as u32);
            (size.load(Relaxed) as usize, f64::from(weight))
        })
    }

    pub(super) fn sample(&self, slot: usize) -> Option<LiveSample> {
        sample(self.key(slot), self.values.get(slot)?)
    }

    /// Returns all records. It goes through both slices in step, so that no bound is left to check for each slot.
    pub(super) fn samples(&self) -> impl Iterator<Item = LiveSample> {
        self.keys
            .iter()
            .zip(self.values)
            .filter_map(|(key, values)| sample(key.load(Relaxed) as usize, values))
    }

    #[inline]
    pub(super) fn set(&self, slot: usize, sample: &LiveSample) {
        if let (Some(key), Some([size, weight_and_snapshot, site_and_birth])) =
            (self.keys.get(slot), self.values.get(slot))
        {
            let weight = (sample.weight as f32).to_bits();
            size.store(sample.size as u64, Relaxed);
            weight_and_snapshot.store(u64::from(sample.after_snapshot) << 32 | u64::from(weight), Relaxed);
            site_and_birth.store(u64::from(sample.born) << 32 | u64::from(sample.site_id), Relaxed);
            key.store(sample.address as u64, Relaxed);
        }
    }

    /// Takes a record out, and returns how many slots have become empty. It is none where searches for other records may come
    /// by. Otherwise it is this one and the marks right before it, which were kept for such searches alone.
    #[inline(always)]
    pub(super) fn clear_slot(&self, slot: usize) -> usize {
        let mask = self.mask();
        let mark = |slot: usize, mark: usize| {
            if let Some(key) = self.keys.get(slot) {
                key.store(mark as u64, Relaxed);
            }
        };
        if self.key(slot.wrapping_add(1) & mask) != EMPTY {
            // mutant: B1 searches end where a record was removed
            mark(slot, REMOVED);
            return 0;
        }
        mark(slot, EMPTY);
        let before = (1..self.keys.len()).map(|step| slot.wrapping_sub(step) & mask);
        let kept = before.take_while(|&slot| self.key(slot) == REMOVED);
        kept.inspect(|&slot| mark(slot, EMPTY)).count().wrapping_add(1)
    }
}

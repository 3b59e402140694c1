//! A shard of the live table has one lock, and the table that it guards.
//!
//! When its table is three quarters full, a shard gets another one, which is twice as large if records fill it more than
//! marks do. Even with a million records that moves some thousand entries. A look without the lock may come while the table
//! is replaced: `version` is odd meanwhile and another one afterwards, so the look is repeated.
//!
//! Path: *allocation path*, sampled blocks only.

use super::postponed::Postponed;
use super::table::{EMPTY, LiveSample, Table, hash, home};
use crate::estimate::sums::Sums;
use crate::memory::AtomicRef;
use crate::memory::limits;
use crate::process::sync::atomic::{AtomicU64, Ordering::*, fence};
use crate::process::sync::{Guard, SpinLock};
use crate::tables::{drops, filter};

// mutant: C2 one table for all
pub(super) const SHARDS: usize = 256;
/// The slots of a shard's first table, which has 512 bytes.
const MIN_SLOTS: usize = 16;
/// How often a look without the lock is repeated before the lock is taken.
const TRIES: u32 = 3;

pub(super) static LIVE: [Shard; SHARDS] = [const { Shard::new() }; SHARDS];

/// Why a sample could not be recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lost {
    /// A cap was reached, or the system has no memory.
    Full,
    /// The lock could not be had in time.
    Busy,
}

/// A shard is on two cache lines of its own, so that shards do not slow each other. What is used all the time is on the
/// first line.
#[repr(C, align(128))]
pub(super) struct Shard {
    /// The version is odd while the table is replaced.
    pub(super) version: AtomicU64,
    pub(super) table: AtomicRef<Table>,
    pub(super) lock: SpinLock<Used>,
    pub(super) postponed: Postponed,
}

/// How much of a shard's table is used, and by what. The shard's lock guards it, and every change of the table.
#[derive(Clone, Copy, Default)]
pub(super) struct Used {
    /// Counts the records.
    pub(super) records: usize,
    /// The number of slots that are not empty: they hold a record, or the mark of one that was removed.
    slots: usize,
    /// All samples that came here.
    pub(super) came: Sums,
    /// Those of them that have no record: it was removed, or there was no room for it.
    pub(super) went: Sums,
}

impl Used {
    const NOTHING: Used = Used { records: 0, slots: 0, came: Sums::NOTHING, went: Sums::NOTHING };
}

/// Returns the shard of `address`. It is chosen by what the filter counts together, so that a shard's lock is also the lock
/// of its counts.
#[inline]
#[expect(clippy::indexing_slicing, reason = "eight bits of the hash for 256 shards")]
pub(super) fn shard(address: usize) -> &'static Shard {
    // mutant: B2 a thread's own frees alone are noticed
    &LIVE[(hash(filter::granule(address)) >> 56) as usize & (SHARDS - 1)]
}

impl Shard {
    const fn new() -> Self {
        Shard {
            version: AtomicU64::new(0),
            table: AtomicRef::none(),
            lock: SpinLock::new(Used::NOTHING),
            postponed: Postponed::new(),
        }
    }

    /// Returns the slot of `address`, if the record is still there when the lock is held, or `None` if the record is surely
    /// not in the table. It takes no lock.
    #[inline(always)]
    pub(super) fn look(&self, address: usize) -> Option<usize> {
        self.look_without_lock(|table| table.find(address)).unwrap_or(Some(0))
    }

    /// Returns what `look` finds in a table that is not replaced meanwhile, or `None` if it was, again and again.
    #[inline(always)]
    fn look_without_lock<R>(&self, look: impl Fn(&Table) -> Option<R>) -> Option<Option<R>> {
        for _ in 0..TRIES {
            let version = self.version.load(Acquire);
            let found = self.table.load().and_then(&look);
            // mutant: B1 a version is compared too early
            fence(Acquire);
            // mutant: B1 looks trust what is being moved
            if version.is_multiple_of(2) && version == self.version.load(Relaxed) {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// Records a sample under its address, whose home slot is `home`. The caller holds the lock, which `used` is from.
    #[inline]
    pub(super) fn insert(
        &self,
        used: &mut Guard<'_, Used>,
        home: usize,
        sample: &LiveSample,
    ) -> Result<(), Lost> {
        let mut table = self.table.load();
        let mut slot = table.and_then(|table| table.search(sample.address, home));
        if let (Some(table), Some(slot)) = (table, slot)
            && table.key(slot) == sample.address
        {
            drops::DUPLICATE_INSERTS.raise();
            let (size, weight) = table.size_and_weight(slot);
            used.went.add(size, weight);
            table.set(slot, sample);
            return Ok(());
        }
        if used.records >= limits::live_samples().div_ceil(SHARDS) {
            return Err(Lost::Full);
        }
        let slots = table.map_or(0, |table| table.keys.len());
        let fills_slot = slot.is_none_or(|slot| table.is_none_or(|table| table.key(slot) == EMPTY));
        if fills_slot && used.slots.wrapping_add(1) > slots.wrapping_sub(slots >> 2) {
            // If there is no room for another table, this one is filled further. An eighth always stays empty, so that
            // searches end.
            match self.replace_table(used, slots) {
                Some(other) => {
                    table = Some(other);
                    slot = other.search(sample.address, home);
                }
                None if used.slots.wrapping_add(1) > slots.wrapping_sub(slots >> 3) => {
                    return Err(Lost::Full);
                }
                None => {}
            }
        }
        let (table, slot) = table.zip(slot).ok_or(Lost::Full)?;
        filter::insert(sample.address);
        table.set(slot, sample);
        used.records = used.records.wrapping_add(1);
        used.slots = used.slots.wrapping_add(usize::from(fills_slot));
        Ok(())
    }

    /// Removes the record of `address`, if there is one, and returns what `read` found in its slot before. The caller holds
    /// the lock.
    #[inline(always)]
    pub(super) fn remove<R>(
        &self,
        used: &mut Guard<'_, Used>,
        address: usize,
        expected_slot: usize,
        read: impl FnOnce(&Table, usize) -> R,
    ) -> Option<R> {
        let table = self.table.load()?;
        let is_as_expected = table.key(expected_slot) == address;
        let slot = if is_as_expected { expected_slot } else { table.find(address)? };
        let result = read(table, slot);
        // mutant: B1 what was removed is still in use
        let (size, weight) = table.size_and_weight(slot);
        used.went.add(size, weight);
        let emptied = table.clear_slot(slot);
        used.records = used.records.saturating_sub(1);
        used.slots = used.slots.saturating_sub(emptied);
        // mutant: B1 counts stay
        filter::remove(address);
        Some(result)
    }

    /// Puts another table in place of the one with `slots`. It has no marks of records that were removed, and it is twice as
    /// large if the old one had at least as many records as marks.
    #[cold]
    fn replace_table(&self, used: &mut Guard<'_, Used>, slots: usize) -> Option<&'static Table> {
        let is_for_records = used.records >= slots.wrapping_sub(slots >> 2) >> 1;
        let slots = if is_for_records { slots.checked_mul(2)? } else { slots };
        let other = Table::with_slots(slots.max(MIN_SLOTS))?;
        let old = self.table.load();
        if let Some(old) = old {
            for sample in old.samples() {
                other.set(other.search(sample.address, home(sample.address))?, &sample);
            }
        }
        // Looks that are under way must be repeated, because the old table may soon be another shard's.
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        // mutant: B1 a move is announced too late
        fence(Release);
        self.table.store(Some(other));
        self.version.store(version.wrapping_add(2), Release);
        used.slots = used.records;
        if let Some(old) = old {
            old.spare();
        }
        Some(other)
    }

    /// Does the removals that were postponed. The caller holds the lock.
    #[inline(always)]
    pub(super) fn remove_postponed(&self, used: &mut Guard<'_, Used>) {
        if self.postponed.may_be_some() {
            self.remove_each_postponed(used);
        }
    }

    #[cold]
    fn remove_each_postponed(&self, used: &mut Guard<'_, Used>) {
        self.postponed.take_each(
            |address| std::ptr::eq(shard(address), self),
            |address| {
                let _ = self.remove(used, address, 0, |_, _| ());
            },
        );
    }

    /// Returns a copy of the record of `address`, which the caller owns. It takes no lock, and also returns `None` where it
    /// would need one.
    pub(super) fn copy(&self, address: usize) -> Option<LiveSample> {
        self.look_without_lock(|table| table.sample(table.find(address)?)).flatten()
    }
}

//! The live table: which sampled blocks have not been freed, by address.
//!
//! 256 shards, chosen by a hash of the address, each with a [`Table`] of its own. Three quarters full, a shard gets
//! another, twice as large if that is for its records: even with a million of them that moves some thousand entries.
//!
//! A free that the filter could not rule out looks first without the lock (`version` tells whether the table was
//! replaced) and is done if the address is not there; it can trust that, since nobody else may touch the
//! record of a block that it still owns. A late reader of a table that was replaced finds that its version is another.
//!
//! A lock that cannot be had in time costs a sample, never a stall: an insertion is dropped and counted, a
//! removal is postponed: the next owner of the lock does it first.
//!
//! Path: *allocation path*, sampled blocks only; `copy_shard` is on the read path.

mod postponed;
mod table;

use crate::alone::Alone;
use crate::memory::{self, AtomicRef};
use crate::sync::atomic::{AtomicU64, Ordering::*, fence};
use crate::sync::{Guard, Patience, SpinLock};
use crate::{drops, filter, limits};
use postponed::Postponed;
use table::{EMPTY, Table, hash};
pub(crate) use table::{LiveSample, home};

// mutant: C2 one table for all
const SHARDS: usize = 256;
/// Slots of a shard's first table: 512 bytes.
const MIN_SLOTS: usize = 16;
/// Looks without the lock before taking it.
const TRIES: u32 = 3;

static LIVE: [Shard; SHARDS] = [const { Shard::new() }; SHARDS];

/// Why a sample could not be recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lost {
    Full,
    Busy,
}

/// On two cache lines of its own, so that shards do not slow each other; what is used all the time is on the
/// first.
#[repr(C, align(128))]
struct Shard {
    /// Odd while the table is replaced.
    version: AtomicU64,
    table: AtomicRef<Table>,
    lock: SpinLock<Used>,
    postponed: Postponed,
}

/// Of a shard's table. Under its lock, as is every change of the table.
#[derive(Clone, Copy, Default)]
struct Used {
    /// Records.
    records: usize,
    /// Slots that are not empty: of records, and of those that were removed.
    slots: usize,
}

/// Removes the record of the block at `address`, if there is one. Call before the block is freed: afterwards the
/// address may be another thread's.
pub(crate) fn remove(address: usize) {
    let Some((shard, expected_slot)) = look(address) else { return };
    match shard.lock.try_lock(Patience::Bounded) {
        Some(mut used) => {
            shard.remove_postponed(&mut used);
            let _ = shard.remove(&mut used, address, expected_slot, |_, _| ());
        }
        None => {
            let _ = shard.postponed.add(address);
        }
    }
}

/// The record of a block that may be freed, or not after all: see [`put_back`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taken {
    address: usize,
    /// `None`: it could not be read.
    pub(crate) sample: Option<LiveSample>,
    /// It is to be removed by the next owner of the lock.
    pub(crate) is_postponed: bool,
}

/// As [`remove`], and returns what [`put_back`] needs.
pub(crate) fn take(address: usize) -> Option<Taken> {
    let (shard, expected_slot) = look(address)?;
    if let Some(mut used) = shard.lock.try_lock(Patience::Bounded) {
        shard.remove_postponed(&mut used);
        let sample = shard.remove(&mut used, address, expected_slot, Table::sample)?;
        return Some(Taken { address, sample, is_postponed: false });
    }
    // If that is noted already, the record is of an earlier block, and ours has none.
    let sample = shard.copy(address);
    let is_postponed = !shard.postponed.contains(address) && shard.postponed.add(address);
    is_postponed.then_some(Taken { address, sample, is_postponed })
}

/// Puts back what [`take`] returned: the block was not freed.
pub(crate) fn put_back(taken: &Taken) -> Result<(), Lost> {
    // mutant: D15 a removal that was postponed is done although realloc failed
    if taken.is_postponed && shard(taken.address).postponed.cancel(taken.address) {
        return Ok(());
    }
    taken.sample.map_or(Err(Lost::Busy), |sample| Place::of(taken.address).insert(&sample))
}

/// Where the record of `address` must be, if there is one.
#[inline(always)]
fn look(address: usize) -> Option<(&'static Shard, usize)> {
    if filter::rules_out(address) {
        return None;
    }
    let shard = shard(address);
    Some((shard, shard.look(address)?))
}

/// Where the record of a block is to go.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    shard: &'static Shard,
    home: usize,
}

impl Place {
    #[inline(always)]
    pub(crate) fn of(address: usize) -> Place {
        Place { shard: shard(address), home: home(address) }
    }

    /// Brings what [`insert`](Self::insert) will look at into the cache, without waiting for it.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        if let Some(table) = self.shard.table.load() {
            let slot = self.home & table.mask();
            table.keys.get(slot).inspect(|key| memory::prefetch(*key));
            table.values.get(slot).inspect(|values| memory::prefetch(*values));
        }
    }

    /// Records the sampled block whose place it is. A record already there is replaced: its free was missed.
    pub(crate) fn insert(self, sample: &LiveSample) -> Result<(), Lost> {
        let mut used = self.shard.lock.try_lock(Patience::Bounded).ok_or(Lost::Busy)?;
        // mutant: B1 what was postponed comes second
        self.shard.remove_postponed(&mut used);
        self.shard.insert(&mut used, self.home, sample)
    }
}

/// Appends the records of one of [`SHARDS`] shards to `copies`. Allocates only while it holds no lock.
fn copy_shard(shard: &Shard, copies: &mut Vec<LiveSample>, patience: &mut Patience) {
    loop {
        let Some(mut used) = shard.lock.try_lock(*patience) else {
            // Its owner was stopped, perhaps for good. All that is read is atomic, so at worst the one record
            // that was being written is copied in part, or not at all. Nobody waits that long a second time.
            *patience = Patience::Bounded;
            return copies.extend(shard.table.load().into_iter().flat_map(Table::samples));
        };
        shard.remove_postponed(&mut used);
        let free = copies.capacity().saturating_sub(copies.len());
        if free >= used.records {
            if let Some(table) = shard.table.load() {
                copies.extend(table.samples());
            }
            return;
        }
        let missing = used.records;
        drop(used);
        copies.reserve(missing);
    }
}

/// Calls `visit` with the records of each shard in turn, copied out.
pub(crate) fn for_each_shard(mut visit: impl FnMut(&[LiveSample])) {
    let mut copies = Vec::new();
    let mut patience = Patience::Long;
    for shard in &LIVE {
        copies.clear();
        copy_shard(shard, &mut copies, &mut patience);
        visit(&copies);
    }
}

/// Forgets what the parent recorded.
pub(crate) fn begin_anew(alone: &Alone) {
    for shard in &LIVE {
        let mut used = shard.lock.seize(alone);
        shard.version.store(0, Relaxed);
        shard.table.store(None);
        shard.postponed.begin_anew(alone);
        *used = Used::default();
    }
    postponed::begin_anew(alone);
    table::begin_anew(alone);
}

/// For tests: runs `work` while this thread holds every lock of the table.
pub(crate) fn with_locks_held<R>(work: impl FnOnce() -> R) -> R {
    let shards = LIVE.iter().map(|shard| shard.lock.try_lock(Patience::Long));
    let mut guards = Vec::with_capacity(SHARDS);
    guards.extend(shards);
    work()
}

/// Chosen by what the filter counts together, so that a shard's lock is also the lock of its counts.
#[expect(clippy::indexing_slicing, reason = "eight bits of the hash for 256 shards")]
fn shard(address: usize) -> &'static Shard {
    // mutant: B2 a thread's own frees alone are noticed
    &LIVE[(hash(filter::granule(address)) >> 56) as usize & (SHARDS - 1)]
}

impl Shard {
    const fn new() -> Self {
        Shard {
            version: AtomicU64::new(0),
            table: AtomicRef::none(),
            lock: SpinLock::new(Used { records: 0, slots: 0 }),
            postponed: Postponed::new(),
        }
    }

    /// The slot of `address`, if it is still there when the lock is held; `None`: surely not in the table. Takes
    /// no lock.
    #[inline(always)]
    fn look(&self, address: usize) -> Option<usize> {
        self.look_without_lock(|table| table.find(address)).unwrap_or(Some(0))
    }

    /// What `look` finds in a table that is not replaced meanwhile. `None`: it was, again and again.
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

    fn insert(&self, used: &mut Guard<'_, Used>, home: usize, sample: &LiveSample) -> Result<(), Lost> {
        let mut table = self.table.load();
        let mut slot = table.and_then(|table| table.search(sample.address, home));
        if let (Some(table), Some(slot)) = (table, slot)
            && table.key(slot) == sample.address
        {
            drops::DUPLICATE_INSERTS.raise();
            table.set(slot, sample);
            return Ok(());
        }
        if used.records >= limits::live_samples().div_ceil(SHARDS) {
            return Err(Lost::Full);
        }
        let slots = table.map_or(0, |table| table.keys.len());
        let fills_slot = slot.is_none_or(|slot| table.is_none_or(|table| table.key(slot) == EMPTY));
        if fills_slot && used.slots.wrapping_add(1) > slots.wrapping_sub(slots >> 2) {
            // If there is no room for another table, fill this one further: an eighth always stays empty, so searches
            // end.
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

    #[inline(always)]
    fn remove<R>(
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
        let emptied = table.clear_slot(slot);
        used.records = used.records.saturating_sub(1);
        used.slots = used.slots.saturating_sub(emptied);
        // mutant: B1 counts stay
        filter::remove(address);
        Some(result)
    }

    /// Another table in place of the one with `slots`, without marks of what was removed; a larger one, if there are
    /// not more of those than of records.
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
        // Looks that are under way are repeated: the old table may soon be another shard's.
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

    #[inline(always)]
    fn remove_postponed(&self, used: &mut Guard<'_, Used>) {
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

    /// A copy of the record of `address`, which the caller owns. Takes no lock; `None` too where that does not do.
    fn copy(&self, address: usize) -> Option<LiveSample> {
        self.look_without_lock(|table| table.sample(table.find(address)?)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use std::collections::HashMap;

    fn insert(sample: &LiveSample) -> Result<(), Lost> {
        Place::of(sample.address).insert(sample)
    }

    /// What is out of the table already.
    fn take_now(address: usize) -> Option<LiveSample> {
        take(address).filter(|taken| !taken.is_postponed)?.sample
    }

    /// One test for the shared table, so that the two parts do not see each other's records.
    #[test]
    fn the_table_agrees_with_a_hash_map() {
        let mut model = HashMap::new();
        let mut generator = SmallRng::seed_from_u64(3);
        for step in 0..400_000_u64 {
            // Few enough addresses that the same ones come and go, and neighbours share filter bytes.
            let address = 0x7000_0000 + 16 * generator.random_range(0..20_000_usize);
            if generator.random_bool(0.55) && !model.contains_key(&address) {
                let (size, weight) = (step as usize, step as f64);
                let (site_id, born) = (step as u32, u32::MAX - step as u32);
                let after_snapshot = step as u32 ^ 0xFFFF_0000;
                let sample = LiveSample { address, size, weight, site_id, born, after_snapshot };
                assert_eq!(insert(&sample), Ok(()));
                model.insert(address, sample);
            } else {
                assert_eq!(
                    filter::may_contain(address) && model.contains_key(&address),
                    model.contains_key(&address)
                );
                assert_eq!(take_now(address), model.remove(&address), "step {step}");
            }
        }
        let mut live = HashMap::new();
        for_each_shard(|samples| live.extend(samples.iter().map(|sample| (sample.address, *sample))));
        assert_eq!(live, model);
        assert_eq!(drops::DUPLICATE_INSERTS.get(), 0);

        // A removal that finds the lock held is done by the next one who has it, before anything else.
        let (&address, &sample) = model.iter().next().expect("some are left");
        let held = shard(address).lock.try_lock(Patience::Bounded).expect("free");
        assert_eq!(take_now(address), None);
        assert_eq!(insert(&sample), Err(Lost::Busy));
        drop(held);
        assert_eq!(insert(&sample), Ok(()), "and not a duplicate, since the old record went first");
        assert_eq!(drops::DUPLICATE_INSERTS.get(), 0);
        assert_eq!(take_now(address), Some(sample));
        assert_eq!(take_now(address), None);

        // A removal that was postponed is put off for good if the block stays; whoever had the lock may have done it.
        assert_eq!(insert(&sample), Ok(()));
        let of_shard = || {
            let mut found = Vec::new();
            for_each_shard(|samples| {
                found.extend(samples.iter().filter(|live| live.address == address).copied())
            });
            found
        };
        for is_done_meanwhile in [false, true] {
            let held = shard(address).lock.try_lock(Patience::Bounded).expect("free");
            let taken = take(address).expect("it is there");
            assert_eq!((taken.sample, taken.is_postponed), (Some(sample), true));
            assert_eq!(take(address), None, "what is noted already is an earlier block's");
            if is_done_meanwhile {
                drop(held);
                assert_eq!(of_shard(), []);
                assert_eq!(put_back(&taken), Ok(()));
            } else {
                assert_eq!(put_back(&taken), Ok(()), "although nobody can have the lock");
                drop(held);
            }
            assert_eq!(of_shard(), [sample]);
        }
        assert_eq!(take_now(address), Some(sample));

        // As many as a busy machine may make wait.
        let others =
            (1..).map(|n| 0x6000_0000 + 1024 * n).filter(|&other| std::ptr::eq(shard(other), shard(address)));
        let others: Vec<usize> = others.take(300).collect();
        for &other in &others {
            assert_eq!(insert(&LiveSample { address: other, ..sample }), Ok(()));
        }
        let held = shard(address).lock.try_lock(Patience::Bounded).expect("free");
        others.iter().for_each(|&other| assert_eq!(take_now(other), None));
        drop(held);
        assert_eq!(insert(&sample), Ok(()));
        assert_eq!(take_now(address), Some(sample));
        let left = others.iter().filter(|&&other| filter::may_contain(other) || take_now(other).is_some());
        assert_eq!((left.count(), drops::MISSED_REMOVALS.get()), (0, 0));
    }
}

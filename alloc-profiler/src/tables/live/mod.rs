//! The live table holds the records of the sampled blocks that have not been freed, by address.
//!
//! It has 256 shards, which are chosen by a hash of the address. Each has a lock and a [`Table`] of its own.
//!
//! A free that the filter could not rule out looks first without the lock, and is done if the address is not there. It can
//! trust what it finds, because nobody else may touch the record of a block that it still owns.
//!
//! A lock that cannot be had in time costs a sample, but never a stall: an insertion is dropped and counted, and a
//! removal is postponed until the next owner of the lock does it first.
//!
//! Path: *allocation path*, sampled blocks only; `for_each_shard` is on the read path.

mod postponed;
mod shard;
mod table;

use crate::estimate::sums::Sums;
use crate::estimate::totals::Totals;
use crate::memory;
use crate::process::alone::Alone;
use crate::process::sync::Patience;
use crate::process::sync::atomic::Ordering::*;
use crate::tables::filter;
pub(crate) use shard::Lost;
use shard::{LIVE, SHARDS, Shard, Used, shard};
use table::Table;
pub(crate) use table::{LiveSample, home};

/// Removes the record of the block at `address`, if there is one. It must be called before the block is freed: afterwards
/// the address may be another thread's.
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

/// The record of a block that will perhaps be freed and perhaps not: see [`put_back`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taken {
    address: usize,
    /// The sample, or `None` if it could not be read.
    pub(crate) sample: Option<LiveSample>,
    /// Whether the next owner of the lock is to remove the record.
    pub(crate) is_postponed: bool,
}

/// Removes the record as [`remove`] does, and returns what [`put_back`] needs.
pub(crate) fn take(address: usize) -> Option<Taken> {
    let (shard, expected_slot) = look(address)?;
    if let Some(mut used) = shard.lock.try_lock(Patience::Bounded) {
        shard.remove_postponed(&mut used);
        let sample = shard.remove(&mut used, address, expected_slot, Table::sample)?;
        return Some(Taken { address, sample, is_postponed: false });
    }
    // If a removal is noted already, the record is that of an earlier block, and ours has none.
    let sample = shard.copy(address);
    let is_postponed = !shard.postponed.contains(address) && shard.postponed.add(address);
    is_postponed.then_some(Taken { address, sample, is_postponed })
}

/// Puts back what [`take`] returned, because the block was not freed.
pub(crate) fn put_back(taken: &Taken) -> Result<(), Lost> {
    // mutant: D15 a removal that was postponed is done although realloc failed
    if taken.is_postponed && shard(taken.address).postponed.cancel(taken.address) {
        return Ok(());
    }
    let sample = taken.sample.ok_or(Lost::Busy)?;
    HomeSlot::of(taken.address).insert_again(&sample)
}

/// Returns the shard and the slot in which the record of `address` must be, if there is one.
#[inline(always)]
fn look(address: usize) -> Option<(&'static Shard, usize)> {
    if filter::rules_out(address) {
        return None;
    }
    let shard = shard(address);
    Some((shard, shard.look(address)?))
}

/// Where the search for a free slot begins that the record of a block will have.
#[derive(Clone, Copy)]
pub(crate) struct HomeSlot {
    shard: &'static Shard,
    home: usize,
}

impl HomeSlot {
    #[inline(always)]
    pub(crate) fn of(address: usize) -> HomeSlot {
        HomeSlot { shard: shard(address), home: home(address) }
    }

    /// Asks for the cache lines that [`insert`](Self::insert) will look at, without waiting for them.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        if let Some(table) = self.shard.table.load() {
            let slot = self.home & table.mask();
            table.keys.get(slot).inspect(|key| memory::prefetch(*key));
            table.values.get(slot).inspect(|values| memory::prefetch(*values));
        }
    }

    /// Records the sampled block that this is the home slot of. A record of the same address is replaced: its free was missed.
    pub(crate) fn insert(self, sample: &LiveSample) -> Result<(), Lost> {
        let mut used = self.shard.lock.try_lock(Patience::Bounded).ok_or(Lost::Busy)?;
        // mutant: B1 what was postponed comes second
        self.shard.remove_postponed(&mut used);
        used.came.add(sample.size, sample.weight);
        let inserted = self.shard.insert(&mut used, self.home, sample);
        if inserted.is_err() {
            used.went.add(sample.size, sample.weight);
        }
        inserted
    }

    /// Does the same for a sample that was taken out although its block stays: it did not come a second time, it never went.
    fn insert_again(self, sample: &LiveSample) -> Result<(), Lost> {
        let mut used = self.shard.lock.try_lock(Patience::Bounded).ok_or(Lost::Busy)?;
        self.shard.remove_postponed(&mut used);
        self.shard.insert(&mut used, self.home, sample)?;
        let mut stays = Sums::NOTHING;
        stays.add(sample.size, sample.weight);
        used.went = used.went.without(&stays);
        Ok(())
    }
}

/// Appends the records of a shard to `copies`. It allocates only while it holds no lock.
fn copy_shard(shard: &Shard, copies: &mut Vec<LiveSample>, patience: &mut Patience) {
    loop {
        let Some(mut used) = shard.lock.try_lock(*patience) else {
            // The owner of the lock was stopped, perhaps for good. All that is read is atomic, so at worst the one record
            // that was being written is copied in part or not at all. Nobody waits that long a second time.
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

/// Returns a copy of the record of the block at `address`, whoever owns it, or `None` if there is none or if it cannot be
/// read now. It takes no lock. So the parts of the copy may be those of different blocks that had the same address one after
/// the other; whoever knows the record that it should be compares all of it.
pub(crate) fn copy(address: usize) -> Option<LiveSample> {
    let shard = shard(address);
    // A block whose removal is postponed was freed.
    shard.copy(address).filter(|_| !shard.postponed.contains(address))
}

/// Calls `visit` with a copy of the records of each shard in turn.
pub(crate) fn for_each_shard(mut visit: impl FnMut(&[LiveSample])) {
    let mut copies = Vec::new();
    let mut patience = Patience::Long;
    for shard in &LIVE {
        copies.clear();
        copy_shard(shard, &mut copies, &mut patience);
        visit(&copies);
        // Addresses of blocks in freed memory would be taken for pointers by who searches it. The next shard may have fewer
        // records, or so many that the list moves.
        copies.iter_mut().for_each(|sample: &mut LiveSample| sample.address = 0);
        std::hint::black_box(&copies);
    }
}

/// Returns the sums over all samples that came to the table, and over all records in it, without a look at any record. It returns
/// `None` if a thread was stopped while it held a lock.
pub(crate) fn totals() -> Option<Totals> {
    let (mut came, mut went) = (Sums::NOTHING, Sums::NOTHING);
    for shard in &LIVE {
        let mut used = shard.lock.try_lock(Patience::Long)?;
        shard.remove_postponed(&mut used);
        came.add_all(&used.came);
        went.add_all(&used.went);
    }
    Some(came.without(&went).in_use().with_allocated(came.allocated()))
}

/// Forgets what the parent of a fork recorded.
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

/// Runs `work` while this thread holds every lock of the table. This is for tests.
pub(crate) fn with_locks_held<R>(work: impl FnOnce() -> R) -> R {
    let shards = LIVE.iter().map(|shard| shard.lock.try_lock(Patience::Long));
    let mut guards = Vec::with_capacity(SHARDS);
    guards.extend(shards);
    work()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::drops;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use std::collections::HashMap;

    fn insert(sample: &LiveSample) -> Result<(), Lost> {
        HomeSlot::of(sample.address).insert(sample)
    }

    /// Takes a record that is out of the table at once.
    fn take_now(address: usize) -> Option<LiveSample> {
        take(address).filter(|taken| !taken.is_postponed)?.sample
    }

    /// This is one test because all parts use the one table, and must not see each other's records.
    #[test]
    fn the_table_agrees_with_a_hash_map() {
        let sample = any_sequence_leaves_what_a_hash_map_has();
        a_removal_that_finds_the_lock_held_is_done_first(sample);
        a_postponed_removal_is_cancelled_if_the_block_stays(sample);
        as_many_removals_wait_as_a_busy_machine_may_make_wait(sample);
        assert_eq!(with_locks_held(totals), None, "whoever holds a lock for good leaves the totals unknown");
    }

    /// Returns one of the samples that are left.
    fn any_sequence_leaves_what_a_hash_map_has() -> LiveSample {
        let mut model = HashMap::new();
        let mut generator = SmallRng::seed_from_u64(3);
        for step in 0..400_000_u64 {
            // There are so few addresses that the same ones come and go, and that neighbours share filter bytes.
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
        let mut expected = Sums::NOTHING;
        model.values().for_each(|sample| expected.add(sample.size, sample.weight));
        let kept = totals().expect("no lock is held");
        assert_eq!(expected.in_use(), kept.with_allocated(Totals::default()));
        for sample in model.values() {
            let taken = take(sample.address).expect("it is there");
            assert_eq!(put_back(&taken), Ok(()));
        }
        assert_eq!(totals(), Some(kept), "blocks that stay came once, and never went");
        assert_eq!(drops::DUPLICATE_INSERTS.get(), 0);
        *model.values().min_by_key(|sample| sample.address).expect("some are left")
    }

    /// The next owner of the lock does it, before anything else.
    fn a_removal_that_finds_the_lock_held_is_done_first(sample: LiveSample) {
        let address = sample.address;
        let held = shard(address).lock.try_lock(Patience::Bounded).expect("free");
        assert_eq!(take_now(address), None);
        assert_eq!(insert(&sample), Err(Lost::Busy));
        drop(held);
        assert_eq!(insert(&sample), Ok(()), "and not a duplicate, since the old record went first");
        assert_eq!(drops::DUPLICATE_INSERTS.get(), 0);
        assert_eq!(take_now(address), Some(sample));
        assert_eq!(take_now(address), None);
    }

    /// Whoever had the lock may have done the removal already.
    fn a_postponed_removal_is_cancelled_if_the_block_stays(sample: LiveSample) {
        let address = sample.address;
        assert_eq!(insert(&sample), Ok(()));
        let of_shard = || {
            let mut found = Vec::new();
            for_each_shard(|samples| {
                found.extend(samples.iter().filter(|live| live.address == address).copied())
            });
            found
        };
        let before = totals();
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
        assert_eq!(totals(), before, "nothing was allocated or freed");
        assert_eq!(take_now(address), Some(sample));
    }

    fn as_many_removals_wait_as_a_busy_machine_may_make_wait(sample: LiveSample) {
        let address = sample.address;
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

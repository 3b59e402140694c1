//! The filter tells for most blocks that they are surely not sampled. It has one byte for each 512 bytes of address space,
//! which says how many sampled blocks begin there, and if it is one, which.
//!
//! The array is indexed by the lower 32 bits of the address, divided by 512. (That needs no mask, and so one instruction less
//! on every free.) Its pages are touched lazily. A page of it covers 2 MiB of heap and a cache line 32 KiB, so neighbouring
//! blocks share lines and a look costs no cache miss. A free whose byte is 0 asks no further. If the byte is not 0, the block
//! is most often the neighbour of a sampled one: then seven bits of the address are compared before the live table is asked.
//!
//! There are no false negatives. A block is noted before its allocation returns, and every later load
//! of that byte by a thread that got the address from the allocating one is ordered behind it, so by coherence
//! it sees the note or a later value. As long as the block is not freed, every later value counts it: either as the only
//! one, with its own bits, or as one of several.
//!
//! Path: *allocation path*; `may_contain` is on every free.

use crate::process::alone::Alone;
use crate::process::sync::atomic::{AtomicU8, Ordering::Relaxed};
use crate::process::sync::is_zero_at;

const GRANULE_SHIFT: u32 = 9;
/// The number of bytes: 8 MiB, which cover 4 GiB before two addresses share a byte. At 64 GiB of heap and the default
/// interval, one byte in 64 is in use.
const LEN: usize = 1 << (u32::BITS - GRANULE_SHIFT);

/// A byte is 0 if no block begins there. If one does, the byte is this bit with seven bits of the block's address ([`one`]).
/// If several do, the byte is their count. (1 is what is left when all of several but one have gone.)
const IS_ONE: u8 = 0x80;
/// This count is so high that the true one is no longer known. It stays, and frees always ask the live table, which is slower
/// but right.
const STUCK: u8 = 0x7f;

static COUNTS: [AtomicU8; LEN] = [const { AtomicU8::new(0) }; LEN];

/// Returns whether any block near `address` may be in the live table. If so, [`rules_out`] tells more.
#[inline(always)]
pub(crate) fn may_contain(address: usize) -> bool {
    !is_zero_at(&COUNTS, granule(address))
}

/// Returns whether no block at `address` is in the live table. If it cannot rule that out, the live table must be asked.
#[inline(always)]
pub(crate) fn rules_out(address: usize) -> bool {
    let counted = count(address).load(Relaxed);
    counted == 0 || counted & IS_ONE != 0 && counted != one(address)
}

/// Returns the index of the byte that `address` belongs to. Whoever changes a byte must hold a lock that is chosen by this
/// index: then no change is lost, and none needs an atomic instruction of its own.
#[inline(always)]
pub(crate) fn granule(address: usize) -> usize {
    (address as u32 >> GRANULE_SHIFT) as usize
}

/// Counts a block at `address`. The caller holds the lock of the [`granule`].
pub(crate) fn insert(address: usize) {
    let count = count(address);
    let counted = match count.load(Relaxed) {
        0 => one(address),
        // mutant: B1 a second block nearby is not counted
        counted if counted & IS_ONE != 0 => 2,
        counted => counted.wrapping_add(1).min(STUCK),
    };
    count.store(counted, Relaxed);
}

/// No longer counts a block at `address`. The caller holds the lock of the [`granule`].
pub(crate) fn remove(address: usize) {
    let count = count(address);
    let counted = match count.load(Relaxed) {
        STUCK => STUCK,
        counted if counted & IS_ONE != 0 => 0,
        // mutant: B1 of two nearby, the one that left is taken for the one that stayed
        counted => counted.saturating_sub(1),
    };
    count.store(counted, Relaxed);
}

/// Returns the byte of a single block. Its bits tell the block from its neighbours, and from blocks that are 4 GiB away and
/// more.
#[inline(always)]
fn one(address: usize) -> u8 {
    IS_ONE | ((address >> 4) as u8 ^ (address as u64 >> u32::BITS) as u8)
}

/// Forgets what the parent of a fork sampled.
pub(crate) fn begin_anew(_: &Alone) {
    crate::memory::zero(&COUNTS);
}

/// Keeps the array sparse where the system would like to back it by huge pages. It is called once, before the first block is
/// counted.
pub(crate) fn prepare() {
    // mutant: A11 tables end with main
    crate::memory::keep_pages_small(&COUNTS);
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "32 bits, shifted, are in range, which the compiler sees")]
fn count(address: usize) -> &'static AtomicU8 {
    &COUNTS[granule(address)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_and_down_and_sticks_when_full() {
        let address = 0x1234_5600;
        assert!(!may_contain(address));
        insert(address);
        insert(address + 16);
        remove(address);
        assert!(may_contain(address), "two blocks near each other, one removed");
        assert!(!rules_out(address + 16), "which of them it was is not known");
        remove(address + 16);
        assert!(!may_contain(address));
        assert!(!may_contain(address + 512));

        for blocks in [126, 300] {
            for _ in 0..blocks {
                insert(address);
                assert!(!rules_out(address));
            }
            for _ in 0..blocks {
                assert!(!rules_out(address));
                remove(address);
            }
            assert_eq!(may_contain(address), blocks == 300, "a full count must never come down");
        }
        count(address).store(0, Relaxed);
    }

    #[test]
    fn a_single_block_is_told_from_its_neighbours() {
        let granule = 0x7f12_3456_7800;
        for block in (granule..granule + 512).step_by(16) {
            insert(block);
            for other in (granule..granule + 512).step_by(16) {
                assert!(may_contain(other));
                assert_eq!(rules_out(other), other != block, "{other:#x} beside {block:#x}");
            }
            // These are far away, at the same byte.
            for distance in 1..128 {
                assert!(rules_out(block + (distance << 32)));
            }
            // Beside another block, and after that one has gone, nothing may be ruled out.
            insert(granule ^ 0x80);
            assert!((granule..granule + 512).all(|other| !rules_out(other)));
            remove(granule ^ 0x80);
            assert!(!rules_out(block));
            remove(block);
            assert!(rules_out(block) && !may_contain(block));
        }
    }

    #[test]
    fn a_removal_too_many_does_not_wrap() {
        let address = 0x9999_0000;
        remove(address);
        assert!(!may_contain(address));
    }
}

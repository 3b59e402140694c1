//! "Surely not sampled", answered by one byte: a count of sampled blocks for each 512 bytes of address space.
//!
//! The array is indexed by the lower 32 bits of the address, divided by 512 (no mask: an instruction less on every
//! free), and touched lazily: a page of it covers 2 MiB of heap, a cache line 32 KiB, so neighbouring blocks share
//! lines and a look costs no cache miss. A count that reaches 255 sticks there: then frees in those 512 bytes always
//! ask the live table, which is slower but right.
//!
//! There are no false negatives. A block's count goes up before its allocation returns, and every later load
//! of that byte by a thread that got the address from the allocating one is ordered behind it, so by coherence
//! it sees the count or a later value, and the count cannot come down again before the block is freed.
//!
//! Path: *allocation path*; `may_contain` is on every free.

use crate::fork::Alone;
use crate::sync::atomic::{AtomicU8, Ordering::Relaxed};

const GRANULE_SHIFT: u32 = 9;
/// 8 MiB, for 4 GiB before addresses share a byte: at 64 GiB of heap and the default interval a byte in 64 is in use.
const LEN: usize = 1 << (u32::BITS - GRANULE_SHIFT);
/// Full: the true count is no longer known.
const STUCK: u8 = u8::MAX;

static COUNTS: [AtomicU8; LEN] = [const { AtomicU8::new(0) }; LEN];

/// False: no block at `address` is in the live table. True: ask the live table.
#[inline(always)]
pub(crate) fn may_contain(address: usize) -> bool {
    count(address).load(Relaxed) != 0
}

/// Which count `address` belongs to. What changes a count must hold a lock that is chosen by this: then no change
/// is lost, and none needs an atomic instruction of its own.
#[inline(always)]
pub(crate) fn granule(address: usize) -> usize {
    (address as u32 >> GRANULE_SHIFT) as usize
}

/// Counts up. Under the lock of the [`granule`].
pub(crate) fn insert(address: usize) {
    let (count, counted) = (count(address), count(address).load(Relaxed));
    if counted != STUCK {
        count.store(counted.wrapping_add(1), Relaxed);
    }
}

/// Counts down. Under the lock of the [`granule`].
pub(crate) fn remove(address: usize) {
    let (count, counted) = (count(address), count(address).load(Relaxed));
    if counted != STUCK && counted != 0 {
        count.store(counted.wrapping_sub(1), Relaxed);
    }
}

/// Counts nothing of what the parent sampled.
pub(crate) fn begin_anew(_: &Alone) {
    crate::memory::zero(&COUNTS);
}

/// Keeps the array sparse where the system would like to back it by huge pages. Call once, before inserting.
pub(crate) fn prepare() {
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
        let address = 0x1234_5678;
        assert!(!may_contain(address));
        insert(address);
        insert(address + 1);
        remove(address);
        assert!(may_contain(address), "two blocks near each other, one removed");
        remove(address);
        assert!(!may_contain(address));
        assert!(!may_contain(address + 512));

        for _ in 0..300 {
            insert(address);
        }
        for _ in 0..300 {
            remove(address);
        }
        assert!(may_contain(address), "a full count must never come down");
        count(address).store(0, Relaxed);
    }

    #[test]
    fn a_removal_too_many_does_not_wrap() {
        let address = 0x9999_0000;
        remove(address);
        assert!(!may_contain(address));
    }
}

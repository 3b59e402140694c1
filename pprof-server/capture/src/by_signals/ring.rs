//! Where handlers put what they find, until the controller takes it over.
//!
//! A handler claims a slot, fills it, and marks it as full; the controller takes over what is full and marks it as free. There
//! is no order among slots. A handler that is interrupted in between holds up nobody.
//!
//! Path: *signal handlers*, but for [`Ring::drain`].

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::*};

use unwinder::{CodeAddress, MAX_STACK_DEPTH, Room, Walk};

/// A little over 4 MiB: enough for 400 busy processors at 100 Hz, looked at ten times a second.
pub(super) const SLOTS: usize = 4000;
/// How many slots a handler tries.
const TRIES: usize = 16;

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const FULL: u8 = 2;

/// What is known of a sample beside its stack.
#[derive(Clone, Copy, Default)]
pub(super) struct Header {
    pub(super) thread_id: u32,
    /// Tells what the thread worked for: it is the number of `unwinder::label`.
    pub(super) label: u32,
    pub(super) periods: u64,
    /// When the sample was taken, by `monotonic_nanoseconds`; 0 where nobody wants to know.
    pub(super) at: u64,
    /// Up to a zero; nothing where the controller knows the thread.
    pub(super) thread_name: [u8; 16],
}

#[repr(C)]
pub(super) struct Slot {
    header: Header,
    depth: u32,
    is_truncated: bool,
    /// The frames are the last `depth` of these.
    room: Room,
}

/// Zeroed memory is a ring of which all is free.
#[repr(C)]
pub(super) struct Ring {
    /// Holds the state of each slot. They are apart from the slots, so that looking for full ones touches few pages.
    states: [AtomicU8; SLOTS],
    /// Where the next handler begins to look.
    next: AtomicU32,
    lost_periods: AtomicU64,
    leaf_only: AtomicU64,
    slots: [UnsafeCell<Slot>; SLOTS],
}

// SAFETY: a slot is used by whoever has changed its state to `TAKEN`, or by the one controller while it is `FULL`.
unsafe impl Sync for Ring {}

/// A slot that nobody else has.
pub(super) struct Claimed<'a> {
    state: &'a AtomicU8,
    slot: &'a mut Slot,
}

/// A sample, as the controller sees it.
pub(super) struct Sample<'a> {
    pub(super) header: &'a Header,
    /// The outermost frame comes first.
    pub(super) frames: &'a [CodeAddress],
    pub(super) is_truncated: bool,
}

impl Ring {
    /// A slot, or `None` if there is none that is free nearby.
    pub(super) fn claim(&self) -> Option<Claimed<'_>> {
        let first = self.next.fetch_add(1, Relaxed) as usize;
        for index in (0..TRIES).map(|next| first.wrapping_add(next) % SLOTS) {
            let (state, slot) = (self.states.get(index)?, self.slots.get(index)?);
            if state.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_ok() {
                // SAFETY: this handler has just taken the slot.
                return Some(Claimed { state, slot: unsafe { &mut *slot.get() } });
            }
        }
        None
    }

    pub(super) fn note_lost(&self, periods: u64) {
        self.lost_periods.fetch_add(periods, Relaxed);
    }

    pub(super) fn note_leaf_only(&self) {
        self.leaf_only.fetch_add(1, Relaxed);
    }

    /// Periods that had no room.
    pub(super) fn lost_periods(&self) -> u64 {
        self.lost_periods.load(Relaxed)
    }

    /// Samples without callers, for want of a scratch stack.
    pub(super) fn leaf_only(&self) -> u64 {
        self.leaf_only.load(Relaxed)
    }

    /// Hands each sample to `take`, and frees its slot. Only the controller calls this.
    pub(super) fn drain(&self, mut take: impl FnMut(Sample<'_>)) {
        for (state, slot) in self.states.iter().zip(&self.slots) {
            if state.load(Acquire) != FULL {
                continue;
            }
            // SAFETY: a full slot is the controller's until it is free again.
            let slot = unsafe { &*slot.get() };
            let frames = slot.room.get(MAX_STACK_DEPTH - slot.depth as usize..).unwrap_or_default();
            // SAFETY: the handler has filled as many.
            let frames = unsafe { &*(std::ptr::from_ref(frames) as *const [CodeAddress]) };
            take(Sample { header: &slot.header, frames, is_truncated: slot.is_truncated });
            state.store(FREE, Release);
        }
    }
}

impl Claimed<'_> {
    /// Fills the slot with what `walk` finds in the room that it is given, and hands it to the controller.
    #[inline(always)]
    pub(super) fn fill(self, header: Header, walk: impl FnOnce(&mut Room) -> Walk<'_>) {
        self.slot.header = header;
        let (depth, is_truncated) = {
            let walk = walk(&mut self.slot.room);
            (walk.frames().len() as u32, walk.is_truncated())
        };
        (self.slot.depth, self.slot.is_truncated) = (depth, is_truncated);
        self.state.store(FULL, Release);
    }

    /// Fills the slot with one frame, and hands it to the controller.
    pub(super) fn fill_leaf(self, header: Header, leaf: CodeAddress) {
        self.slot.header = header;
        if let Some(last) = self.slot.room.last_mut() {
            last.write(leaf);
            (self.slot.depth, self.slot.is_truncated) = (1, false);
        }
        self.state.store(FULL, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Box<Ring> {
        let layout = std::alloc::Layout::new::<Ring>();
        // SAFETY: zeroed memory is a ring, of that layout.
        unsafe { Box::from_raw(std::alloc::alloc_zeroed(layout).cast::<Ring>()) }
    }

    #[test]
    fn what_is_put_in_comes_out_once() {
        let ring = ring();
        for thread_id in 0..SLOTS as u32 {
            let header = Header { thread_id, periods: 2, ..Header::default() };
            let slot = ring.claim().expect("as many as there are slots");
            slot.fill_leaf(header, CodeAddress::of_instruction(thread_id as usize));
        }
        assert!(ring.claim().is_none());
        let mut found = Vec::new();
        ring.drain(|sample| {
            assert_eq!((sample.header.periods, sample.frames.len(), sample.is_truncated), (2, 1, false));
            assert_eq!(sample.frames[0].lookup(), sample.header.thread_id as usize);
            found.push(sample.header.thread_id);
        });
        assert!(found.into_iter().eq(0..SLOTS as u32));
        ring.drain(|_| panic!("it was taken over"));
        assert!(ring.claim().is_some());
    }

    #[test]
    fn a_slot_that_is_being_filled_is_left_alone() {
        let ring = ring();
        let slot = ring.claim().unwrap();
        ring.drain(|_| panic!("it is not full"));
        slot.fill_leaf(Header::default(), CodeAddress::of_instruction(7));
        let mut count = 0;
        ring.drain(|_| count += 1);
        assert_eq!(count, 1);
    }
}

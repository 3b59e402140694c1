//! The last stack that each thread had, so that the next one need not find its outer frames again.
//!
//! Stacks that a thread has one after the other share most of their outer frames. A walk that comes upon a frame
//! of the last one, the same return address at the same place, knows where the return addresses beyond it were;
//! if they are still there, so are their frames: each frame's place follows from the place and the return
//! address of the one within by a rule that does not change. Every address is read and compared, so nothing is
//! believed that the stack does not say now.
//!
//! One of a few slots, by the thread's stack, under a lock that is tried once: two threads that meet in a slot,
//! or a signal's handler that interrupts its thread in here, walk without.
//!
//! Path: *allocation path*, sampled allocations only.

use super::MAX_STACK_DEPTH;
use crate::fork::Alone;
use crate::sync::{Guard, Patience, SpinLock};

const SLOTS: usize = 64;

static RECENT: [SpinLock<Recent>; SLOTS] = [const { SpinLock::new(Recent::NONE) }; SLOTS];

/// A frame that a walk came by.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    pub(super) return_address: usize,
    /// From the frame's stack pointer up to the end of the stack.
    pub(super) bytes_above: u32,
    /// Where the frame pointer was saved, from the stack pointer; 0 if it was not.
    pub(super) frame_pointer_offset: i16,
    /// Found by a kept rule that needs the stack pointer alone.
    pub(super) is_plain: bool,
}

type Frames = [Passed; MAX_STACK_DEPTH];

/// Two walks, leaf first: the last one and the present one.
pub(super) struct Recent {
    walks: [Frames; 2],
    is_second_last: bool,
    last_len: usize,
    /// The last one ended where stacks end, and not because we had to give up.
    is_last_whole: bool,
}

impl Recent {
    const NONE: Recent = {
        let nothing = Passed { return_address: 0, bytes_above: 0, frame_pointer_offset: 0, is_plain: false };
        Recent {
            walks: [[nothing; MAX_STACK_DEPTH]; 2],
            is_second_last: false,
            last_len: 0,
            is_last_whole: false,
        }
    };

    pub(super) fn trail(&mut self) -> Trail<'_> {
        let [first, second] = &mut self.walks;
        let (last, present) = if self.is_second_last { (second, first) } else { (first, second) };
        Trail {
            last: last.get(..self.last_len).unwrap_or(&[]),
            is_last_whole: self.is_last_whole,
            present,
            next: 0,
        }
    }

    /// Makes the present walk of `len` frames the last one.
    pub(super) fn finish(&mut self, len: usize, is_whole: bool) {
        self.is_second_last = !self.is_second_last;
        self.last_len = len;
        self.is_last_whole = is_whole;
    }
}

/// A walk in progress, beside the last one.
pub(super) struct Trail<'a> {
    last: &'a [Passed],
    is_last_whole: bool,
    present: &'a mut [Passed],
    /// The frame of `last` to be compared next: none within it can come up any more.
    next: usize,
}

impl<'a> Trail<'a> {
    /// Of a walk that knows of no other.
    pub(super) fn none() -> Trail<'a> {
        Trail { last: &[], is_last_whole: false, present: &mut [], next: 0 }
    }

    /// Notes the frame number `index` of the present walk. True: it is one of the last walk's too.
    #[inline(always)]
    pub(super) fn pass(&mut self, index: usize, passed: Passed) -> bool {
        if let Some(place) = self.present.get_mut(index) {
            *place = passed;
        }
        while let Some(candidate) = self.last.get(self.next) {
            if candidate.bytes_above <= passed.bytes_above {
                return candidate.bytes_above == passed.bytes_above
                    && candidate.return_address == passed.return_address;
            }
            self.next = self.next.wrapping_add(1);
        }
        false
    }

    /// What the last walk found beyond the frame that was just passed, if the two had that in common.
    #[inline(always)]
    pub(super) fn beyond(&self) -> &'a [Passed] {
        self.last.get(self.next.wrapping_add(1)..).unwrap_or(&[])
    }

    /// Notes that the first `count` frames beyond are still there, as numbers `index` and following of the
    /// present walk, and says whether these were all.
    #[inline(always)]
    pub(super) fn adopt(&mut self, index: usize, count: usize) -> Adopted {
        let beyond = self.beyond();
        if let (Some(places), Some(frames)) =
            (self.present.get_mut(index..index.wrapping_add(count)), beyond.get(..count))
        {
            places.copy_from_slice(frames);
        }
        if count == beyond.len() && self.is_last_whole {
            return Adopted::Whole;
        }
        self.next = self.next.wrapping_add(1).wrapping_add(count);
        Adopted::Part
    }
}

/// How much of the last walk the present one took over.
#[derive(PartialEq, Eq)]
pub(super) enum Adopted {
    /// All of it: the walk is done.
    Whole,
    Part,
}

/// Forgets all: a walk may have been half noted when the process forked.
pub(super) fn begin_anew(alone: &Alone) {
    for slot in &RECENT {
        let mut recent = slot.seize(alone);
        if recent.last_len != 0 {
            recent.last_len = 0;
        }
    }
}

/// The slot of the thread whose stack ends at `stack_end`, if it is free.
pub(super) fn of_thread(stack_end: usize) -> Option<Guard<'static, Recent>> {
    // Stacks end on pages.
    let hash = (stack_end as u64 >> 12).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    RECENT.get((hash >> 58) as usize)?.try_lock(Patience::None)
}

//! Whole walks that came before, by where they began: what is sampled often has been sampled from there before.
//!
//! A walk that starts as an earlier one did, at the same place and return address, would come by the same places if
//! the return addresses there are the same: each frame's place follows from the place and the return address of the
//! one within by a rule that does not change. So it is enough to read every address and to compare; the stack is
//! then one that is interned already, and nothing is written down, hashed or looked up.
//!
//! Where stacks hardly repeat, as in a recursive descent, looking for them would only cost, so it is left alone there,
//! and tried again now and then.
//!
//! Path: *allocation path*, sampled allocations only.

use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

use super::memory::StackMemory;
use super::recent::{Place, are_there};
use super::registers::FramePointer;
use crate::interval;
use crate::stacks::Stack;

/// Frames of the deepest walk that is kept here.
const MAX_DEPTH: usize = 64;
/// Places for walks whose beginnings have the same hash.
const WAYS: usize = 4;
const SETS: usize = 16;
/// Sampling intervals up to this are frequent: at longer ones, little repeats while it is remembered, and it would cost
/// more memory than time is saved.
const FREQUENT_BYTES: u64 = 16 << 10;
/// What a walk found is worth in walks that were not: looking in vain, and then keeping, takes half of what is saved.
const CREDIT_FOR_FOUND: u32 = 2;
const MAX_CREDIT: u32 = 64;
/// Without credit, each so many-th walk is looked for.
const TRIAL: u32 = 32;

/// The walks of a thread.
pub(super) struct KnownWalks {
    sets: [[Walk; WAYS]; SETS],
    /// Counts walks kept, to replace each of a set in turn.
    kept: usize,
    credit: u32,
    /// Counts walks while there is no credit.
    without_credit: u32,
}

struct Walk {
    /// `None`: no walk.
    stack: Option<&'static Stack>,
    /// Of its frames, outermost first.
    places: [Place; MAX_DEPTH],
    /// From here on, none was found from the frame pointer.
    framed_end: usize,
}

/// Where a walk begins.
#[derive(Clone, Copy)]
pub(super) struct Beginning {
    /// Of its first frame.
    pub(super) bytes_above: u32,
    /// The frame pointer within that.
    pub(super) frame_pointer: FramePointer,
    /// Of its second frame: there are many of those where there are few of the first, which is in this library.
    pub(super) return_address: usize,
}

impl Beginning {
    #[inline(always)]
    fn set(self) -> usize {
        let hash = (self.return_address ^ (self.bytes_above as usize) << 28) as u64;
        (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as usize & (SETS - 1)
    }
}

impl Walk {
    const NONE: Walk = Walk { stack: None, places: [Place::NONE; MAX_DEPTH], framed_end: 0 };

    /// The stack, if it is what is on the stack now.
    #[inline(always)]
    fn stack_if_there(&self, beginning: Beginning, memory: &StackMemory) -> Option<&'static Stack> {
        let stack = self.stack?;
        let places = self.places.get(..stack.return_addresses.len())?;
        let is_same = places.last()?.bytes_above() == beginning.bytes_above
            && are_there(stack.return_addresses, places, self.framed_end, beginning.frame_pointer, memory);
        is_same.then_some(stack)
    }
}

impl KnownWalks {
    pub(super) const NONE: KnownWalks = KnownWalks {
        sets: [const { [const { Walk::NONE }; WAYS] }; SETS],
        kept: 0,
        credit: 0,
        without_credit: 0,
    };

    /// Whether it is likely to pay to [`find`](Self::find) the next walk, and to [`keep`](Self::keep) it if it is not
    /// known.
    #[inline(always)]
    pub(super) fn pays(&mut self) -> bool {
        if interval::sampling_interval() > FREQUENT_BYTES {
            return false;
        }
        if self.credit > 0 {
            return true;
        }
        self.without_credit = self.without_credit.wrapping_add(1);
        self.without_credit.is_multiple_of(TRIAL)
    }

    /// The stack that a walk from `beginning` would find, if it is known.
    #[inline(always)]
    pub(super) fn find(&mut self, beginning: Beginning, memory: &StackMemory) -> Option<&'static Stack> {
        let set = self.sets.get(beginning.set())?;
        // Free places are the last.
        let mut walks = set.iter().take_while(|walk| walk.stack.is_some());
        let stack = walks.find_map(|walk| walk.stack_if_there(beginning, memory));
        self.credit = match stack {
            Some(_) => self.credit.wrapping_add(CREDIT_FOR_FOUND).min(MAX_CREDIT),
            None => self.credit.saturating_sub(1),
        };
        stack
    }

    /// Keeps a walk that went all the way by frames that are found quickly, those of `stack`.
    pub(super) fn keep(
        &mut self,
        beginning: Beginning,
        stack: &'static Stack,
        places: &[Place],
        framed_end: usize,
    ) {
        if places.len() > MAX_DEPTH {
            return;
        }
        let Some(set) = self.sets.get_mut(beginning.set()) else { return };
        let free = set.iter().position(|walk| walk.stack.is_none());
        if let Some(walk) = set.get_mut(free.unwrap_or(self.kept & (WAYS - 1))) {
            // Counted first: a child of `fork` forgets what was kept by this count.
            self.kept = self.kept.wrapping_add(1);
            compiler_fence(SeqCst);
            walk.stack = Some(stack);
            walk.framed_end = framed_end;
            walk.places.iter_mut().zip(places).for_each(|(kept, &place)| *kept = place);
        }
    }

    /// Forgets them all.
    pub(super) fn forget(&mut self) {
        if self.kept != 0 {
            self.sets.iter_mut().flatten().for_each(|walk| walk.stack = None);
            self.kept = 0;
        }
    }
}

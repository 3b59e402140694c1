//! Whole walks that were made before are found by where they began: what is sampled often has been sampled from there
//! before.
//!
//! A walk that starts as an earlier one did, at the same place and return address, would come by the same places if the
//! return addresses there are the same: each frame's place follows from the place and the return address of the one within
//! by a rule that does not change. So it is enough to read every address and to compare. The walk is then one to which a
//! cookie was attached, and nothing is written down, hashed or looked up.
//!
//! Where stacks hardly repeat, as in a recursive descent, looking for them would only cost. So it is left alone there, and
//! tried again now and then.
//!
//! Path: *allocation path*, sampled allocations only.

use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

use super::entry::Beginning;
use super::frame_place::{FramePlace, are_there};
use crate::by_tables::memory::StackMemory;
use crate::{CodeAddress, Cookie, hash};

/// Frames of the deepest walk that is kept here.
pub(super) const MAX_DEPTH: usize = 64;
/// Slots for walks whose beginnings have the same hash.
const WAYS: usize = 4;
const SETS: usize = 16;
/// How many walks that are looked for in vain a walk that is found pays for: looking in vain, and then keeping the walk,
/// takes half of what finding one saves.
const CREDIT_FOR_FOUND: u32 = 2;
const MAX_CREDIT: u32 = 64;
/// Without credit, one walk in this many is looked for.
const TRIAL: u32 = 32;

/// Remembers the walks of one thread.
pub(in crate::by_tables) struct KnownWalks {
    sets: [[KnownWalk; WAYS]; SETS],
    /// Counts walks kept, to replace each of a set in turn.
    kept: usize,
    credit: u32,
    /// Counts walks while there is no credit.
    without_credit: u32,
}

struct KnownWalk {
    /// What was attached to it. `None`: this slot is free.
    cookie: Option<Cookie>,
    len: usize,
    /// From this index on, no frame was found from the frame pointer.
    framed_end: usize,
    /// Outermost first, and so are the places.
    frames: [CodeAddress; MAX_DEPTH],
    places: [FramePlace; MAX_DEPTH],
}

impl Beginning {
    /// The set of walks that begin like this.
    #[inline(always)]
    fn set(self) -> usize {
        let hash = (self.return_address ^ (self.bytes_above as usize) << 28) as u64;
        (hash::multiply(hash) >> 60) as usize & (SETS - 1)
    }
}

impl KnownWalk {
    const NONE: KnownWalk = KnownWalk {
        cookie: None,
        len: 0,
        framed_end: 0,
        frames: [CodeAddress::from_bits(0); MAX_DEPTH],
        places: [FramePlace::NONE; MAX_DEPTH],
    };

    /// The cookie, if this walk is what is on the stack now.
    #[inline(always)]
    fn cookie_if_there(&self, beginning: Beginning, memory: &StackMemory) -> Option<Cookie> {
        let cookie = self.cookie?;
        let (frames, places) = (self.frames.get(..self.len)?, self.places.get(..self.len)?);
        let is_same = places.last()?.bytes_above() == beginning.bytes_above
            && are_there(frames, places, self.framed_end, beginning.frame_pointer, memory);
        is_same.then_some(cookie)
    }
}

impl KnownWalks {
    pub(super) const NONE: KnownWalks = KnownWalks {
        sets: [const { [const { KnownWalk::NONE }; WAYS] }; SETS],
        kept: 0,
        credit: 0,
        without_credit: 0,
    };

    /// Whether it is likely to pay to [`find`](Self::find) the next walk, and to [`keep`](Self::keep) it if it is not
    /// known.
    #[inline(always)]
    pub(in crate::by_tables) fn pays(&mut self) -> bool {
        if self.credit > 0 {
            return true;
        }
        self.without_credit = self.without_credit.wrapping_add(1);
        self.without_credit.is_multiple_of(TRIAL)
    }

    /// The cookie of the walk from `beginning`, if it is known.
    #[inline(always)]
    pub(in crate::by_tables) fn find(
        &mut self,
        beginning: Beginning,
        memory: &StackMemory,
    ) -> Option<Cookie> {
        let set = self.sets.get(beginning.set())?;
        // Free slots are the last.
        let mut walks = set.iter().take_while(|walk| walk.cookie.is_some());
        let cookie = walks.find_map(|walk| walk.cookie_if_there(beginning, memory));
        self.credit = match cookie {
            Some(_) => self.credit.wrapping_add(CREDIT_FOR_FOUND).min(MAX_CREDIT),
            None => self.credit.saturating_sub(1),
        };
        cookie
    }

    /// Keeps a walk of at most [`MAX_DEPTH`] frames, all of which were found quickly, up to the end of the stack.
    pub(super) fn keep(
        &mut self,
        beginning: Beginning,
        cookie: Cookie,
        frames: &[CodeAddress],
        places: &[FramePlace],
        framed_end: usize,
    ) {
        let Some(set) = self.sets.get_mut(beginning.set()) else { return };
        let free = set.iter().position(|walk| walk.cookie.is_none());
        if let Some(walk) = set.get_mut(free.unwrap_or(self.kept & (WAYS - 1))) {
            // Counted first: a child of `fork` forgets what was kept by this count.
            self.kept = self.kept.wrapping_add(1);
            compiler_fence(SeqCst);
            walk.cookie = Some(cookie);
            walk.framed_end = framed_end;
            walk.len = frames.len();
            walk.frames.iter_mut().zip(frames).for_each(|(kept, &frame)| *kept = frame);
            walk.places.iter_mut().zip(places).for_each(|(kept, &place)| *kept = place);
        }
    }

    /// Forgets all walks.
    pub(super) fn forget(&mut self) {
        if self.kept != 0 {
            self.sets.iter_mut().flatten().for_each(|walk| walk.cookie = None);
            self.kept = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_tables::registers::FramePointer;
    use crate::by_tables::rules::{self, Cfa, Rule};
    use std::num::NonZeroUsize;

    fn cookie(number: usize) -> Cookie {
        Cookie(NonZeroUsize::new(number).unwrap())
    }

    fn places() -> [FramePlace; 2] {
        rules::keep(0x2222_0000, Rule::frame(Cfa::StackPointer(16), None));
        let rule = rules::quick(0x2222_0000).unwrap();
        [0, 16].map(|bytes_above| FramePlace::quick(bytes_above, rule))
    }

    fn beginning(return_address: usize) -> Beginning {
        Beginning { bytes_above: 16, frame_pointer: FramePointer::Value(0), return_address }
    }

    #[test]
    fn a_walk_is_known_while_it_is_on_the_stack() {
        let mut known = Box::new(KnownWalks::NONE);
        let mut words = [0, 22, 0, 11];
        let frames = [11, 22].map(CodeAddress::returning_to);
        let begins = beginning(11);
        assert_eq!(known.find(begins, &StackMemory::of_words(&words)), None);
        known.keep(begins, cookie(7), &frames, &places(), 0);
        assert_eq!(known.find(begins, &StackMemory::of_words(&words)), Some(cookie(7)));
        let deeper = Beginning { bytes_above: 32, ..begins };
        assert_eq!(known.find(deeper, &StackMemory::of_words(&words)), None);
        words[3] = 33;
        assert_eq!(known.find(begins, &StackMemory::of_words(&words)), None);
        words[3] = 11;
        known.forget();
        assert_eq!(known.find(begins, &StackMemory::of_words(&words)), None);
    }

    #[test]
    fn of_those_that_begin_alike_the_last_four_are_known() {
        let mut known = Box::new(KnownWalks::NONE);
        let begins = beginning(1);
        let walk = |outer: usize| [outer, 22].map(CodeAddress::returning_to);
        for outer in 101..=106 {
            known.keep(begins, cookie(outer), &walk(outer), &places(), 0);
        }
        let is_known = |outer| known.sets[begins.set()].iter().any(|walk| walk.cookie == Some(cookie(outer)));
        assert_eq!((101..=106).filter(|&outer| is_known(outer)).count(), WAYS);
        assert!(is_known(105) && is_known(106));
        let words = [0, 22, 0, 106];
        assert_eq!(known.find(begins, &StackMemory::of_words(&words)), Some(cookie(106)));
    }

    #[test]
    fn what_does_not_pay_is_tried_now_and_then() {
        let mut known = Box::new(KnownWalks::NONE);
        let begins = beginning(11);
        let words = [0, 22, 0, 11];
        let memory = StackMemory::of_words(&words);
        assert_eq!((0..TRIAL).filter(|_| known.pays()).count(), 1);
        known.keep(begins, cookie(1), &[11, 22].map(CodeAddress::returning_to), &places(), 0);
        assert!(known.find(begins, &memory).is_some());
        // One that was found pays for two that were not.
        for _ in 0..CREDIT_FOR_FOUND {
            assert!(known.pays());
            assert!(known.find(Beginning { bytes_above: 0, ..begins }, &memory).is_none());
        }
        assert_eq!((0..2 * TRIAL).filter(|_| known.pays()).count(), 2);
    }
}

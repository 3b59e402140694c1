//! The last walk that each thread made is kept, so that the next one need not find its outer frames again.
//!
//! Walks that a thread makes one after the other share most of their outer frames. A walk that comes upon a frame of the
//! last one, which is the same return address at the same place, knows where the return addresses beyond it were. If they
//! are still there, so are their frames: each frame's place follows from the place and the return address of the one within
//! by a rule that does not change. Every address is read and compared, so nothing is believed that the stack does not say
//! now. (Where a frame pointer leads, it is read and compared as well.)
//!
//! Frames are kept outermost first: what two walks have in common stays where it is, and only the frames within are
//! replaced.
//!
//! Path: *allocation path*, sampled allocations only.

use super::entry::{Beginning, Entry};
use super::frame_place::{FramePlace, are_there};
use super::known::{self, KnownWalks};
use crate::by_tables::memory::StackMemory;
use crate::by_tables::registers::Registers;
use crate::frames::{Frames, add_to_hash};
use crate::{CodeAddress, Cookie, MAX_STACK_DEPTH, hash_of};

/// Two walks, outermost frame first: the last one, and the places of the present one, whose frames the caller's room has.
pub(crate) struct Recent {
    frames: [CodeAddress; MAX_STACK_DEPTH],
    places: [FramePlace; MAX_STACK_DEPTH],
    /// For each frame of the last walk, the hash of it and all frames beyond.
    hashes: [u64; MAX_STACK_DEPTH],
    len: usize,
    /// The last walk ended where its stack ends, and not because it had to give up.
    is_whole: bool,
    /// How many of its frames were found quickly, counted from the outermost to the first that was not.
    quick_len: usize,
    /// From this index on, no frame was found from the frame pointer.
    framed_end: usize,
    present: [FramePlace; MAX_STACK_DEPTH],
    /// How many frames of the last walk the present one can still come upon, counted from the outermost.
    next: usize,
    entry: Entry,
    pub(in crate::by_tables) known: KnownWalks,
}

/// How a run of frames that are found quickly ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::by_tables) enum RunEnd {
    /// It ended at the end of the stack: from some frame outwards all is as it was.
    Whole,
    /// It ended where this walk and the last one part, after some frames in common.
    Parted,
    /// It ended at a frame that has no caller, or one that is not found quickly, or where there is no more room.
    Unknown,
}

impl Recent {
    pub(super) const NONE: Recent = Recent {
        frames: [CodeAddress::from_bits(0); MAX_STACK_DEPTH],
        places: [FramePlace::NONE; MAX_STACK_DEPTH],
        hashes: [0; MAX_STACK_DEPTH],
        len: 0,
        is_whole: false,
        quick_len: 0,
        framed_end: 0,
        present: [FramePlace::NONE; MAX_STACK_DEPTH],
        next: 0,
        entry: Entry::NONE,
        known: KnownWalks::NONE,
    };

    /// Where the walk from `registers` begins, if its first frames are found quickly. Those below `own_address` are passed
    /// by. The instruction pointer is a return address.
    #[inline(always)]
    pub(in crate::by_tables) fn beginning(
        &mut self,
        registers: Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> Option<Beginning> {
        self.entry.beginning(registers, memory, own_address)
    }

    /// Whether the walk that was finished last can be known again as a whole: it went all the way by frames that are found
    /// quickly, and is not too deep.
    pub(in crate::by_tables) fn is_knowable(&self) -> bool {
        self.is_whole && self.quick_len == self.len && self.len <= known::MAX_DEPTH
    }

    /// Keeps the walk that was finished last, which is knowable, with its cookie.
    pub(super) fn keep_as_known(&mut self, beginning: Beginning, cookie: Cookie) {
        let (frames, places) = (self.frames.get(..self.len), self.places.get(..self.len));
        if let (Some(frames), Some(places)) = (frames, places) {
            self.known.keep(beginning, cookie, frames, places, self.framed_end);
        }
    }

    /// Begins a walk.
    #[inline(always)]
    pub(in crate::by_tables) fn begin(&mut self) {
        self.next = self.len;
    }

    /// Goes on from caller to caller as long as they are found quickly, which is nearly all the way. Where the last walk has
    /// been, takes over from it what is still there. Frames below `own_address` are passed by. The instruction pointer in
    /// `registers` is a return address.
    #[inline(always)]
    pub(in crate::by_tables) fn run(
        &mut self,
        frames: &mut Frames<'_>,
        registers: &mut Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> RunEnd {
        if !self.run_to_known(frames, registers, memory, own_address) {
            return RunEnd::Unknown;
        }
        let beyond = self.next;
        let (known, places) = self.outermost(beyond);
        // What is taken over at once is all there, ends where the stack ends, and has room.
        if self.is_whole
            && beyond <= self.quick_len
            && beyond <= MAX_STACK_DEPTH.saturating_sub(frames.depth())
            && are_there(known, places, self.framed_end.min(beyond), registers.frame_pointer, memory)
        {
            frames.extend(known);
            return RunEnd::Whole;
        }
        self.take_over(frames, registers, memory);
        RunEnd::Parted
    }

    /// True: the outermost of `frames` is the last walk's too, and `next` frames are beyond it.
    #[inline(never)]
    fn run_to_known(
        &mut self,
        frames: &mut Frames<'_>,
        registers: &mut Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> bool {
        // Copies, which the compiler can keep in registers: it need not fear that a write to the room changes them.
        let memory = *memory;
        let mut here = *registers;
        let mut index = MAX_STACK_DEPTH.saturating_sub(frames.depth());
        let mut next = self.next;
        let mut is_known = false;
        let room = frames.room_mut();
        'run: while index != 0
            && let Some(rule) = here.go_to_caller(&memory)
        {
            if here.stack_pointer <= own_address {
                continue;
            }
            let inner = index.wrapping_sub(1);
            let (Some(place), Some(slot)) = (self.present.get_mut(inner), room.get_mut(inner)) else {
                break;
            };
            index = inner;
            let frame = CodeAddress::returning_to(here.instruction_pointer);
            slot.write(frame);
            let bytes_above = memory.bytes_above(here.stack_pointer);
            *place = FramePlace::quick(bytes_above, rule);
            // The last walk's frames that are within this one, or at its place, cannot come up any more.
            while let Some(candidate) = next.checked_sub(1)
                && let Some(place) = self.places.get(candidate)
                && place.bytes_above() >= bytes_above
            {
                next = candidate;
                if place.bytes_above() == bytes_above {
                    if self.frames.get(candidate) == Some(&frame) {
                        is_known = true;
                        break 'run;
                    }
                    break;
                }
            }
        }
        *registers = here;
        // SAFETY: each slot from `index` on was written: here, or before, as the walk says.
        unsafe { frames.set_depth(MAX_STACK_DEPTH.wrapping_sub(index)) };
        self.next = next;
        is_known
    }

    /// The outermost frames of the last walk.
    #[inline(always)]
    fn outermost(&self, count: usize) -> (&[CodeAddress], &[FramePlace]) {
        (self.frames.get(..count).unwrap_or(&[]), self.places.get(..count).unwrap_or(&[]))
    }

    /// Takes over frames of the last walk, from `next` outwards, as long as they were found quickly and are still there.
    #[cold]
    fn take_over(&mut self, frames: &mut Frames<'_>, registers: &mut Registers, memory: &StackMemory) {
        while let Some(next) = self.next.checked_sub(1)
            && let (Some(&frame), Some(&place)) = (self.frames.get(next), self.places.get(next))
            && place.return_address(memory) == Some(frame.to_bits())
            && place.is_quick()
            && (!place.is_framed() || place.is_led_to(registers.frame_pointer, memory))
            && let Some(index) = MAX_STACK_DEPTH.wrapping_sub(1).checked_sub(frames.depth())
            && let Some(present) = self.present.get_mut(index)
        {
            *present = place;
            frames.push(frame);
            self.next = next;
            registers.instruction_pointer = frame.to_bits();
            registers.stack_pointer = place.cfa(memory);
            if let Some(saved) = place.saved_frame_pointer(memory) {
                registers.frame_pointer = saved;
            }
        }
    }

    /// Notes the place of a frame of the present walk that was not found by a run.
    pub(in crate::by_tables) fn pass(&mut self, within: usize, bytes_above: u32) {
        let index = MAX_STACK_DEPTH.wrapping_sub(1).wrapping_sub(within);
        if let Some(place) = self.present.get_mut(index) {
            *place = FramePlace::slow(bytes_above);
        }
    }

    /// Makes the present walk the last one. It has the `kept` outermost frames of the last one, which stay where they are.
    #[inline(always)]
    pub(in crate::by_tables) fn finish(&mut self, frames: &mut Frames<'_>, kept: usize, is_whole: bool) {
        let outer = kept.checked_sub(1).and_then(|outer| self.hashes.get(outer));
        let mut hash = outer.copied().unwrap_or(hash_of(&[]));
        let mut len = kept;
        let mut are_quick = true;
        let mut quick_len = kept;
        let mut framed_end = self.framed_end;
        if framed_end > kept {
            let mut of_kept = self.places.get(..kept).unwrap_or(&[]).iter();
            framed_end =
                of_kept.rposition(|place| place.is_framed()).map_or(0, |index| index.wrapping_add(1));
        }
        let within = frames.as_slice().get(kept..).unwrap_or(&[]);
        let present = self.present.get(MAX_STACK_DEPTH.saturating_sub(within.len())..).unwrap_or(&[]);
        let last_frames = self.frames.get_mut(kept..).unwrap_or(&mut []);
        let places = self.places.get_mut(kept..).unwrap_or(&mut []);
        let hashes = self.hashes.get_mut(kept..).unwrap_or(&mut []);
        let last = last_frames.iter_mut().zip(places).zip(hashes);
        for (((last_frame, last_place), last_hash), (&frame, &place)) in last.zip(within.iter().zip(present))
        {
            hash = add_to_hash(hash, frame);
            are_quick &= place.is_quick();
            quick_len = quick_len.wrapping_add(usize::from(are_quick));
            (*last_frame, *last_place, *last_hash) = (frame, place, hash);
            len = len.wrapping_add(1);
            if place.is_framed() {
                framed_end = len;
            }
        }
        self.len = frames.depth();
        self.is_whole = is_whole;
        self.quick_len = quick_len;
        self.framed_end = framed_end;
        frames.note_hash(hash);
    }

    /// How many frames of the last walk are beyond all that came up.
    pub(in crate::by_tables) fn next(&self) -> usize {
        self.next
    }

    /// Forgets the last walk: the present one was on more stacks than one.
    pub(in crate::by_tables) fn forget(&mut self) {
        self.len = 0;
    }

    /// Forgets all walks.
    pub(super) fn forget_all(&mut self) {
        // mutant: A4 children know the walks of their parent
        self.known.forget();
        self.entry.forget();
        // Only what is in use is written to: the rest need not be copied for a child of `fork`.
        if self.len != 0 {
            self.len = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_tables::registers::FramePointer;
    use crate::by_tables::rules::{self, Cfa, Rule};
    use crate::frames::room;

    /// The return address number `number` of this test, at which no other test keeps a rule.
    fn address(number: usize) -> usize {
        let address = 0x1111_0000 + 16 * number;
        rules::keep(address - 1, Rule::frame(Cfa::StackPointer(16), None));
        address
    }

    /// The frames that a walk finds from a function at `address(0)`, on a stack of these return addresses, and how its run
    /// ended. The frame of 0 has no caller.
    fn walk(recent: &mut Recent, callers: &[usize]) -> (Vec<usize>, RunEnd) {
        let words: Vec<usize> = callers.iter().flat_map(|&caller| [0, caller]).chain([0, 0]).collect();
        let memory = StackMemory::of_words(&words);
        let (stack_pointer, frame_pointer) = (words.as_ptr().expose_provenance(), FramePointer::Value(0));
        let mut registers = Registers::at(address(0), stack_pointer, frame_pointer);
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        recent.begin();
        let end = recent.run(&mut frames, &mut registers, &memory, 0);
        let kept = if end == RunEnd::Whole { recent.next() } else { 0 };
        if end == RunEnd::Parted {
            // As the cursor does: on from where the two walks part.
            assert!(recent.run(&mut frames, &mut registers, &memory, 0) != RunEnd::Whole);
        }
        recent.finish(&mut frames, kept, true);
        assert_eq!(frames.hash(), hash_of(frames.as_slice()));
        assert_eq!(recent.frames[..recent.len], *frames.as_slice());
        (frames.as_slice().iter().rev().map(|frame| frame.address()).collect(), end)
    }

    #[test]
    fn what_two_walks_have_in_common_is_taken_over() {
        let mut recent = Box::new(Recent::NONE);
        let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(address);
        assert_eq!(walk(&mut recent, &[a, b, c]), (vec![a, b, c], RunEnd::Unknown));
        assert!(recent.is_knowable());
        assert_eq!(walk(&mut recent, &[a, b, c]), (vec![a, b, c], RunEnd::Whole));
        assert_eq!(walk(&mut recent, &[d, b, c]), (vec![d, b, c], RunEnd::Whole));
        assert_eq!(walk(&mut recent, &[e, d, b, c]), (vec![e, d, b, c], RunEnd::Whole), "one deeper");
        assert_eq!(walk(&mut recent, &[c]), (vec![c], RunEnd::Whole), "three less deep");
    }

    #[test]
    fn a_frame_that_changed_is_not_taken_over() {
        let mut recent = Box::new(Recent::NONE);
        let [a, b, c, d] = [1, 2, 3, 4].map(address);
        walk(&mut recent, &[a, b, c, d]);
        // The two in the middle are the same, the outermost is not.
        let (found, end) = walk(&mut recent, &[a, b, c, a]);
        assert_eq!(found, [a, b, c, a]);
        assert!(end == RunEnd::Parted);
        assert_eq!(walk(&mut recent, &[b, a, d]).0, [b, a, d], "nothing in common");
    }

    #[test]
    fn what_was_forgotten_is_not_taken_over() {
        let mut recent = Box::new(Recent::NONE);
        let [a, b] = [1, 2].map(address);
        walk(&mut recent, &[a, b]);
        recent.forget();
        assert!(walk(&mut recent, &[a, b]).1 == RunEnd::Unknown);
        recent.forget_all();
        assert!(walk(&mut recent, &[a, b]).1 == RunEnd::Unknown);
    }

    #[test]
    fn a_frame_that_is_not_quick_makes_a_walk_unknowable() {
        let mut recent = Box::new(Recent::NONE);
        let [a, b] = [1, 2].map(address);
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        recent.begin();
        for (within, frame) in [a, b].into_iter().enumerate() {
            recent.pass(within, 16 - 16 * within as u32);
            frames.push(CodeAddress::returning_to(frame));
        }
        recent.finish(&mut frames, 0, true);
        assert_eq!((recent.len, recent.quick_len, recent.is_knowable()), (2, 0, false));
    }
}

//! This remembers where a frame was on the stack, and tells whether frames are still where they were.
//!
//! Path: *allocation path*, sampled allocations only.

use crate::CodeAddress;
use crate::by_tables::memory::StackMemory;
use crate::by_tables::processor::{self, ReturnAddress};
use crate::by_tables::registers::FramePointer;
use crate::by_tables::rules::Quick;

/// The place of a frame that a walk came by, in one word: the lower 32 bits are the bytes from the frame's stack pointer up
/// to the end of the stack; the next 16 bits are where the frame pointer was saved, as an offset in bytes from the stack
/// pointer, or 0 if it was not saved; flags follow, and where its return address was found.
#[derive(Clone, Copy)]
pub(super) struct FramePlace(u64);

impl FramePlace {
    pub(super) const NONE: FramePlace = FramePlace(0);
    /// The frame was found by [`Registers::go_to_caller`](crate::by_tables::registers::Registers::go_to_caller).
    const IS_QUICK: u64 = 1 << 48;
    /// The frame was found from the frame pointer.
    const IS_FRAMED: u64 = 1 << 49;

    #[inline(always)]
    pub(super) fn quick(bytes_above: u32, rule: Quick) -> FramePlace {
        let framed = if rule.is_framed() { FramePlace::IS_FRAMED } else { 0 };
        let saved = u64::from(rule.frame_pointer_offset() as u16) << 32;
        let kept = rule.return_address().to_bits();
        FramePlace(FramePlace::IS_QUICK | framed | saved | kept | u64::from(bytes_above))
    }

    /// The place of a frame that was found in any other way.
    pub(super) fn slow(bytes_above: u32) -> FramePlace {
        FramePlace(u64::from(bytes_above))
    }

    #[inline(always)]
    pub(super) fn bytes_above(self) -> u32 {
        self.0 as u32
    }

    fn frame_pointer_offset(self) -> i16 {
        (self.0 >> 32) as i16
    }

    /// The return address that is now where the frame's was found, if that is on this stack.
    #[inline(always)]
    pub(super) fn return_address(self, memory: &StackMemory) -> Option<usize> {
        let kept = ReturnAddress::of_bits(self.0);
        Some(kept.address(memory.read_below(self.bytes_above(), kept.distance())?))
    }

    /// Whether `frame_pointer` leads to this frame, which was found from one.
    pub(super) fn is_led_to(self, frame_pointer: FramePointer, memory: &StackMemory) -> bool {
        let frame_bytes = processor::frame_bytes(self.frame_pointer_offset());
        frame_pointer.cfa(frame_bytes, memory) == Some(self.cfa(memory))
    }

    #[inline(always)]
    pub(super) fn is_quick(self) -> bool {
        self.0 & FramePlace::IS_QUICK != 0
    }

    #[inline(always)]
    pub(super) fn is_framed(self) -> bool {
        self.0 & FramePlace::IS_FRAMED != 0
    }

    /// Returns the stack pointer of the frame.
    pub(super) fn cfa(self, memory: &StackMemory) -> usize {
        memory.stack_pointer(self.bytes_above())
    }

    /// The caller's frame pointer, if it was saved in this frame.
    pub(super) fn saved_frame_pointer(self, memory: &StackMemory) -> Option<FramePointer> {
        let offset = self.frame_pointer_offset();
        (offset != 0).then(|| FramePointer::At(self.cfa(memory).wrapping_add_signed(offset.into())))
    }
}

/// Whether frames are all still what they were. They are given outermost first and were all found quickly, at most the first
/// `framed_end` of them from the frame pointer; where they begin, that is `frame_pointer`.
#[inline(always)]
pub(super) fn are_there(
    frames: &[CodeAddress],
    places: &[FramePlace],
    framed_end: usize,
    frame_pointer: FramePointer,
    memory: &StackMemory,
) -> bool {
    let is_there = |(&frame, place): (&CodeAddress, &FramePlace)| {
        // mutant: B7 a walk that was there once is there again
        place.return_address(memory) == Some(frame.to_bits())
    };
    // mutant: B7 frame pointers are where they were
    frames.iter().zip(places).rev().all(is_there)
        && (framed_end == 0 || lead_there(places, framed_end, frame_pointer, memory))
}

/// Whether frame pointers lead to the places that were found from one. Return addresses alone would not do: a gap below an
/// aligned frame may still hold a return address of another call.
fn lead_there(
    places: &[FramePlace],
    framed_end: usize,
    frame_pointer: FramePointer,
    memory: &StackMemory,
) -> bool {
    (0..framed_end).zip(places).filter(|(_, place)| place.is_framed()).all(|(index, place)| {
        let mut within = places.get(index.wrapping_add(1)..).unwrap_or(&[]).iter();
        let saved = within.find_map(|place| place.saved_frame_pointer(memory));
        place.is_led_to(saved.unwrap_or(frame_pointer), memory)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_tables::rules::{self, Cfa, Rule};

    /// The rule that is kept for an address of this test, at which no other test keeps one.
    fn quick(number: usize, cfa: Cfa, frame_pointer: Option<i16>) -> Quick {
        rules::keep(0x4444_0000 + number, Rule::frame(cfa, frame_pointer));
        rules::quick(0x4444_0000 + number).unwrap()
    }

    #[test]
    fn a_place_says_what_it_was_made_of() {
        let words = [0; 8];
        let memory = StackMemory::of_words(&words);
        let end = words.as_ptr().addr() + size_of_val(&words);
        let plain = FramePlace::quick(24, quick(1, Cfa::StackPointer(16), None));
        assert!(plain.is_quick() && !plain.is_framed());
        assert_eq!((plain.bytes_above(), plain.cfa(&memory)), (24, end - 24));
        assert_eq!(plain.saved_frame_pointer(&memory), None);
        let framed = FramePlace::quick(u32::MAX, quick(2, Cfa::FramePointer(16), Some(-16)));
        assert!(framed.is_quick() && framed.is_framed());
        let saved = FramePointer::At(end.wrapping_sub(u32::MAX as usize).wrapping_sub(16));
        assert_eq!((framed.bytes_above(), framed.saved_frame_pointer(&memory)), (u32::MAX, Some(saved)));
        let slow = FramePlace::slow(24);
        assert_eq!((slow.is_quick(), slow.is_framed(), slow.bytes_above()), (false, false, 24));
    }

    #[test]
    fn every_return_address_is_compared() {
        let words = [0, 33, 0, 22, 0, 11];
        let memory = StackMemory::of_words(&words);
        // Outermost first; each is right below its frame's place.
        let frames = [11, 22, 33].map(CodeAddress::returning_to);
        let rule = quick(3, Cfa::StackPointer(16), None);
        let places = [0, 16, 32].map(|bytes_above| FramePlace::quick(bytes_above, rule));
        let nowhere = FramePointer::Value(0);
        assert!(are_there(&frames, &places, 0, nowhere, &memory));
        for index in 0..frames.len() {
            let mut other = frames;
            other[index] = CodeAddress::returning_to(44);
            assert!(!are_there(&other, &places, 0, nowhere, &memory), "{index}");
        }
    }

    /// The outer of two frames was found from the frame pointer that the inner one saved.
    #[test]
    fn frame_pointers_must_lead_to_where_they_led() {
        let mut words = [0; 6];
        let address = |index: usize| words.as_ptr().expose_provenance() + 8 * index;
        let (saved, elsewhere) = (address(4), address(3));
        // The CFA of a frame is two words above what its frame pointer points to, and the return address right below.
        (words[0], words[1], words[5]) = (saved, 22, 11);
        let frames = [11, 22].map(CodeAddress::returning_to);
        let outer = FramePlace::quick(0, quick(4, Cfa::FramePointer(16), Some(-16)));
        let inner = FramePlace::quick(32, quick(5, Cfa::StackPointer(16), Some(-16)));
        let memory = StackMemory::of_words(&words);
        assert!(are_there(&frames, &[outer, inner], 1, FramePointer::Value(0), &memory));
        let mut other_words = words;
        other_words[0] = elsewhere;
        let memory = StackMemory::of_words(&other_words);
        assert!(!are_there(&frames, &[outer, inner], 1, FramePointer::Value(0), &memory));
        // Where no frame within saved it, it is in the register.
        let memory = StackMemory::of_words(&words);
        let inner = FramePlace::quick(32, quick(6, Cfa::StackPointer(16), None));
        assert!(are_there(&frames, &[outer, inner], 1, FramePointer::Value(saved), &memory));
        assert!(!are_there(&frames, &[outer, inner], 1, FramePointer::Value(elsewhere), &memory));
    }
}

//! Where a frame was on the stack, and whether frames are still where they were.
//!
//! Path: *allocation path*, sampled allocations only.

use crate::CodeAddress;
use crate::by_tables::memory::StackMemory;
use crate::by_tables::registers::FramePointer;
use crate::by_tables::rules::Quick;

/// The place of a frame that a walk came by, in one word: the lower 32 bits are the bytes from the frame's stack pointer up
/// to the end of the stack; the next 16 bits are where the frame pointer was saved, as an offset in bytes from the stack
/// pointer, or 0 if it was not saved; flags follow.
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
        FramePlace(FramePlace::IS_QUICK | framed | saved | u64::from(bytes_above))
    }

    /// The place of a frame that was found in any other way.
    pub(super) fn slow(bytes_above: u32) -> FramePlace {
        FramePlace(u64::from(bytes_above))
    }

    #[inline(always)]
    pub(super) fn bytes_above(self) -> u32 {
        self.0 as u32
    }

    fn frame_pointer_offset(self) -> isize {
        (self.0 >> 32) as i16 as isize
    }

    #[inline(always)]
    pub(super) fn is_quick(self) -> bool {
        self.0 & FramePlace::IS_QUICK != 0
    }

    #[inline(always)]
    pub(super) fn is_framed(self) -> bool {
        self.0 & FramePlace::IS_FRAMED != 0
    }

    /// The stack pointer of the frame.
    pub(super) fn cfa(self, memory: &StackMemory) -> usize {
        memory.stack_pointer(self.bytes_above())
    }

    /// The caller's frame pointer, if it was saved in this frame.
    pub(super) fn saved_frame_pointer(self, memory: &StackMemory) -> Option<FramePointer> {
        let offset = self.frame_pointer_offset();
        (offset != 0).then(|| FramePointer::At(self.cfa(memory).wrapping_add_signed(offset)))
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
        memory.read_above(place.bytes_above()) == Some(frame.to_bits())
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
        saved.unwrap_or(frame_pointer).cfa(memory) == Some(place.cfa(memory))
    })
}

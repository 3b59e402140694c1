//! The stack of another thread that sleeps in a system call, from a copy.
//!
//! The kernel tells where such a thread is and where its stack pointer is, but not its frame pointer. Most functions on the way
//! out do not need that; the C library's, for example, have their frames where the stack pointer is. So the walk goes without
//! it as far as it gets. The function that needs it then points with it to a place on the stack above: where its caller's
//! frame pointer is saved, and right above it an address that the function returns to. How far above, its first instructions
//! tell in most cases. Where they do not, such places are tried out.
//!
//! Path: *read path*. It reads the copy, and images that stay; a library may be closed at any moment, since its function need
//! not be on the sleeper's stack any more.

use super::calls;
use super::cursor::Cursor;
use super::eh_frame::Tables;
use super::loaded;
use super::memory::StackMemory;
use super::processor;
use super::registers::{FramePointer, Registers};
use crate::CodeAddress;
use crate::frames::Frames;

const WORD_BYTES: usize = size_of::<usize>();
/// The frame of the function that needs a frame pointer is no larger, or is not found.
const MAX_FRAME_BYTES: usize = 64 << 10;
/// Places that are tried out at most, if none is certain.
const MAX_TRIES: usize = 256;

/// Tells how a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Reached {
    is_whole: bool,
    depth: usize,
}

/// Fills `frames` from the instruction that the thread sleeps in, outwards. True: the frames are those of the thread, as far
/// as they go. False: the frame pointer was guessed, and another guess may be as good.
pub(super) fn fill(frames: &mut Frames<'_>, instruction_pointer: usize, memory: StackMemory) -> bool {
    let stack_pointer = memory.start();
    frames.push(CodeAddress::of_instruction(instruction_pointer));
    // With 0, the walk ends where the frame pointer is needed.
    let unknown = FramePointer::Value(0);
    let mut cursor = Cursor::from(Registers::at(instruction_pointer, stack_pointer, unknown), memory);
    cursor.go(frames, None);
    let stuck = cursor.registers();
    if !frames.is_cut() || stuck.frame_pointer != unknown {
        return true;
    }
    let depth = frames.depth();
    let from = |frame_pointer: usize, frames: &mut Frames<'_>| {
        // The frames up to here are there already.
        frames.go_back(depth);
        let mut cursor = cursor.with_frame_pointer(frame_pointer);
        cursor.go(frames, None);
        Reached { is_whole: !frames.is_cut(), depth: frames.depth() }
    };
    // Most functions tell by their first instructions how large their frames are.
    let told = distance(cursor.lookup_address()).map(|bytes| stuck.stack_pointer.wrapping_add(bytes));
    if let Some(frame_pointer) = told
        && likeness(frame_pointer, &stuck, cursor.lookup_address(), memory) != Likeness::None
        && from(frame_pointer, frames).is_whole
    {
        return true;
    }
    let (mut best, mut best_at, mut tries) = (Reached { is_whole: false, depth }, None, 0);
    for offset in (0..MAX_FRAME_BYTES).step_by(WORD_BYTES) {
        let frame_pointer = stuck.stack_pointer.wrapping_add(offset);
        match likeness(frame_pointer, &stuck, cursor.lookup_address(), memory) {
            Likeness::Certain if from(frame_pointer, frames).is_whole => return true,
            Likeness::None => continue,
            _ if tries >= MAX_TRIES => continue,
            _ => {}
        }
        tries = tries.wrapping_add(1);
        let reached = from(frame_pointer, frames);
        if reached > best {
            (best, best_at) = (reached, Some(frame_pointer));
        }
    }
    match best_at {
        Some(frame_pointer) => _ = from(frame_pointer, frames),
        None => {
            frames.go_back(depth);
            frames.note_cut(true);
        }
    }
    false
}

/// How far above its stack pointer the frame pointer points of the function that `address` is in, if its code tells.
fn distance(address: usize) -> Option<usize> {
    let loaded = loaded::find(address).filter(|image| image.is_permanent())?;
    let start = Tables::of(&loaded)?.start_of_function(address)?;
    calls::frame_pointer_distance(&loaded, start)
}

/// How much a place on the stack looks like the one that a frame pointer points to.
#[derive(PartialEq, Eq)]
enum Likeness {
    /// The address above it is right after a call of the very function that needs the frame pointer.
    Certain,
    /// The address above it is in code.
    Possible,
    None,
}

/// How much the frame at `frame_pointer` looks like that of the function that `address` is in, with these registers.
fn likeness(frame_pointer: usize, stuck: &Registers, address: usize, memory: StackMemory) -> Likeness {
    let Some(return_address) = memory.read_known(frame_pointer.wrapping_add(WORD_BYTES)) else {
        return Likeness::None;
    };
    // Most words on a stack are no addresses.
    let return_address = processor::without_signature(return_address);
    if return_address < 1 << 16 || return_address >> processor::ADDRESS_BITS != 0 {
        return Likeness::None;
    }
    let is_code = || {
        let before = return_address.wrapping_sub(1);
        let image = loaded::find(before).filter(|image| image.is_permanent())?;
        image.segments()?.containing(before).filter(|segment| segment.is_code)
    };
    if is_code().is_none() {
        return Likeness::None;
    }
    let is_certain = || {
        let loaded = loaded::find(address).filter(|image| image.is_permanent())?;
        let start = Tables::of(&loaded)?.start_of_function(address)?;
        let registers = Registers { frame_pointer: FramePointer::Value(frame_pointer), ..*stuck };
        calls::frame_pointer_rule(&loaded, address, start, &registers, &mut memory.clone())
    };
    if is_certain().is_some() { Likeness::Certain } else { Likeness::Possible }
}

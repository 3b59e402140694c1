//! Stacks are taken by the program's own unwind tables. That needs no lock, no allocation and no frame pointers.
//!
//! Each return address has a rule that says where its caller's frame is. Rules come from `.eh_frame`, found through
//! `PT_GNU_EH_FRAME` as the loader mapped it, evaluated once by gimli (`eh_frame`) and then kept (`rules`). glibc's own
//! lock-free index tells which image an address is in, so there is no list of images to keep up to date; musl has none, but never
//! unloads an image (`loaded`). The
//! stack is read with bounds (`memory`), so a wrong table cuts a walk short and cannot crash. What differs between processors is
//! in `processor`, and in `calls` what their instructions look like.
//!
//! ```text
//! mod ─▶ remembered ─▶ registers ─▶ rules               frames that are quickly passed
//!  ├───▶ sleeper ─▶ cursor                              another thread's, from a copy
//!  └───▶ cursor ─▶ rules, else loaded ─▶ segments ─▶ eh_frame, signal_frame or calls   all others
//! ```
//!
//! Path: *allocation path* and *signal handlers*.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

mod bounds;
mod calls;
mod cursor;
mod eh_frame;
mod loaded;
mod memory;
mod pages;
mod processor;
mod registers;
mod remembered;
mod rules;
mod segments;
mod signal_frame;
mod sleeper;
mod values;

use crate::frames::Frames;
use crate::{CodeAddress, Cookie, Remember, StackCopy};
use cursor::Cursor;
use memory::StackMemory;
use processor::Link;
use registers::{FramePointer, Registers};
use remembered::{Recent, RunEnd};

use remembered::Remembering;
pub(crate) use remembered::begin_anew;

static IS_READY: AtomicBool = AtomicBool::new(false);

/// Finds the loader's index, once, or lists what it has loaded since. This may take the loader's lock.
pub(crate) fn prepare() {
    if is_ready() {
        return loaded::update();
    }
    remembered::prepare();
    IS_READY.store(loaded::prepare(), Relaxed);
}

/// Returns whether stacks can be taken: false if that was not prepared, or is not possible here.
#[inline(always)]
pub(crate) fn is_ready() -> bool {
    IS_READY.load(Relaxed)
}

pub(crate) fn prepare_thread() {
    bounds::ask_once();
}

#[inline(always)]
pub(crate) fn has_room() -> Option<bool> {
    bounds::has_room(here().stack_pointer)
}

#[inline(always)]
pub(crate) fn has_room_without_asking() -> bool {
    bounds::has_room_without_asking(here().stack_pointer)
}

/// The registers of the function that this is inlined into.
#[inline(always)]
pub(crate) fn here() -> Registers {
    Registers::here()
}

/// What is remembered of a walk.
pub(crate) enum Remembered {
    /// Nothing, and it cannot be remembered as a whole.
    No,
    /// It was met before, and this was attached to it. Its frames are not in the room.
    Met(Cookie),
    /// Nothing yet, but a cookie can be attached to it.
    Can(Remembering),
}

/// Fills `frames` from the caller of the function that owns their room, which is where `registers` were read, or was called
/// from there.
#[inline(never)]
pub(crate) fn fill(frames: &mut Frames<'_>, registers: Registers, remember: Remember) -> Remembered {
    let memory = StackMemory::of_thread(registers.stack_pointer);
    let slot =
        if remember == Remember::Nothing { None } else { memory.own_end().and_then(remembered::of_thread) };
    let Some(mut recent) = slot else {
        Cursor::from(registers, memory).go(frames, None);
        return Remembered::No;
    };
    let position = registers.after_a_call();
    // The stack grows downwards: what called the owner of the room stands above it.
    let own_address = frames.room_address();
    let pays = remember == Remember::WholeWalks && recent.known.pays();
    let beginning = if pays { recent.beginning(position, &memory, own_address) } else { None };
    if let Some(cookie) = beginning.and_then(|beginning| recent.known.find(beginning, &memory)) {
        return Remembered::Met(cookie);
    }
    fill_beside(&mut recent, frames, registers, memory);
    match beginning {
        Some(beginning) if recent.is_knowable() => Remembered::Can(Remembering::new(recent, beginning)),
        _ => Remembered::No,
    }
}

/// A walk that is not known as a whole, beside the last one.
#[inline(never)]
fn fill_beside(recent: &mut Recent, frames: &mut Frames<'_>, registers: Registers, memory: StackMemory) {
    let own_address = frames.room_address();
    let mut position = registers.after_a_call();
    // mutant: B7 our own frames are shown
    recent.begin();
    if recent.run(frames, &mut position, &memory, own_address) == RunEnd::Whole {
        let kept = recent.next();
        recent.finish(frames, kept, true);
    } else {
        go_on(frames, registers, position, memory, recent);
    }
}

/// A walk that is not all the way like the one before.
#[inline(never)]
fn go_on(
    frames: &mut Frames<'_>,
    first: Registers,
    position: Registers,
    memory: StackMemory,
    recent: &mut Recent,
) {
    let mut cursor = Cursor::from(first, memory);
    cursor.move_to(position);
    let kept = cursor.go(frames, Some(recent));
    match cursor.has_left_stack() {
        true => recent.forget(),
        false => recent.finish(frames, kept, cursor.is_at_end() && !frames.is_truncated()),
    }
}

/// Fills `frames` from an interrupted instruction outwards, that included. `stack_end`: where its stack ends, if that is
/// known.
#[inline(never)]
pub(crate) fn fill_from(frames: &mut Frames<'_>, registers: crate::Registers, stack_end: Option<usize>) {
    let crate::Registers { instruction_pointer, stack_pointer, frame_pointer, link_register } = registers;
    frames.push(CodeAddress::of_instruction(instruction_pointer));
    match StackMemory::of_interrupted(stack_pointer, stack_end) {
        Some(memory) => {
            let frame_pointer = FramePointer::Value(frame_pointer);
            let link = Link::of(link_register);
            let registers = Registers { instruction_pointer, stack_pointer, frame_pointer, link };
            Cursor::from(registers, memory).go(frames, None);
        }
        None => frames.note_cut(true),
    }
}

/// Fills `frames` from the instruction that another thread sleeps in, outwards, by a copy of its stack. False: they are guessed in
/// part.
#[inline(never)]
pub(crate) fn fill_sleeping(
    frames: &mut Frames<'_>,
    instruction_pointer: usize,
    stack: StackCopy<'_>,
) -> bool {
    match StackMemory::of_copy(stack.start, stack.words) {
        Some(memory) => sleeper::fill(frames, instruction_pointer, memory),
        None => {
            frames.push(CodeAddress::of_instruction(instruction_pointer));
            frames.note_cut(true);
            true
        }
    }
}

/// Looks up some addresses in tables that the fuzzer made.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    eh_frame::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::room;

    /// The frames from the caller of this function outwards, with what is remembered.
    #[inline(never)]
    fn frames_with(remember: Remember) -> Vec<CodeAddress> {
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        fill(&mut frames, here(), remember);
        frames.as_slice().to_vec()
    }

    #[test]
    fn a_walk_finds_the_same_whatever_is_remembered() {
        prepare();
        prepare_thread();
        assert!(is_ready());
        let ways = [Remember::Nothing, Remember::LastWalk, Remember::LastWalk, Remember::Nothing];
        let found: Vec<_> = ways.into_iter().map(frames_with).collect();
        assert!(found[0].len() > 5);
        assert!(found.iter().all(|frames| *frames == found[0]), "{found:?}");
    }

    #[test]
    fn a_walk_from_registers_begins_with_their_instruction() {
        prepare();
        prepare_thread();
        let Registers { instruction_pointer, stack_pointer, frame_pointer, link } = here();
        let FramePointer::Value(frame_pointer) = frame_pointer else { panic!("it was read") };
        let link_register = link.value().unwrap_or(0);
        let registers = crate::Registers { instruction_pointer, stack_pointer, frame_pointer, link_register };
        let end = StackMemory::of_thread(stack_pointer).own_end();
        assert!(end.is_some());
        // An end that is below is none, and pages are tried out.
        for end in [end, None, Some(stack_pointer), Some(0)] {
            let mut room = room();
            let mut frames = Frames::new(&mut room);
            fill_from(&mut frames, registers, end);
            let (first, callers) = frames.as_slice().split_last().unwrap();
            assert_eq!(*first, CodeAddress::of_instruction(registers.instruction_pointer));
            let expected = frames_with(Remember::Nothing);
            // The function that is called here has one caller more, which is this one.
            assert_eq!(*callers, expected[..expected.len() - 1]);
        }
    }

    /// Nothing is read at or beyond the end that is given, though pages there can be read.
    #[test]
    fn a_walk_of_interrupted_code_ends_where_its_stack_does() {
        let words = [7_usize; 8];
        let start = words.as_ptr().expose_provenance();
        let mut memory = StackMemory::of_interrupted(start, Some(start + 32)).unwrap();
        let read: Vec<_> = [0, 24, 32, 40].map(|offset| memory.read(start + offset)).into();
        assert_eq!(read, [Some(7), Some(7), None, None]);
        assert_eq!(memory.read(start - 8), None);
    }
}

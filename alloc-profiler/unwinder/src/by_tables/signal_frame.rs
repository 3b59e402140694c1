//! A signal's handler returns to some instructions that ask the kernel to go on with what was interrupted. glibc has tables for
//! its own. musl has none, and on aarch64 the kernel's, which all C libraries leave it to, has none on purpose: unwinders are to
//! know it by its instructions.
//!
//! Path: *allocation path* and *signal handlers*, and of these only addresses of which no table tells.

use super::memory::StackMemory;
use super::pages::{PAGE_BYTES, is_readable};
use super::processor::{ADDRESS_BITS, Link, SIGNAL_FRAME, SignalFrame};
use super::registers::{FramePointer, Registers};

/// The registers that were interrupted, if the instruction pointer is where a signal's handler returns to.
pub(super) fn interrupted(registers: &Registers, memory: &mut StackMemory) -> Option<Registers> {
    const FRAME: SignalFrame = SIGNAL_FRAME;
    // A copy is not looked at, since the code that it was in may be gone.
    if memory.is_copy() {
        return None;
    }
    let mut read = |offset: usize| memory.read(registers.stack_pointer.wrapping_add(offset));
    let instruction_pointer = read(FRAME.instruction_pointer)?;
    // What is no address at all is told without a system call.
    if instruction_pointer < 1 << 16 || instruction_pointer >> ADDRESS_BITS != 0 {
        return None;
    }
    let (stack_pointer, frame_pointer) = (read(FRAME.stack_pointer)?, read(FRAME.frame_pointer)?);
    let link = FRAME.link.and_then(&mut read).map_or(Link::UNKNOWN, Link::of);
    let frame_pointer = FramePointer::Value(frame_pointer);
    is_trampoline(registers.instruction_pointer).then_some(Registers {
        instruction_pointer,
        stack_pointer,
        frame_pointer,
        link,
    })
}

/// Whether the instructions at `address` are those that a signal's handler returns to.
fn is_trampoline(address: usize) -> bool {
    let expected = SIGNAL_FRAME.trampoline;
    let page_of = |address: usize| address & !(PAGE_BYTES - 1);
    let Some(last) = address.checked_add(expected.len()) else { return false };
    if !is_readable(page_of(address)) || !is_readable(page_of(last.wrapping_sub(1))) {
        return false;
    }
    let code = std::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: the kernel has just read the page, or both, that these bytes are in. What is code of a function on our stack stays
    // until that function goes on.
    // mutant: D5 every function without tables is where a signal returns to
    unsafe { std::slice::from_raw_parts(code, expected.len()) == expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_instructions_are_where_a_signal_returns_to() {
        let mut code = [0_u8; 64];
        let expected = SIGNAL_FRAME.trampoline;
        code[8..8 + expected.len()].copy_from_slice(expected);
        let start = code.as_ptr().expose_provenance();
        assert!(is_trampoline(start + 8));
        assert!(![start, start + 9, 0, 8, usize::MAX].into_iter().any(is_trampoline));
    }

    #[test]
    fn what_was_interrupted_is_read_from_the_stack() {
        let expected = SIGNAL_FRAME.trampoline;
        let instruction_pointer = expected.as_ptr().expose_provenance();
        let mut words = [0; 128];
        words[SIGNAL_FRAME.instruction_pointer / 8] = 0x7654_3210;
        words[SIGNAL_FRAME.stack_pointer / 8] = 11;
        words[SIGNAL_FRAME.frame_pointer / 8] = 22;
        let memory = StackMemory::of_words(&words);
        let stack_pointer = words.as_ptr().expose_provenance();
        let registers = Registers::at(instruction_pointer, stack_pointer, FramePointer::Value(0));
        let found = interrupted(&registers, &mut memory.clone()).unwrap();
        assert_eq!(found, Registers::at(0x7654_3210, 11, FramePointer::Value(22)));
        let elsewhere = Registers { instruction_pointer: instruction_pointer + 1, ..registers };
        assert_eq!(interrupted(&elsewhere, &mut memory.clone()), None);
        words[SIGNAL_FRAME.instruction_pointer / 8] = usize::MAX;
        assert_eq!(interrupted(&registers, &mut StackMemory::of_words(&words)), None);
    }
}

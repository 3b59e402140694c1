//! The registers that unwinding follows, and how to read our own.
//!
//! The frame pointer is followed lazily: most functions save it, few need it to find their frame, so we note
//! where it was saved last and read it there when it is needed.
//!
//! Path: *allocation path*, sampled allocations only.

use super::memory::StackMemory;
use super::rules::{self, Quick};

/// x86-64's, by their DWARF numbers 16, 7 and 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(in crate::by_tables) instruction_pointer: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: FramePointer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramePointer {
    Value(usize),
    /// Saved at this address.
    At(usize),
}

/// What a function pushes first that keeps a frame pointer, and then points it there: its return address, and its
/// caller's frame pointer.
const FRAME_BYTES: usize = 16;

impl FramePointer {
    /// The CFA of a function whose frame pointer it is, if it can be read.
    #[inline(always)]
    pub(super) fn cfa(self, memory: &StackMemory) -> Option<usize> {
        let value = match self {
            FramePointer::Value(value) => value,
            FramePointer::At(address) => memory.read_known(address)?,
        };
        Some(value.wrapping_add(FRAME_BYTES))
    }
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let (instruction_pointer, stack_pointer, frame_pointer): (usize, usize, usize);
        // SAFETY: copies three registers; touches no memory and no flags.
        unsafe {
            std::arch::asm!(
                "lea {instruction_pointer}, [rip]",
                "mov {stack_pointer}, rsp",
                "mov {frame_pointer}, rbp",
                instruction_pointer = out(reg) instruction_pointer,
                stack_pointer = out(reg) stack_pointer,
                frame_pointer = out(reg) frame_pointer,
                options(nomem, nostack, preserves_flags),
            );
        }
        Registers { instruction_pointer, stack_pointer, frame_pointer: FramePointer::Value(frame_pointer) }
    }

    /// As if the instruction pointer were a return address: what profiles subtract one from to get at the call, also where
    /// there was none.
    #[inline(always)]
    pub(super) fn after_a_call(self) -> Registers {
        Registers { instruction_pointer: self.instruction_pointer.wrapping_add(1), ..self }
    }

    /// Goes on to the caller, if there is one and its frame can be found quickly: by a kept rule, from the stack pointer,
    /// or right above the frame pointer. The instruction pointer is a return address. For a thread's own stack.
    #[inline(always)]
    pub(super) fn go_to_caller(&mut self, memory: &StackMemory) -> Option<Quick> {
        let rule = rules::quick(self.instruction_pointer.wrapping_sub(1))?;
        let cfa = match rule.is_framed() {
            false => self.stack_pointer.wrapping_add(rule.offset()),
            true => {
                let cfa = self.frame_pointer.cfa(memory)?;
                if rule.offset() != FRAME_BYTES || cfa < self.stack_pointer.wrapping_add(8) {
                    return None;
                }
                cfa
            }
        };
        // At least 8 above the stack pointer, so what is read is not below it.
        let return_address = memory.read_upwards(cfa.wrapping_sub(8))?;
        if return_address == 0 {
            return None;
        }
        let offset = rule.frame_pointer_offset();
        if offset != 0 {
            self.frame_pointer = FramePointer::At(cfa.wrapping_add_signed(offset as isize));
        }
        self.instruction_pointer = return_address;
        self.stack_pointer = cfa;
        Some(rule)
    }

    /// The frame pointer's value, if it can be read.
    pub(super) fn frame_pointer(&self, memory: &mut StackMemory) -> Option<usize> {
        match self.frame_pointer {
            FramePointer::Value(value) => Some(value),
            FramePointer::At(address) => memory.read(address),
        }
    }

    /// By DWARF number; `None` for one that we do not follow.
    pub(super) fn get(&self, dwarf_number: u16, memory: &mut StackMemory) -> Option<usize> {
        match dwarf_number {
            6 => self.frame_pointer(memory),
            7 => Some(self.stack_pointer),
            16 => Some(self.instruction_pointer),
            _ => None,
        }
    }
}

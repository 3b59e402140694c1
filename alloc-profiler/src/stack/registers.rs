//! The registers that unwinding follows, and how to read our own.
//!
//! The frame pointer is followed lazily: most functions save it, few need it to find their frame, so we note
//! where it was saved last and read it there when it is needed.
//!
//! Path: *allocation path*, sampled allocations only.

use super::memory::StackMemory;

/// x86-64's, by their DWARF numbers 16, 7 and 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) instruction_pointer: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: FramePointer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramePointer {
    Value(usize),
    /// Saved at this address.
    At(usize),
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

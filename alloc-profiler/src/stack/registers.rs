//! The registers that unwinding follows, and how to read our own.
//!
//! Path: *allocation path*, sampled allocations only.

/// x86-64's, by their DWARF numbers 16, 7 and 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) instruction_pointer: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: usize,
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let (instruction_pointer, stack_pointer, frame_pointer);
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
        Registers { instruction_pointer, stack_pointer, frame_pointer }
    }

    /// By DWARF number; `None` for one that we do not follow.
    pub(super) fn get(&self, dwarf_number: u16) -> Option<usize> {
        match dwarf_number {
            6 => Some(self.frame_pointer),
            7 => Some(self.stack_pointer),
            16 => Some(self.instruction_pointer),
            _ => None,
        }
    }
}

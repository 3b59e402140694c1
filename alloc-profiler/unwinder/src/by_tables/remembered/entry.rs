//! Nearly all walks begin by the same two steps.
//!
//! Path: *allocation path*, sampled allocations only.

use crate::by_tables::memory::StackMemory;
use crate::by_tables::processor::ReturnAddress;
use crate::by_tables::registers::{FramePointer, Registers};

/// Where a walk begins.
#[derive(Clone, Copy)]
pub(crate) struct Beginning {
    /// Tells how many bytes lie above the first frame's stack pointer.
    pub(super) bytes_above: u32,
    /// Tells where the frame pointer was saved within the first frame.
    pub(super) frame_pointer: FramePointer,
    /// Holds the return address of the second frame. It tells walks apart better than that of the first, which is in
    /// the allocator and hardly ever another one.
    pub(super) return_address: usize,
}

/// The two steps that walks begin with, which hardly ever change: out of our own function, and out of the allocator around
/// it. Both are by rules from the stack pointer.
pub(super) struct Entry {
    /// The instruction pointer before the first step; 0: no steps are known.
    from: usize,
    first_bytes: usize,
    /// Where the first step finds its return address, and which.
    first_kept: ReturnAddress,
    to: usize,
    second_bytes: usize,
    second_kept: ReturnAddress,
}

impl Entry {
    pub(super) const NONE: Entry = Entry {
        from: 0,
        first_bytes: 0,
        first_kept: ReturnAddress::BELOW_CFA,
        to: 0,
        second_bytes: 0,
        second_kept: ReturnAddress::BELOW_CFA,
    };

    /// Where the walk from `registers` begins, if its first frames are found quickly. Those below `own_address` are passed
    /// by. The instruction pointer is a return address.
    #[inline(always)]
    pub(super) fn beginning(
        &mut self,
        registers: Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> Option<Beginning> {
        let beginning = self.usual(registers, memory, own_address);
        beginning.or_else(|| self.unusual(registers, memory, own_address))
    }

    /// Forgets the steps.
    pub(super) fn forget(&mut self) {
        // A page that was never written to stays so: a child of `fork` need not copy it.
        if self.from != 0 {
            self.from = 0;
        }
    }

    /// Where the walk begins, if it begins with these steps.
    #[inline(always)]
    fn usual(&self, registers: Registers, memory: &StackMemory, own_address: usize) -> Option<Beginning> {
        let first = registers.stack_pointer.wrapping_add(self.first_bytes);
        let second = first.wrapping_add(self.second_bytes);
        let read = |cfa: usize, kept: ReturnAddress| {
            Some(kept.address(memory.read_upwards(cfa.wrapping_sub(kept.distance()))?))
        };
        if registers.instruction_pointer != self.from
            || first <= own_address
            || read(first, self.first_kept)? != self.to
        {
            return None;
        }
        let return_address = read(second, self.second_kept).filter(|&address| address != 0)?;
        let (bytes_above, frame_pointer) = (memory.bytes_above(first), registers.frame_pointer);
        Some(Beginning { bytes_above, frame_pointer, return_address })
    }

    /// Where the walk begins, if it begins with other steps; if these are two of the usual kind, they are noted.
    #[inline(never)]
    fn unusual(&mut self, first: Registers, memory: &StackMemory, own_address: usize) -> Option<Beginning> {
        let mut registers = first;
        let mut frame_pointer = registers.frame_pointer;
        let mut rule = registers.go_to_caller(memory)?;
        let is_one_step = registers.stack_pointer > own_address && !rule.is_framed();
        while registers.stack_pointer <= own_address {
            frame_pointer = registers.frame_pointer;
            registers.go_to_caller(memory)?;
        }
        let bytes_above = memory.bytes_above(registers.stack_pointer);
        let (to, first_bytes) = (registers.instruction_pointer, rule.offset());
        let first_kept = rule.return_address();
        rule = registers.go_to_caller(memory)?;
        if is_one_step && !rule.is_framed() {
            let (from, second_bytes) = (first.instruction_pointer, rule.offset());
            let second_kept = rule.return_address();
            *self = Entry { from, first_bytes, first_kept, to, second_bytes, second_kept };
        }
        Some(Beginning { bytes_above, frame_pointer, return_address: registers.instruction_pointer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_tables::rules::{self, Cfa, Rule};

    /// Return addresses of this test, at which no other test keeps a rule.
    const OWN: usize = 0x3333_1000;
    const ALLOCATOR: usize = 0x3333_2000;
    const CALLER: usize = 0x3333_3000;

    #[test]
    fn the_two_usual_steps_are_noted_and_taken() {
        for address in [OWN, ALLOCATOR] {
            rules::keep(address - 1, Rule::frame(Cfa::StackPointer(16), None));
        }
        let words = [0, ALLOCATOR, 0, CALLER, 0, 0];
        let memory = StackMemory::of_words(&words);
        let (stack_pointer, frame_pointer) = (words.as_ptr().expose_provenance(), FramePointer::Value(5));
        let registers = Registers::at(OWN, stack_pointer, frame_pointer);
        let mut entry = Entry::NONE;
        assert!(entry.usual(registers, &memory, stack_pointer).is_none());
        let is_right = |beginning: Option<Beginning>| {
            let Beginning { bytes_above, frame_pointer: found, return_address } = beginning.unwrap();
            assert_eq!((bytes_above, found, return_address), (32, frame_pointer, CALLER));
        };
        is_right(entry.beginning(registers, &memory, stack_pointer));
        is_right(entry.usual(registers, &memory, stack_pointer));
        // Another function has called the allocator, by another way.
        let other_words = [0, CALLER, 0, CALLER, 0, 0];
        let other_memory = StackMemory::of_words(&other_words);
        let other = Registers { stack_pointer: other_words.as_ptr().expose_provenance(), ..registers };
        assert!(entry.usual(other, &other_memory, 0).is_none());
        entry.forget();
        assert!(entry.usual(registers, &memory, stack_pointer).is_none());
    }

    #[test]
    fn a_walk_that_is_not_quick_has_no_beginning() {
        let words = [0; 4];
        let memory = StackMemory::of_words(&words);
        let (stack_pointer, frame_pointer) = (words.as_ptr().expose_provenance(), FramePointer::Value(0));
        let registers = Registers::at(0x3333_9999, stack_pointer, frame_pointer);
        assert!({ Entry::NONE }.beginning(registers, &memory, 0).is_none());
    }
}

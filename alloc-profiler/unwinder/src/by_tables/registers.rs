//! A walk follows these registers. Here is also how our own are read.
//!
//! The frame pointer is followed lazily. Most functions save it, and few need it to find their frame. So we note where it was
//! saved last, and read it there when it is needed.
//!
//! Path: *allocation path* and *signal handlers*.

use super::memory::StackMemory;
use super::processor::{self, Here, Link};
use super::rules::{self, Quick};

/// Holds the registers that a walk follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(in crate::by_tables) instruction_pointer: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: FramePointer,
    pub(super) link: Link,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramePointer {
    /// This is its value.
    Value(usize),
    /// It was saved at this address.
    At(usize),
}

impl FramePointer {
    /// The CFA of a function whose frame pointer it is, if that can be read. `frame_bytes` lie between the two.
    #[inline(always)]
    pub(super) fn cfa(self, frame_bytes: usize, memory: &StackMemory) -> Option<usize> {
        let value = match self {
            FramePointer::Value(value) => value,
            FramePointer::At(address) => memory.read_known(address)?,
        };
        Some(value.wrapping_add(frame_bytes))
    }
}

impl Registers {
    /// The registers of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let Here { instruction_pointer, stack_pointer, frame_pointer, link } = processor::here();
        let frame_pointer = FramePointer::Value(frame_pointer);
        Registers { instruction_pointer, stack_pointer, frame_pointer, link }
    }

    /// The registers of a caller: nothing is known of where it would leave a return address itself.
    #[inline(always)]
    pub(super) fn at(
        instruction_pointer: usize,
        stack_pointer: usize,
        frame_pointer: FramePointer,
    ) -> Registers {
        Registers { instruction_pointer, stack_pointer, frame_pointer, link: Link::UNKNOWN }
    }

    /// These registers, of which the instruction pointer is that of an instruction, as if it were a return address: it is
    /// greater by one, so that whoever subtracts one to get at the call gets at the instruction.
    #[inline(always)]
    pub(super) fn after_a_call(self) -> Registers {
        Registers { instruction_pointer: self.instruction_pointer.wrapping_add(1), ..self }
    }

    /// Goes on to the caller, if there is one and its frame can be found quickly: by a kept rule, from the stack pointer, or
    /// from a frame pointer that points to where the caller's is saved. The instruction pointer is a return address.
    #[inline(always)]
    pub(super) fn go_to_caller(&mut self, memory: &StackMemory) -> Option<Quick> {
        let rule = rules::quick(self.instruction_pointer.wrapping_sub(1))?;
        let kept = rule.return_address();
        let cfa = match rule.is_framed() {
            false => self.stack_pointer.wrapping_add(rule.offset()),
            true => {
                let cfa = self.frame_pointer.cfa(rule.frame_bytes(), memory)?;
                let lowest = self.stack_pointer.wrapping_add(kept.distance());
                if rule.offset() != rule.frame_bytes() || cfa < lowest {
                    return None;
                }
                cfa
            }
        };
        // The CFA is at least that distance above the stack pointer, so what is read is not below that.
        let return_address = kept.address(memory.read_upwards(cfa.wrapping_sub(kept.distance()))?);
        if return_address == 0 {
            return None;
        }
        let offset = rule.frame_pointer_offset();
        if offset != 0 {
            self.frame_pointer = FramePointer::At(cfa.wrapping_add_signed(offset as isize));
        }
        self.instruction_pointer = return_address;
        self.stack_pointer = cfa;
        self.link = Link::UNKNOWN;
        Some(rule)
    }

    /// The frame pointer's value, if it can be read.
    pub(super) fn frame_pointer(&self, memory: &mut StackMemory) -> Option<usize> {
        match self.frame_pointer {
            FramePointer::Value(value) => Some(value),
            FramePointer::At(address) => memory.read(address),
        }
    }

    /// The register with a DWARF number; `None` for one that we do not follow.
    pub(super) fn get(&self, dwarf_number: u16, memory: &mut StackMemory) -> Option<usize> {
        let number = gimli::Register(dwarf_number);
        match number {
            processor::FRAME_POINTER => self.frame_pointer(memory),
            processor::STACK_POINTER => Some(self.stack_pointer),
            _ => processor::other_register(number, self.instruction_pointer, self.link),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_tables::rules::{Cfa, Rule};

    /// Return addresses of this test, at which no other test keeps a rule.
    const FRAMELESS: usize = 0x6666_1000;
    const FRAMED: usize = 0x6666_2000;
    const OUTERMOST: usize = 0x6666_3000;

    #[test]
    fn a_caller_is_found_from_the_stack_pointer_or_right_above_the_frame_pointer() {
        let frameless = Rule::frame(Cfa::StackPointer(24), Some(-16));
        rules::keep(FRAMELESS - 1, frameless);
        rules::keep(FRAMED - 1, Rule::FRAME_POINTER);
        rules::keep(OUTERMOST - 1, Rule::Outermost);
        let mut words = [0; 8];
        let at = |index: usize| words.as_ptr().expose_provenance() + 8 * index;
        let (start, saved, outer) = (at(0), at(4), at(6));
        // The first frame is three words, the second is where the saved frame pointer leads.
        (words[1], words[2]) = (saved, FRAMED);
        (words[4], words[5]) = (outer, OUTERMOST);
        let memory = StackMemory::of_words(&words);
        let frame_pointer = FramePointer::Value(77);
        let mut registers = Registers::at(FRAMELESS, start, frame_pointer);
        assert!(!registers.go_to_caller(&memory).unwrap().is_framed());
        assert_eq!((registers.instruction_pointer, registers.stack_pointer), (FRAMED, start + 24));
        assert_eq!(registers.frame_pointer, FramePointer::At(start + 8));
        assert_eq!(registers.frame_pointer(&mut memory.clone()), Some(saved));
        assert!(registers.go_to_caller(&memory).unwrap().is_framed());
        assert_eq!((registers.instruction_pointer, registers.stack_pointer), (OUTERMOST, saved + 16));
        assert_eq!(registers.frame_pointer, FramePointer::At(saved));
        let before = registers;
        assert!(registers.go_to_caller(&memory).is_none(), "there is no caller");
        assert_eq!(registers, before);
    }

    #[test]
    fn a_caller_that_is_not_on_the_stack_is_none() {
        rules::keep(FRAMELESS + 99, Rule::frame(Cfa::StackPointer(24), None));
        rules::keep(FRAMED + 99, Rule::FRAME_POINTER);
        let words = [0; 3];
        let memory = StackMemory::of_words(&words);
        let start = words.as_ptr().expose_provenance();
        let caller = |instruction_pointer: usize, stack_pointer: usize, frame_pointer: usize| {
            let frame_pointer = FramePointer::Value(frame_pointer);
            let mut registers = Registers::at(instruction_pointer, stack_pointer, frame_pointer);
            registers.go_to_caller(&memory).is_some()
        };
        assert!(!caller(FRAMELESS + 100, start, 0), "a return address of 0");
        assert!(!caller(FRAMELESS + 100, start + 8, 0), "beyond the end");
        assert!(!caller(FRAMED + 100, start, start - 16), "below the stack pointer");
        assert!(!caller(FRAMED + 100, start, usize::MAX - 3));
        assert!(!caller(0x6666_9999, start, start), "without a kept rule");
    }

    #[test]
    fn our_own_registers_are_read() {
        let local = std::hint::black_box(0_usize);
        let mut registers = Registers::here();
        let near = (&raw const local).addr();
        assert!(registers.stack_pointer <= near && near - registers.stack_pointer < 1 << 16);
        let mut memory = StackMemory::of_thread(registers.stack_pointer);
        assert_eq!(registers.get(processor::STACK_POINTER.0, &mut memory), Some(registers.stack_pointer));
        assert_eq!(
            registers.get(processor::FRAME_POINTER.0, &mut memory),
            registers.frame_pointer(&mut memory.clone())
        );
        assert_eq!(registers.get(0, &mut memory), None);
        let after = registers.after_a_call();
        assert_eq!(after.instruction_pointer, registers.instruction_pointer + 1);
        registers.instruction_pointer = after.instruction_pointer;
        assert_eq!(registers, after);
    }
}

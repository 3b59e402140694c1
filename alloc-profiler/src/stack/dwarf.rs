//! Stacks by the program's own unwind tables: no lock, no allocation, no frame pointers needed.
//!
//! Each return address has a rule that says where its caller's frame is. Rules come from `.eh_frame`, found
//! through `PT_GNU_EH_FRAME` as the loader mapped it, evaluated once by gimli and then kept (`rules`). Objects
//! are found by the loader's own lock-free index (`objects`), so there is no list of them to keep up to date;
//! the stack is read with bounds (`memory`), so a wrong table cuts a stack short and cannot crash.
//!
//! Path: *allocation path*, sampled allocations only.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Frames;
use super::memory::StackMemory;
use super::objects;
use super::registers::{FramePointer, Registers};
use super::rules::{self, Cfa, Kept, Rule};
use super::tables::{Found, Tables};

static IS_READY: AtomicBool = AtomicBool::new(false);

/// Finds the loader's index. May take the loader's lock, so it is called by the program's own calls into us,
/// never by the allocator; until then, stacks are taken by the fallback.
pub(super) fn prepare() {
    IS_READY.store(objects::prepare(), Relaxed);
}

/// False: not prepared, or not possible here.
pub(super) fn is_ready() -> bool {
    IS_READY.load(Relaxed)
}

/// More than this many frames that are not quickly passed are a circle.
const MAX_SLOW_STEPS: usize = super::MAX_STACK_DEPTH * 2;

/// Fills `frames` from the caller of the function that owns its room.
#[inline(never)]
pub(super) fn unwind(frames: &mut Frames<'_>) {
    // The stack grows downwards: what called the owner of the room stands above it.
    let own_address = frames.room_address();
    let mut walk = Walk::here();
    let mut is_past_owner = false;
    for _ in 0..MAX_SLOW_STEPS {
        let Some(step) = walk.step() else { return };
        is_past_owner |= walk.registers.stack_pointer > own_address || step == Step::OffStack;
        if is_past_owner {
            if !frames.push(walk.return_address()) {
                return;
            }
            walk.run(frames);
        }
    }
}

/// How the last frame was left.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Call,
    /// To another stack: a signal's handler runs on one of its own, perhaps.
    OffStack,
}

/// A position on the stack.
struct Walk {
    registers: Registers,
    memory: StackMemory,
    /// The instruction pointer is that of an instruction that has not run yet, not a return address.
    is_exact: bool,
}

impl Walk {
    #[inline(always)]
    fn here() -> Walk {
        let registers = Registers::here();
        Walk { registers, memory: StackMemory::of_thread(registers.stack_pointer), is_exact: true }
    }

    /// What profiles subtract one from to get at the call.
    fn return_address(&self) -> usize {
        self.registers.instruction_pointer.wrapping_add(usize::from(self.is_exact))
    }

    /// Where the function stands that is to be left, as unwind tables know it: a call that does not return may
    /// be the last instruction of its function.
    fn address(&self) -> usize {
        self.registers.instruction_pointer.wrapping_sub(usize::from(!self.is_exact))
    }

    /// Goes on from caller to caller as long as their rules are kept and of the usual form: nearly all the way.
    #[inline(always)]
    fn run(&mut self, frames: &mut Frames<'_>) {
        if self.is_exact {
            return;
        }
        let Registers { mut instruction_pointer, mut stack_pointer, mut frame_pointer } = self.registers;
        let places = frames.return_addresses.get_mut(frames.depth..).unwrap_or(&mut []);
        let mut passed: usize = 0;
        for place in places {
            let rule = rules::kept(instruction_pointer.wrapping_sub(1)).and_then(Kept::stack_pointer_rule);
            let Some((offset, saved_frame_pointer)) = rule else { break };
            let cfa = stack_pointer.wrapping_add(offset);
            // Offsets are 8 at least, so the read is above the stack pointer.
            let Some(return_address) = self.memory.read_upwards(cfa.wrapping_sub(8)) else { break };
            if return_address == 0 {
                break;
            }
            if let Some(offset) = saved_frame_pointer {
                frame_pointer = FramePointer::At(cfa.wrapping_add_signed(offset as isize));
            }
            (instruction_pointer, stack_pointer) = (return_address, cfa);
            place.write(return_address);
            passed = passed.wrapping_add(1);
        }
        self.registers = Registers { instruction_pointer, stack_pointer, frame_pointer };
        frames.depth = frames.depth.wrapping_add(passed);
    }

    /// Goes on to the caller. `None`: the end of the stack, or of our wisdom.
    fn step(&mut self) -> Option<Step> {
        let address = self.address();
        let callee_stack_pointer = self.registers.stack_pointer;
        let step = match rules::kept(address) {
            Some(kept) => self.apply(kept.rule())?,
            None => self.step_slowly(address)?,
        };
        let is_upwards = self.registers.stack_pointer > callee_stack_pointer || step == Step::OffStack;
        (is_upwards && self.registers.instruction_pointer != 0).then_some(step)
    }

    /// By the tables. Keeps the rule if its object stays for good.
    #[cold]
    #[inline(never)]
    fn step_slowly(&mut self, address: usize) -> Option<Step> {
        let object = objects::find(address)?;
        let tables = Tables::of(&object)?;
        match tables.find(address)? {
            Found::Rule(rule) => {
                let is_sane = !matches!(rule, Rule::Frame { cfa: Cfa::StackPointer(..8), .. });
                if object.is_permanent && is_sane {
                    rules::keep(address, rule);
                }
                self.apply(rule)
            }
            Found::Unusual(frame) => {
                self.registers = tables.caller(&frame, &self.registers, &mut self.memory)?;
                self.is_exact = frame.is_signal;
                if self.memory.contains(self.registers.stack_pointer) {
                    return Some(Step::Call);
                }
                self.memory = StackMemory::of_thread(self.registers.stack_pointer);
                Some(Step::OffStack)
            }
        }
    }

    fn apply(&mut self, rule: Rule) -> Option<Step> {
        let Rule::Frame { cfa, frame_pointer } = rule else { return None };
        let cfa = match cfa {
            Cfa::StackPointer(offset) => self.registers.stack_pointer.wrapping_add_signed(offset as isize),
            Cfa::FramePointer(offset) => {
                self.registers.frame_pointer(&mut self.memory)?.wrapping_add_signed(offset as isize)
            }
        };
        self.registers.instruction_pointer = self.memory.read(cfa.wrapping_sub(8))?;
        if let Some(offset) = frame_pointer {
            self.registers.frame_pointer = FramePointer::At(cfa.wrapping_add_signed(offset as isize));
        }
        self.registers.stack_pointer = cfa;
        self.is_exact = false;
        Some(Step::Call)
    }
}

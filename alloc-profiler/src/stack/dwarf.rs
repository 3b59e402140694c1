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
use super::recent::{self, Adopted, Passed, Trail};
use super::registers::{FramePointer, Registers};
use super::rules::{self, Cfa, Kept, Rule};
use super::tables::{Found, Tables};
use crate::libraries;

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

/// Fills `frames` from the caller of the function that owns its room, which is where `registers` were read, or was called
/// from there.
#[inline(never)]
pub(super) fn unwind(frames: &mut Frames<'_>, registers: Registers) {
    let mut walk = Walk::from(registers);
    let mut recent = walk.memory.own_end().and_then(recent::of_thread);
    let mut trail = recent.as_deref_mut().map_or(Trail::none(), |recent| recent.trail());
    walk.go(frames, &mut trail);
    if let Some(recent) = &mut recent {
        recent.finish(frames.depth.min(walk.frames_on_own_stack), walk.is_at_end);
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
    /// There is no caller; else we may have had to give up.
    is_at_end: bool,
    frames_on_own_stack: usize,
    /// What the address of the last frame that we left belongs to, if it may be unloaded; else 0.
    tag: usize,
    /// Where the last such library begins, and its tag: most often the next frame is in the same one.
    last_library: (usize, usize),
}

impl Walk {
    #[inline(always)]
    fn from(registers: Registers) -> Walk {
        Walk {
            registers,
            memory: StackMemory::of_thread(registers.stack_pointer),
            is_exact: true,
            is_at_end: false,
            frames_on_own_stack: usize::MAX,
            tag: 0,
            last_library: (0, 0),
        }
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

    #[inline(always)]
    fn go(&mut self, frames: &mut Frames<'_>, trail: &mut Trail<'_>) {
        // The stack grows downwards: what called the owner of the room stands above it.
        let own_address = frames.room_address();
        let mut is_past_owner = false;
        for _ in 0..MAX_SLOW_STEPS {
            let step = self.step();
            if self.tag != 0 {
                frames.tag_last(std::mem::take(&mut self.tag));
            }
            let Some(step) = step else { return };
            is_past_owner |= self.registers.stack_pointer > own_address || step == Step::OffStack;
            if step == Step::OffStack {
                // What is known by its place is on the stack where the walk began.
                self.frames_on_own_stack = self.frames_on_own_stack.min(frames.depth);
                *trail = Trail::none();
            }
            if is_past_owner {
                if !frames.push(self.return_address()) {
                    return;
                }
                trail.pass(frames.depth.wrapping_sub(1), self.passed(0, false));
                while !self.is_exact && self.run(frames, trail) {
                    if self.follow(frames, trail) == Adopted::Whole {
                        self.is_at_end = true;
                        return;
                    }
                }
            }
        }
    }

    /// The frame that we are in.
    #[inline(always)]
    fn passed(&self, frame_pointer_offset: i16, is_plain: bool) -> Passed {
        let Registers { instruction_pointer, stack_pointer, .. } = self.registers;
        let bytes_above = self.memory.bytes_above(stack_pointer);
        Passed { return_address: instruction_pointer, bytes_above, frame_pointer_offset, is_plain }
    }

    /// Goes on from caller to caller as long as their rules are kept and of the usual form: nearly all the way.
    /// Stops where the last walk has been, and then returns true.
    #[inline(always)]
    fn run(&mut self, frames: &mut Frames<'_>, trail: &mut Trail<'_>) -> bool {
        let Registers { mut instruction_pointer, mut stack_pointer, mut frame_pointer } = self.registers;
        // By value: the compiler keeps the bounds in registers.
        let memory = self.memory;
        let mut depth = frames.depth;
        let mut is_known = false;
        for place in frames.return_addresses.get_mut(depth..).unwrap_or(&mut []) {
            let rule = rules::kept(instruction_pointer.wrapping_sub(1)).and_then(Kept::stack_pointer_rule);
            let Some((offset, saved_frame_pointer)) = rule else { break };
            let cfa = stack_pointer.wrapping_add(offset);
            // Offsets are 8 at least, so the read is above the stack pointer.
            let Some(return_address) = memory.read_upwards(cfa.wrapping_sub(8)) else { break };
            if return_address == 0 {
                break;
            }
            if let Some(offset) = saved_frame_pointer {
                frame_pointer = FramePointer::At(cfa.wrapping_add_signed(offset as isize));
            }
            (instruction_pointer, stack_pointer) = (return_address, cfa);
            place.write(return_address);
            let passed = Passed {
                return_address,
                bytes_above: memory.bytes_above(cfa),
                frame_pointer_offset: saved_frame_pointer.unwrap_or(0),
                is_plain: true,
            };
            is_known = trail.pass(depth, passed);
            depth = depth.wrapping_add(1);
            if is_known {
                break;
            }
        }
        self.registers = Registers { instruction_pointer, stack_pointer, frame_pointer };
        frames.depth = depth;
        is_known
    }

    /// Takes over from the last walk what is still there beyond the frame that we are in.
    #[inline(always)]
    fn follow(&mut self, frames: &mut Frames<'_>, trail: &mut Trail<'_>) -> Adopted {
        let memory = self.memory;
        let beyond = trail.beyond();
        let places = frames.return_addresses.get_mut(frames.depth..).unwrap_or(&mut []);
        let mut count: usize = 0;
        for (place, frame) in places.iter_mut().zip(beyond) {
            let is_there = memory.read_above(frame.bytes_above) == Some(frame.return_address);
            if !(is_there & frame.is_plain) {
                break;
            }
            place.write(frame.return_address);
            count = count.wrapping_add(1);
        }
        let adopted = trail.adopt(frames.depth, count);
        frames.depth = frames.depth.wrapping_add(count);
        if adopted == Adopted::Part {
            for frame in beyond.get(..count).unwrap_or(&[]) {
                self.registers.instruction_pointer = frame.return_address;
                self.registers.stack_pointer = self.memory.stack_pointer(frame.bytes_above);
                if frame.frame_pointer_offset != 0 {
                    let place =
                        self.registers.stack_pointer.wrapping_add_signed(frame.frame_pointer_offset as isize);
                    self.registers.frame_pointer = FramePointer::At(place);
                }
            }
        }
        adopted
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
        let Some(object) = objects::find(address) else {
            self.tag = libraries::NOWHERE;
            return None;
        };
        if !object.is_permanent {
            if self.last_library.0 != object.map_start {
                self.last_library = (object.map_start, object.tag());
            }
            self.tag = self.last_library.1;
        }
        let tables = Tables::of(&object)?;
        match tables.find(address)? {
            Found::Rule(rule) => {
                let is_sane = !matches!(rule, Rule::Frame { cfa: Cfa::StackPointer(..8), .. });
                if object.is_permanent && is_sane {
                    rules::keep(address, rule);
                }
                let step = self.apply(rule);
                // Or the next walk would not come by here, where the address is tagged.
                self.is_at_end &= object.is_permanent;
                step
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
        let Rule::Frame { cfa, frame_pointer } = rule else {
            self.is_at_end = true;
            return None;
        };
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

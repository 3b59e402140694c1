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
use super::calls;
use super::memory::StackMemory;
use super::objects::{self, Object};
use super::recent::{self, Recent, RunEnd};
use super::registers::{FramePointer, Registers};
use super::rules::{self, Cfa, Rule};
use super::tables::{Found, Tables};
use crate::{libraries, stacks};

static IS_READY: AtomicBool = AtomicBool::new(false);

/// Finds the loader's index. May take the loader's lock, so it is called by the program's own calls into us,
/// never by the allocator, and looks once; until then, stacks are taken by the fallback.
pub(super) fn prepare() {
    if !is_ready() {
        IS_READY.store(objects::prepare(), Relaxed);
    }
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
    let memory = StackMemory::of_thread(registers.stack_pointer);
    let Some(mut recent) = memory.own_end().and_then(recent::of_thread) else {
        Walk::from(registers, memory).go(frames, None);
        return;
    };
    let position = registers.after_a_call();
    // The stack grows downwards: what called the owner of the room stands above it.
    let own_address = frames.room_address();
    let pays = recent.known.pays();
    let beginning = if pays { recent.beginning(position, &memory, own_address) } else { None };
    frames.stack = beginning.and_then(|beginning| recent.known.find(beginning, &memory));
    if frames.stack.is_some() {
        return;
    }
    unwind_beside(&mut recent, frames, registers, memory);
    if let Some(beginning) = beginning {
        frames.stack = stacks::stack(frames);
        frames.stack.inspect(|stack| recent.keep_as_known(beginning, stack));
    }
}

/// What is not known as a whole.
#[inline(never)]
fn unwind_beside(recent: &mut Recent, frames: &mut Frames<'_>, registers: Registers, memory: StackMemory) {
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

/// Where a walk is not all the way like the one before.
#[inline(never)]
fn go_on(
    frames: &mut Frames<'_>,
    first: Registers,
    position: Registers,
    memory: StackMemory,
    recent: &mut Recent,
) {
    let mut walk = Walk::from(first, memory);
    walk.move_to(position);
    let kept = walk.go(frames, Some(recent));
    match walk.has_left_stack {
        true => recent.forget(),
        false => recent.finish(frames, kept, walk.is_at_end && !frames.is_truncated),
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
    /// Whether there are callers beyond that we cannot tell, if the last step led nowhere.
    is_cut: bool,
    /// It went on to another stack than the one where it began.
    has_left_stack: bool,
    /// What the address of the last frame that we left belongs to, if it may be unloaded; else 0.
    tag: usize,
    /// Where the last such library begins, and its tag: most often the next frame is in the same one.
    last_library: (usize, (usize, bool)),
}

impl Walk {
    #[inline(always)]
    fn from(registers: Registers, memory: StackMemory) -> Walk {
        Walk {
            registers,
            memory,
            is_exact: true,
            is_at_end: false,
            is_cut: false,
            has_left_stack: false,
            tag: 0,
            last_library: (0, (0, false)),
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

    /// To where a run, which began where we are, has got.
    fn move_to(&mut self, position: Registers) {
        if position.stack_pointer != self.registers.stack_pointer {
            self.registers = position;
            self.is_exact = false;
        }
    }

    /// How many frames beyond are those of the last walk.
    fn go(&mut self, frames: &mut Frames<'_>, mut recent: Option<&mut Recent>) -> usize {
        // 0 once we are there.
        let mut own_address = if frames.depth == 0 { frames.room_address() } else { 0 };
        for _ in 0..MAX_SLOW_STEPS {
            if let Some(recent) = &mut recent {
                let mut position = Registers { instruction_pointer: self.return_address(), ..self.registers };
                match recent.run(frames, &mut position, &self.memory, own_address) {
                    RunEnd::Whole => {
                        self.is_at_end = true;
                        return recent.next();
                    }
                    RunEnd::Parted => {
                        self.move_to(position);
                        continue;
                    }
                    RunEnd::Unknown => self.move_to(position),
                }
            }
            let step = self.step();
            if self.tag != 0 {
                frames.tag_last(std::mem::take(&mut self.tag));
            }
            let Some(step) = step else {
                frames.is_cut = self.is_cut;
                return 0;
            };
            if step == Step::OffStack {
                // What is known by its place is on the stack where the walk began.
                self.has_left_stack = true;
                recent = None;
            }
            if self.registers.stack_pointer > own_address || step == Step::OffStack {
                own_address = 0;
                if let Some(recent) = &mut recent {
                    recent.pass(frames.depth, self.memory.bytes_above(self.registers.stack_pointer));
                }
                if !frames.push(self.return_address()) {
                    return 0;
                }
            }
        }
        frames.is_cut = true;
        0
    }

    /// Goes on to the caller. `None`: the end of the stack, or of our wisdom.
    fn step(&mut self) -> Option<Step> {
        self.is_cut = true;
        let address = self.address();
        let callee_stack_pointer = self.registers.stack_pointer;
        let step = match rules::kept(address) {
            Some(kept) => self.apply(kept.rule())?,
            None => self.step_slowly(address)?,
        };
        self.is_cut = self.registers.instruction_pointer != 0;
        let is_upwards = self.registers.stack_pointer > callee_stack_pointer || step == Step::OffStack;
        (is_upwards && self.registers.instruction_pointer != 0).then_some(step)
    }

    /// By the tables, or where the object may be unloaded, by a rule that is kept for this very one: under the address with
    /// the object's number, so that it is not taken for another's that lies there later. Without a build id, another build
    /// may have the same number, and nothing is kept.
    #[cold]
    #[inline(never)]
    fn step_slowly(&mut self, address: usize) -> Option<Step> {
        let Some(object) = objects::find(address) else {
            // mutant: A8 code in no object is taken for what lies there
            self.tag = libraries::NOWHERE;
            return None;
        };
        let mut key = Some(address);
        if !object.is_permanent() {
            if self.last_library.0 != object.map_start {
                self.last_library = (object.map_start, object.tag());
            }
            let (tag, is_of_one_build) = self.last_library.1;
            // mutant: A8 addresses do not say in which library
            self.tag = tag;
            // mutant: A8 frames are where those of another build were
            // mutant: A8 frames are where those of another library were
            key = libraries::numbered(address, tag).filter(|_| is_of_one_build);
            if let Some(kept) = key.and_then(rules::kept) {
                let step = self.apply(kept.rule());
                self.is_at_end = false;
                return step;
            }
        }
        let tables = Tables::of(&object);
        let found = tables.as_ref().and_then(|tables| tables.find(address));
        match found.or_else(|| self.find_without_tables(&object, tables.as_ref(), address))? {
            Found::Rule(rule) => {
                let is_sane = !matches!(rule, Rule::Frame { cfa: Cfa::StackPointer(..8), .. });
                if is_sane && let Some(key) = key {
                    rules::keep(key, rule);
                }
                let step = self.apply(rule);
                // Or the next walk would not come by here, where the address is tagged.
                self.is_at_end &= object.is_permanent();
                step
            }
            Found::Unusual(frame) => {
                self.registers = frame.caller(&self.registers, &mut self.memory)?;
                self.is_exact = frame.is_signal;
                if self.memory.contains(self.registers.stack_pointer) {
                    return Some(Step::Call);
                }
                self.memory = StackMemory::of_thread(self.registers.stack_pointer);
                Some(Step::OffStack)
            }
        }
    }

    /// Where tables say nothing: by the frame pointer, if it is certain that there is one.
    fn find_without_tables(
        &mut self,
        object: &Object,
        tables: Option<&Tables>,
        address: usize,
    ) -> Option<Found> {
        // What calls the functions that begin libraries, and the program, is assembly without tables.
        if object.is_loader() {
            return Some(Found::Rule(Rule::Outermost));
        }
        let known_until = tables.map_or(0, |tables| tables.known_until(address));
        calls::keeps_frame_pointer(object, address, known_until, &self.registers, &mut self.memory)
            .then_some(Found::Rule(Rule::FRAME_POINTER))
    }

    fn apply(&mut self, rule: Rule) -> Option<Step> {
        let Rule::Frame { cfa, frame_pointer } = rule else {
            self.is_at_end = true;
            self.is_cut = false;
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

//! A cursor is a position on the stack that goes on from frame to frame: by kept rules, by the unwind tables, or by a
//! frame pointer that is certain to be one.
//!
//! Path: *allocation path* and *signal handlers*; only frames that are not quickly passed.

use super::calls;
use super::eh_frame::{Found, Tables};
use super::loaded::{self, LoadedImage};
use super::memory::StackMemory;
use super::processor::Link;
use super::registers::{FramePointer, Registers};
use super::remembered::{Recent, RunEnd};
use super::rules::{self, Cfa, Rule};
use super::signal_frame;
use crate::frames::Frames;
use crate::{CodeAddress, ImageId, MAX_STACK_DEPTH};

/// More frames than this that are not quickly passed are a circle.
const MAX_SLOW_STEPS: usize = MAX_STACK_DEPTH * 2;

/// How the last frame was left.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Call,
    /// To another stack: a signal's handler runs on one of its own, perhaps.
    OffStack,
}

/// Tells how far a walk has come: a position on the stack.
pub(super) struct Cursor {
    registers: Registers,
    memory: StackMemory,
    /// The instruction pointer is that of an instruction that has not run yet, not a return address.
    is_exact: bool,
    /// There is no caller. If this is false where a walk ends, the walk had to give up.
    is_at_end: bool,
    /// Whether there are callers beyond that nobody can tell, if the last step led nowhere.
    is_cut: bool,
    /// The walk went on to another stack than the one where it began.
    has_left_stack: bool,
    /// The image of the last frame that was left, if that image may be unloaded.
    image: Option<ImageId>,
    /// The last such image, since the next frame is most often in the same one.
    last_image: Option<LastImage>,
}

/// An image that may be unloaded.
#[derive(Clone, Copy)]
struct LastImage {
    /// Where it begins.
    map_start: usize,
    id: ImageId,
    /// It has a build id, so no other build has its number.
    is_of_one_build: bool,
}

impl Cursor {
    #[inline(always)]
    pub(super) fn from(registers: Registers, memory: StackMemory) -> Cursor {
        Cursor {
            registers,
            memory,
            is_exact: true,
            is_at_end: false,
            is_cut: false,
            has_left_stack: false,
            image: None,
            last_image: None,
        }
    }

    /// Whether the walk ended because there is no caller, and not because it had to give up.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Whether the walk went on to another stack than the one where it began.
    pub(super) fn has_left_stack(&self) -> bool {
        self.has_left_stack
    }

    /// The registers of the frame where the walk has got to.
    pub(super) fn registers(&self) -> Registers {
        self.registers
    }

    /// Returns the same position, with another frame pointer.
    pub(super) fn with_frame_pointer(&self, value: usize) -> Cursor {
        let frame_pointer = FramePointer::Value(value);
        Cursor { registers: Registers { frame_pointer, ..self.registers }, ..*self }
    }

    /// Returns the address of the frame.
    fn code_address(&self) -> CodeAddress {
        match self.is_exact {
            true => CodeAddress::of_instruction(self.registers.instruction_pointer),
            false => CodeAddress::returning_to(self.registers.instruction_pointer),
        }
    }

    /// Where the function stands that is to be left, as unwind tables know it: a call that does not return may be the last
    /// instruction of its function.
    pub(super) fn lookup_address(&self) -> usize {
        self.registers.instruction_pointer.wrapping_sub(usize::from(!self.is_exact))
    }

    /// Goes to where a run, which began here, has got.
    pub(super) fn move_to(&mut self, position: Registers) {
        if position.stack_pointer != self.registers.stack_pointer {
            self.registers = position;
            self.is_exact = false;
        }
    }

    /// Goes on to the end of the stack, and adds each frame to `frames`. Returns how many of the outermost frames are those of
    /// the last walk.
    pub(super) fn go(&mut self, frames: &mut Frames<'_>, mut recent: Option<&mut Recent>) -> usize {
        // Frames at or below this address are our own; it is 0 once the walk is past them.
        let mut own_address = if frames.depth() == 0 { frames.room_address() } else { 0 };
        for _ in 0..MAX_SLOW_STEPS {
            if let Some(recent) = &mut recent {
                let mut position = if self.is_exact { self.registers.after_a_call() } else { self.registers };
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
            } else if !self.run(frames, own_address) {
                return 0;
            }
            let step = self.step();
            if let Some(image) = self.image.take() {
                frames.note_image(image);
            }
            let Some(step) = step else {
                frames.note_cut(self.is_cut);
                return 0;
            };
            if step == Step::OffStack {
                // The last walk's frames are known by their places on the stack where this walk began.
                self.has_left_stack = true;
                recent = None;
            }
            if self.registers.stack_pointer > own_address || step == Step::OffStack {
                own_address = 0;
                if let Some(recent) = &mut recent {
                    recent.pass(frames.depth(), self.memory.bytes_above(self.registers.stack_pointer));
                }
                if !frames.push(self.code_address()) {
                    return 0;
                }
            }
        }
        frames.note_cut(true);
        0
    }

    /// Goes on from caller to caller as long as they are found quickly, which is nearly all the way. False: there is no more
    /// room for frames.
    fn run(&mut self, frames: &mut Frames<'_>, own_address: usize) -> bool {
        let mut here = if self.is_exact { self.registers.after_a_call() } else { self.registers };
        while here.go_to_caller(&self.memory).is_some() {
            let is_beyond = here.stack_pointer > own_address;
            if is_beyond && !frames.push(CodeAddress::returning_to(here.instruction_pointer)) {
                return false;
            }
        }
        self.move_to(here);
        true
    }

    /// Goes on to the caller. `None`: the stack ends here, or nothing tells where it goes on.
    fn step(&mut self) -> Option<Step> {
        self.is_cut = true;
        let address = self.lookup_address();
        let callee_stack_pointer = self.registers.stack_pointer;
        // Where a leaf was interrupted, its caller's stack pointer may be its own.
        let lowest = callee_stack_pointer.saturating_add(usize::from(!self.is_exact));
        let step = match rules::kept(address) {
            Some(kept) => self.apply(kept.rule())?,
            None => self.step_slowly(address)?,
        };
        self.is_cut = self.registers.instruction_pointer != 0;
        let is_upwards = self.registers.stack_pointer >= lowest || step == Step::OffStack;
        (is_upwards && self.registers.instruction_pointer != 0).then_some(step)
    }

    /// Goes on by the tables. Where the image may be unloaded, a rule is kept for this very image: under the address with
    /// the image's number, so that it is not taken for another's that lies there later. Without a build id, another build
    /// may have the same number, and nothing is kept.
    #[cold]
    #[inline(never)]
    fn step_slowly(&mut self, address: usize) -> Option<Step> {
        let Some(loaded) = loaded::find(address) else {
            // mutant: A8 code in no object is taken for what lies there
            self.image = Some(ImageId::NOWHERE);
            return self.leave_handler();
        };
        let mut key = Some(address);
        if !loaded.is_permanent() {
            if self.memory.is_copy() {
                return None;
            }
            let image = self.image_of(&loaded);
            // mutant: A8 addresses do not say in which library
            self.image = Some(image.id);
            // mutant: A8 frames are where those of another build were
            // mutant: A8 frames are where those of another library were
            key = rules::key(address, image.id).filter(|_| image.is_of_one_build);
            if let Some(kept) = key.and_then(rules::kept) {
                let step = self.apply(kept.rule());
                self.is_at_end = false;
                return step;
            }
        }
        let tables = Tables::of(&loaded);
        let found = tables.as_ref().and_then(|tables| tables.find(address));
        if found.is_none()
            && let Some(step) = self.leave_handler()
        {
            return Some(step);
        }
        match found.or_else(|| self.find_without_tables(&loaded, tables.as_ref(), address))? {
            Found::Rule(rule) => {
                if rule.is_sane()
                    && let Some(key) = key
                {
                    rules::keep(key, rule);
                }
                let step = self.apply(rule);
                // Else the next walk would not come by here, where the image of the address is noted.
                self.is_at_end &= loaded.is_permanent();
                step
            }
            Found::Unusual(frame) => {
                let caller = frame.caller(&self.registers, &mut self.memory)?;
                self.go_to(caller, frame.is_signal)
            }
        }
    }

    /// Goes on to what a signal interrupted, if its handler returns to where we are.
    fn leave_handler(&mut self) -> Option<Step> {
        let interrupted = signal_frame::interrupted(&self.registers, &mut self.memory)?;
        self.go_to(interrupted, true)
    }

    /// Goes on to a frame with these registers, which may be on another stack.
    fn go_to(&mut self, registers: Registers, is_exact: bool) -> Option<Step> {
        self.registers = registers;
        self.is_exact = is_exact;
        if self.memory.contains(registers.stack_pointer) {
            return Some(Step::Call);
        }
        self.memory = self.memory.other(registers.stack_pointer)?;
        Some(Step::OffStack)
    }

    /// The image that was found, which may be unloaded.
    fn image_of(&mut self, loaded: &LoadedImage) -> LastImage {
        let map_start = loaded.map_start;
        match self.last_image {
            Some(last) if last.map_start == map_start => last,
            _ => {
                let (id, is_of_one_build) = loaded.id();
                let image = LastImage { map_start, id, is_of_one_build };
                self.last_image = Some(image);
                image
            }
        }
    }

    /// The rule where tables say nothing: by the frame pointer, if it is certain that there is one.
    fn find_without_tables(
        &mut self,
        loaded: &LoadedImage,
        tables: Option<&Tables>,
        address: usize,
    ) -> Option<Found> {
        if loaded.is_outermost(address) {
            return Some(Found::Rule(Rule::Outermost));
        }
        let known_until = tables.map_or(0, |tables| tables.known_until(address));
        let rule =
            calls::frame_pointer_rule(loaded, address, known_until, &self.registers, &mut self.memory)?;
        Some(Found::Rule(rule))
    }

    fn apply(&mut self, rule: Rule) -> Option<Step> {
        let Rule::Frame { cfa, return_address, frame_pointer } = rule else {
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
        let kept = self.memory.read(cfa.wrapping_sub(return_address.distance()))?;
        self.registers.instruction_pointer = return_address.address(kept);
        self.registers.link = Link::UNKNOWN;
        if let Some(offset) = frame_pointer {
            self.registers.frame_pointer = FramePointer::At(cfa.wrapping_add_signed(offset as isize));
        }
        self.registers.stack_pointer = cfa;
        self.is_exact = false;
        Some(Step::Call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::room;

    /// Return addresses of this test, at which no other test keeps a rule. They are in no image.
    const FIRST: usize = 0x5555_1000;
    const SECOND: usize = 0x5555_2000;
    const OUTERMOST: usize = 0x5555_3000;
    const UNKNOWN: usize = 0x5555_4000;

    fn keep_rules() {
        for address in [FIRST, SECOND] {
            rules::keep(address - 1, Rule::frame(Cfa::StackPointer(16), None));
        }
        // The walks of the tests begin at an instruction.
        rules::keep(FIRST, Rule::frame(Cfa::StackPointer(16), None));
        rules::keep(OUTERMOST - 1, Rule::Outermost);
    }

    /// Walks from the instruction `FIRST`, on a stack of these words, and returns what `tell` says of the frames, and
    /// whether the walk is at the end.
    fn walked<R>(words: &[usize], tell: impl FnOnce(&Frames<'_>) -> R) -> (R, bool) {
        keep_rules();
        let memory = StackMemory::of_words(words);
        let stack_pointer = words.as_ptr().expose_provenance();
        let mut cursor = Cursor::from(Registers::at(FIRST, stack_pointer, FramePointer::Value(0)), memory);
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        // With a frame in the room, the walk is past the frames of our own.
        frames.push(CodeAddress::of_instruction(FIRST));
        cursor.go(&mut frames, None);
        (tell(&frames), cursor.is_at_end())
    }

    /// Returns the callers that a walk finds, whether it is cut, and whether it is at the end.
    fn walk(words: &[usize]) -> (Vec<usize>, bool, bool) {
        let ((found, is_cut), is_at_end) = walked(words, |frames| {
            let callers = frames.as_slice().iter().rev().skip(1);
            (callers.map(|frame| frame.address()).collect(), frames.is_cut())
        });
        (found, is_cut, is_at_end)
    }

    #[test]
    fn a_walk_ends_where_there_is_no_caller() {
        assert_eq!(walk(&[0, SECOND, 0, OUTERMOST, 0, 0]), (vec![SECOND, OUTERMOST], false, true));
        assert_eq!(
            walk(&[0, SECOND, 0, 0]),
            (vec![SECOND], false, false),
            "a return address of 0 ends a stack too"
        );
    }

    #[test]
    fn a_walk_that_cannot_go_on_is_cut() {
        assert_eq!(walk(&[0, SECOND, 0, UNKNOWN, 0, 0]), (vec![SECOND, UNKNOWN], true, false));
        assert_eq!(walk(&[0, SECOND]), (vec![SECOND], true, false), "the stack ends too early");
    }

    #[test]
    fn code_in_no_image_is_told_apart() {
        let (image, _) = walked(&[0, UNKNOWN], |frames| frames.as_slice().first().unwrap().image());
        assert_eq!(image, Some(ImageId::NOWHERE));
    }

    /// Recursion without end is truncated after as many frames as there is room for.
    #[test]
    fn deep_walks_are_truncated() {
        let words: Vec<usize> = [0, SECOND].repeat(2 * MAX_STACK_DEPTH);
        let (found, _) = walked(&words, |frames| (frames.as_slice().len(), frames.is_truncated()));
        assert_eq!(found, (MAX_STACK_DEPTH, true));
    }
}

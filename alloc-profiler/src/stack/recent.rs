//! The last stack that each thread had, so that the next one need not find its outer frames again.
//!
//! Stacks that a thread has one after the other share most of their outer frames. A walk that comes upon a frame
//! of the last one, the same return address at the same place, knows where the return addresses beyond it were;
//! if they are still there, so are their frames: each frame's place follows from the place and the return
//! address of the one within by a rule that does not change. Every address is read and compared, so nothing is
//! believed that the stack does not say now. (Where the frame pointer leads, it is read and compared as well.)
//!
//! Kept outermost frame first: what two walks have in common stays where it is, and only the frames within are
//! replaced.
//!
//! One of a few slots, by the thread's stack, under a lock that is tried once: two threads that meet in a slot,
//! or a signal's handler that interrupts its thread in here, walk without.
//!
//! Path: *allocation path*, sampled allocations only.

use super::known::{Beginning, KnownWalks};
use super::memory::StackMemory;
use super::registers::{FramePointer, Registers};
use super::rules::Quick;
use super::{EMPTY_HASH, Frames, MAX_STACK_DEPTH, add_to_hash};
use crate::alone::Alone;
use crate::stacks::Stack;
use crate::sync::{Guard, Patience, SpinLock};

const SLOTS: usize = 64;

static RECENT: [SpinLock<Recent>; SLOTS] = [const { SpinLock::new(Recent::NONE) }; SLOTS];

/// Where a frame was that a walk came by, in one word: from its stack pointer up to the end of the stack are the lower
/// 32 bits' bytes; the next 16 bits are where the frame pointer was saved, from the stack pointer, 0 if it was not.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    pub(super) const NONE: Place = Place(0);
    /// Found by [`Registers::go_to_caller`].
    const IS_QUICK: u64 = 1 << 48;
    /// From the frame pointer.
    const IS_FRAMED: u64 = 1 << 49;

    #[inline(always)]
    fn quick(bytes_above: u32, rule: Quick) -> Place {
        let framed = if rule.is_framed() { Place::IS_FRAMED } else { 0 };
        let saved = u64::from(rule.frame_pointer_offset() as u16) << 32;
        Place(Place::IS_QUICK | framed | saved | u64::from(bytes_above))
    }

    #[inline(always)]
    pub(super) fn bytes_above(self) -> u32 {
        self.0 as u32
    }

    fn frame_pointer_offset(self) -> isize {
        (self.0 >> 32) as i16 as isize
    }

    #[inline(always)]
    fn is_quick(self) -> bool {
        self.0 & Place::IS_QUICK != 0
    }

    #[inline(always)]
    fn is_framed(self) -> bool {
        self.0 & Place::IS_FRAMED != 0
    }

    fn cfa(self, memory: &StackMemory) -> usize {
        memory.stack_pointer(self.bytes_above())
    }

    /// The caller's frame pointer, if it was saved here.
    fn saved_frame_pointer(self, memory: &StackMemory) -> Option<FramePointer> {
        let offset = self.frame_pointer_offset();
        (offset != 0).then(|| FramePointer::At(self.cfa(memory).wrapping_add_signed(offset)))
    }
}

/// Whether frames are still what they were, all of them: outermost first, all found quickly, and from the frame pointer
/// at most the first `framed_end`. Where they begin, it is `frame_pointer`.
#[inline(always)]
pub(super) fn are_there(
    return_addresses: &[usize],
    places: &[Place],
    framed_end: usize,
    frame_pointer: FramePointer,
    memory: &StackMemory,
) -> bool {
    let is_there = |(&return_address, place): (&usize, &Place)| {
        // mutant: B7 a walk that was there once is there again
        memory.read_above(place.bytes_above()) == Some(return_address)
    };
    // mutant: B7 frame pointers are where they were
    return_addresses.iter().zip(places).rev().all(is_there)
        && (framed_end == 0 || lead_there(places, framed_end, frame_pointer, memory))
}

/// Whether frame pointers lead to the places that were found from one.
fn lead_there(
    places: &[Place],
    framed_end: usize,
    frame_pointer: FramePointer,
    memory: &StackMemory,
) -> bool {
    (0..framed_end).zip(places).filter(|(_, place)| place.is_framed()).all(|(index, place)| {
        let mut within = places.get(index.wrapping_add(1)..).unwrap_or(&[]).iter();
        let saved = within.find_map(|place| place.saved_frame_pointer(memory));
        saved.unwrap_or(frame_pointer).cfa(memory) == Some(place.cfa(memory))
    })
}

/// The two steps that walks begin with, which hardly ever change: out of our own function, and out of the allocator
/// around it. Both by rules from the stack pointer.
struct Entry {
    /// The instruction pointer before the first step; 0: no steps are known.
    from: usize,
    first_bytes: usize,
    /// The return address that the first step finds.
    to: usize,
    second_bytes: usize,
}

impl Entry {
    const NONE: Entry = Entry { from: 0, first_bytes: 0, to: 0, second_bytes: 0 };

    /// Where the walk from `registers` begins, if it begins with these steps.
    #[inline(always)]
    fn beginning(&self, registers: Registers, memory: &StackMemory, own_address: usize) -> Option<Beginning> {
        let first = registers.stack_pointer.wrapping_add(self.first_bytes);
        let second = first.wrapping_add(self.second_bytes);
        if registers.instruction_pointer != self.from
            || first <= own_address
            || memory.read_upwards(first.wrapping_sub(8))? != self.to
        {
            return None;
        }
        let return_address = memory.read_upwards(second.wrapping_sub(8)).filter(|&address| address != 0)?;
        let (bytes_above, frame_pointer) = (memory.bytes_above(first), registers.frame_pointer);
        Some(Beginning { bytes_above, frame_pointer, return_address })
    }
}

/// Two walks, outermost frame first: the last one, and the places of the present one, where `Frames` has it.
pub(super) struct Recent {
    return_addresses: [usize; MAX_STACK_DEPTH],
    places: [Place; MAX_STACK_DEPTH],
    /// Of each frame of the last walk with all beyond.
    hashes: [u64; MAX_STACK_DEPTH],
    len: usize,
    /// It ended where stacks end, and not because we had to give up.
    is_whole: bool,
    /// How many of its frames were found quickly, from the outermost.
    quick_len: usize,
    /// From here on, no frame was found from the frame pointer.
    framed_end: usize,
    present: [Place; MAX_STACK_DEPTH],
    /// How many frames of the last walk can still come up, from the outermost.
    next: usize,
    entry: Entry,
    pub(super) known: KnownWalks,
}

/// How a run of frames that are found quickly ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// At the end of the stack: from some frame outwards all is as it was.
    Whole,
    /// Where this walk and the last one part, after some way in common.
    Parted,
    /// At a frame that has no caller, or one that is not found quickly, or where there is no more room.
    Unknown,
}

impl Recent {
    const NONE: Recent = Recent {
        return_addresses: [0; MAX_STACK_DEPTH],
        places: [Place::NONE; MAX_STACK_DEPTH],
        hashes: [0; MAX_STACK_DEPTH],
        len: 0,
        is_whole: false,
        quick_len: 0,
        framed_end: 0,
        present: [Place::NONE; MAX_STACK_DEPTH],
        next: 0,
        entry: Entry::NONE,
        known: KnownWalks::NONE,
    };

    /// Where the walk from `registers` begins, if its first frames are found quickly. Those below `own_address` are
    /// passed by. The instruction pointer is a return address.
    #[inline(always)]
    pub(super) fn beginning(
        &mut self,
        registers: Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> Option<Beginning> {
        let beginning = self.entry.beginning(registers, memory, own_address);
        beginning.or_else(|| self.other_beginning(registers, memory, own_address))
    }

    /// As [`beginning`](Self::beginning), not by the same two steps as the last time.
    #[inline(never)]
    fn other_beginning(
        &mut self,
        first: Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> Option<Beginning> {
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
        rule = registers.go_to_caller(memory)?;
        if is_one_step && !rule.is_framed() {
            let (from, second_bytes) = (first.instruction_pointer, rule.offset());
            self.entry = Entry { from, first_bytes, to, second_bytes };
        }
        Some(Beginning { bytes_above, frame_pointer, return_address: registers.instruction_pointer })
    }

    /// Keeps the walk that was finished last, which found `stack`, if it can be known again.
    pub(super) fn keep_as_known(&mut self, beginning: Beginning, stack: &'static Stack) {
        if self.is_whole && self.quick_len == self.len {
            let places = self.places.get(..self.len).unwrap_or(&[]);
            self.known.keep(beginning, stack, places, self.framed_end);
        }
    }

    /// Begins a walk.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.next = self.len;
    }

    /// Goes on from caller to caller as long as they are found quickly: nearly all the way. Where the last walk has been,
    /// takes over from it what is still there. Frames below `own_address` are passed by. The instruction pointer in
    /// `registers` is a return address.
    #[inline(always)]
    pub(super) fn run(
        &mut self,
        frames: &mut Frames<'_>,
        registers: &mut Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> RunEnd {
        if !self.run_to_known(frames, registers, memory, own_address) {
            return RunEnd::Unknown;
        }
        let beyond = self.next;
        let (return_addresses, places) = self.last(beyond);
        if self.is_whole
            && beyond <= self.quick_len
            && beyond <= MAX_STACK_DEPTH.saturating_sub(frames.depth)
            && are_there(
                return_addresses,
                places,
                self.framed_end.min(beyond),
                registers.frame_pointer,
                memory,
            )
        {
            frames.extend(return_addresses);
            return RunEnd::Whole;
        }
        self.take_over(frames, registers, memory);
        RunEnd::Parted
    }

    /// True: the outermost of `frames` is the last walk's too; `next` are beyond it.
    #[inline(never)]
    fn run_to_known(
        &mut self,
        frames: &mut Frames<'_>,
        registers: &mut Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> bool {
        let memory = *memory;
        let mut here = *registers;
        let mut index = MAX_STACK_DEPTH.saturating_sub(frames.depth);
        let mut next = self.next;
        let mut is_known = false;
        'run: while index != 0
            && let Some(rule) = here.go_to_caller(&memory)
        {
            if here.stack_pointer <= own_address {
                continue;
            }
            let inner = index.wrapping_sub(1);
            let (Some(place), Some(room)) =
                (self.present.get_mut(inner), frames.return_addresses.get_mut(inner))
            else {
                break;
            };
            index = inner;
            room.write(here.instruction_pointer);
            let bytes_above = memory.bytes_above(here.stack_pointer);
            *place = Place::quick(bytes_above, rule);
            while let Some(candidate) = next.checked_sub(1)
                && let Some(place) = self.places.get(candidate)
                && place.bytes_above() >= bytes_above
            {
                next = candidate;
                if place.bytes_above() == bytes_above {
                    if self.return_addresses.get(candidate) == Some(&here.instruction_pointer) {
                        is_known = true;
                        break 'run;
                    }
                    break;
                }
            }
        }
        *registers = here;
        frames.depth = MAX_STACK_DEPTH.wrapping_sub(index);
        self.next = next;
        is_known
    }

    /// The last walk's outermost frames.
    #[inline(always)]
    fn last(&self, count: usize) -> (&[usize], &[Place]) {
        (self.return_addresses.get(..count).unwrap_or(&[]), self.places.get(..count).unwrap_or(&[]))
    }

    /// Of the frames that are `next`, as many as are found quickly and still there.
    #[cold]
    fn take_over(&mut self, frames: &mut Frames<'_>, registers: &mut Registers, memory: &StackMemory) {
        while let Some(next) = self.next.checked_sub(1)
            && let (Some(&return_address), Some(&place)) =
                (self.return_addresses.get(next), self.places.get(next))
            && memory.read_above(place.bytes_above()) == Some(return_address)
            && place.is_quick()
            && (!place.is_framed() || registers.frame_pointer.cfa(memory) == Some(place.cfa(memory)))
            && let Some(index) = MAX_STACK_DEPTH.wrapping_sub(1).checked_sub(frames.depth)
            && let Some(present) = self.present.get_mut(index)
        {
            *present = place;
            frames.push(return_address);
            self.next = next;
            registers.instruction_pointer = return_address;
            registers.stack_pointer = place.cfa(memory);
            if let Some(saved) = place.saved_frame_pointer(memory) {
                registers.frame_pointer = saved;
            }
        }
    }

    /// Notes the place of a frame of the present walk that was not found by a run.
    pub(super) fn pass(&mut self, within: usize, bytes_above: u32) {
        let index = MAX_STACK_DEPTH.wrapping_sub(1).wrapping_sub(within);
        if let Some(place) = self.present.get_mut(index) {
            *place = Place(u64::from(bytes_above));
        }
    }

    /// Makes the present walk the last one, of which it has the `kept` outermost frames.
    #[inline(always)]
    pub(super) fn finish(&mut self, frames: &mut Frames<'_>, kept: usize, is_whole: bool) {
        let outer = kept.checked_sub(1).and_then(|outer| self.hashes.get(outer));
        let mut hash = outer.copied().unwrap_or(EMPTY_HASH);
        let mut len = kept;
        let mut are_quick = true;
        let mut quick_len = kept;
        let mut framed_end = self.framed_end;
        if framed_end > kept {
            let mut of_kept = self.places.get(..kept).unwrap_or(&[]).iter();
            framed_end =
                of_kept.rposition(|place| place.is_framed()).map_or(0, |index| index.wrapping_add(1));
        }
        let within = frames.return_addresses().get(kept..).unwrap_or(&[]);
        let present = self.present.get(MAX_STACK_DEPTH.saturating_sub(within.len())..).unwrap_or(&[]);
        let addresses = self.return_addresses.get_mut(kept..).unwrap_or(&mut []);
        let places = self.places.get_mut(kept..).unwrap_or(&mut []);
        let hashes = self.hashes.get_mut(kept..).unwrap_or(&mut []);
        let last = addresses.iter_mut().zip(places).zip(hashes);
        for (((last_address, last_place), last_hash), (&address, &place)) in
            last.zip(within.iter().zip(present))
        {
            hash = add_to_hash(hash, address);
            are_quick &= place.is_quick();
            quick_len = quick_len.wrapping_add(usize::from(are_quick));
            (*last_address, *last_place, *last_hash) = (address, place, hash);
            len = len.wrapping_add(1);
            if place.is_framed() {
                framed_end = len;
            }
        }
        self.len = frames.depth;
        self.is_whole = is_whole;
        self.quick_len = quick_len;
        self.framed_end = framed_end;
        frames.hash = Some(hash);
    }

    /// How many frames of the last walk are beyond all that came up.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// Forgets the last walk: the present one was on more stacks than one.
    pub(super) fn forget(&mut self) {
        self.len = 0;
    }
}

/// Forgets all: a walk may have been half noted when the process forked.
pub(super) fn begin_anew(alone: &Alone) {
    for slot in &RECENT {
        let mut recent = slot.seize(alone);
        // mutant: A4 children know the walks of their parent
        recent.known.forget();
        if recent.entry.from != 0 {
            recent.entry.from = 0;
        }
        if recent.len != 0 {
            recent.len = 0;
        }
    }
}

/// The slot of the thread whose stack ends at `stack_end`, if it is free.
#[inline(always)]
pub(super) fn of_thread(stack_end: usize) -> Option<Guard<'static, Recent>> {
    // Stacks end on pages.
    let hash = (stack_end as u64 >> 12).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    RECENT.get((hash >> 58) as usize)?.try_lock(Patience::None)
}

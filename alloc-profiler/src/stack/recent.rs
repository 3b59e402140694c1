//! The last stack that each thread had, so that the next one need not find its outer frames again.
//!
//! Stacks that a thread has one after the other share most of their outer frames. A walk that comes upon a frame
//! of the last one, the same return address at the same place, knows where the return addresses beyond it were;
//! if they are still there, so are their frames: each frame's place follows from the place and the return
//! address of the one within by a rule that does not change. Every address is read and compared, so nothing is
//! believed that the stack does not say now.
//!
//! Kept outermost frame first: what two walks have in common stays where it is, and only the frames within are
//! replaced.
//!
//! One of a few slots, by the thread's stack, under a lock that is tried once: two threads that meet in a slot,
//! or a signal's handler that interrupts its thread in here, walk without.
//!
//! Path: *allocation path*, sampled allocations only.

use super::memory::StackMemory;
use super::registers::{FramePointer, Registers};
use super::rules::{self, Plain};
use super::{EMPTY_HASH, Frames, MAX_STACK_DEPTH, add_to_hash};
use crate::fork::Alone;
use crate::sync::{Guard, Patience, SpinLock};

const SLOTS: usize = 64;

static RECENT: [SpinLock<Recent>; SLOTS] = [const { SpinLock::new(Recent::NONE) }; SLOTS];

/// Where a frame was that a walk came by, in one word: from its stack pointer up to the end of the stack are the lower
/// 32 bits' bytes; the next 16 bits are where the frame pointer was saved, from the stack pointer, 0 if it was not.
#[derive(Clone, Copy)]
struct Place(u64);

impl Place {
    /// Found by a kept rule that needs the stack pointer alone.
    const IS_PLAIN: u64 = 1 << 48;

    #[inline(always)]
    fn plain(bytes_above: u32, rule: Plain) -> Place {
        Place(Place::IS_PLAIN | u64::from(rule.frame_pointer_offset() as u16) << 32 | u64::from(bytes_above))
    }

    #[inline(always)]
    fn bytes_above(self) -> u32 {
        self.0 as u32
    }

    fn frame_pointer_offset(self) -> isize {
        (self.0 >> 32) as i16 as isize
    }

    #[inline(always)]
    fn is_plain(self) -> bool {
        self.0 & Place::IS_PLAIN != 0
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
    /// How many of its frames are plain, from the outermost.
    plain_len: usize,
    present: [Place; MAX_STACK_DEPTH],
    /// How many frames of the last walk can still come up, from the outermost.
    next: usize,
}

/// How a run of plain frames ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// At the end of the stack: from some frame outwards all is as it was.
    Whole,
    /// Where this walk and the last one part, after some way in common.
    Parted,
    /// At a frame without a kept rule, or with one that is not plain, or where there is no more room.
    Unknown,
}

impl Recent {
    const NONE: Recent = Recent {
        return_addresses: [0; MAX_STACK_DEPTH],
        places: [Place(0); MAX_STACK_DEPTH],
        hashes: [0; MAX_STACK_DEPTH],
        len: 0,
        is_whole: false,
        plain_len: 0,
        present: [Place(0); MAX_STACK_DEPTH],
        next: 0,
    };

    /// Begins a walk.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.next = self.len;
    }

    /// Goes on from caller to caller as long as their rules are kept and plain: nearly all the way. Where the last walk
    /// has been, takes over from it what is still there. Frames below `own_address` are passed by. The instruction
    /// pointer in `registers` is a return address.
    #[inline(always)]
    pub(super) fn run(
        &mut self,
        frames: &mut Frames<'_>,
        registers: &mut Registers,
        memory: &StackMemory,
        own_address: usize,
    ) -> RunEnd {
        let start = MAX_STACK_DEPTH.saturating_sub(frames.depth);
        let is_known = self.run_to_known(frames, registers, memory, own_address);
        if is_known {
            let beyond = self.next;
            let (return_addresses, places) = self.last(beyond);
            let is_there = |(return_address, place): (&usize, &Place)| {
                memory.read_above(place.bytes_above()) == Some(*return_address)
            };
            if self.is_whole
                && beyond <= self.plain_len
                && beyond <= MAX_STACK_DEPTH.saturating_sub(frames.depth)
                && return_addresses.iter().zip(places).rev().all(is_there)
            {
                frames.extend(return_addresses);
                return RunEnd::Whole;
            }
            self.take_over(frames, memory);
        }
        self.stand_at_outermost(start, frames, registers, memory);
        if is_known { RunEnd::Parted } else { RunEnd::Unknown }
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
        let Registers { instruction_pointer: mut return_address, mut stack_pointer, .. } = *registers;
        let mut index = MAX_STACK_DEPTH.saturating_sub(frames.depth);
        let mut next = self.next;
        let mut is_known = false;
        'run: while let Some(rule) = rules::plain(return_address.wrapping_sub(1)) {
            let cfa = stack_pointer.wrapping_add(rule.offset());
            // Offsets are 8 at least, so the read is above the stack pointer, and each is above the one before.
            let Some(callers) = memory.read_upwards(cfa.wrapping_sub(8)) else { break };
            if callers == 0 {
                break;
            }
            if cfa <= own_address {
                (return_address, stack_pointer) = (callers, cfa);
                let offset = rule.frame_pointer_offset();
                if offset != 0 {
                    registers.frame_pointer = FramePointer::At(cfa.wrapping_add_signed(offset as isize));
                }
                continue;
            }
            let Some(inner) = index.checked_sub(1) else { break };
            let (Some(place), Some(room)) =
                (self.present.get_mut(inner), frames.return_addresses.get_mut(inner))
            else {
                break;
            };
            (return_address, stack_pointer, index) = (callers, cfa, inner);
            room.write(return_address);
            let bytes_above = memory.bytes_above(cfa);
            *place = Place::plain(bytes_above, rule);
            while let Some(candidate) = next.checked_sub(1)
                && let Some(place) = self.places.get(candidate)
                && place.bytes_above() >= bytes_above
            {
                next = candidate;
                if place.bytes_above() == bytes_above {
                    if self.return_addresses.get(candidate) == Some(&return_address) {
                        is_known = true;
                        break 'run;
                    }
                    break;
                }
            }
        }
        registers.instruction_pointer = return_address;
        registers.stack_pointer = stack_pointer;
        frames.depth = MAX_STACK_DEPTH.wrapping_sub(index);
        self.next = next;
        is_known
    }

    /// The last walk's outermost frames.
    #[inline(always)]
    fn last(&self, count: usize) -> (&[usize], &[Place]) {
        (self.return_addresses.get(..count).unwrap_or(&[]), self.places.get(..count).unwrap_or(&[]))
    }

    /// Of the frames that are `next`, as many as are plain and still there.
    #[cold]
    fn take_over(&mut self, frames: &mut Frames<'_>, memory: &StackMemory) {
        while let Some(next) = self.next.checked_sub(1)
            && let (Some(&return_address), Some(&place)) =
                (self.return_addresses.get(next), self.places.get(next))
            && place.is_plain()
            && memory.read_above(place.bytes_above()) == Some(return_address)
            && let Some(index) = MAX_STACK_DEPTH.wrapping_sub(1).checked_sub(frames.depth)
            && let Some(present) = self.present.get_mut(index)
        {
            *present = place;
            frames.push(return_address);
            self.next = next;
        }
    }

    /// Sets `registers` to those of the outermost frame, if there is one beyond number `start`.
    #[cold]
    fn stand_at_outermost(
        &self,
        start: usize,
        frames: &Frames<'_>,
        registers: &mut Registers,
        memory: &StackMemory,
    ) {
        let outermost = MAX_STACK_DEPTH.saturating_sub(frames.depth);
        let passed = self.present.get(outermost..start).unwrap_or(&[]);
        if let (Some(place), Some(return_address)) = (passed.first(), frames.return_addresses().first()) {
            registers.instruction_pointer = *return_address;
            registers.stack_pointer = memory.stack_pointer(place.bytes_above());
        }
        if let Some(place) = passed.iter().find(|place| place.frame_pointer_offset() != 0) {
            let saved_at =
                memory.stack_pointer(place.bytes_above()).wrapping_add_signed(place.frame_pointer_offset());
            registers.frame_pointer = FramePointer::At(saved_at);
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
        let mut are_plain = true;
        let mut plain_len = kept;
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
            are_plain &= place.is_plain();
            plain_len = plain_len.wrapping_add(usize::from(are_plain));
            (*last_address, *last_place, *last_hash) = (address, place, hash);
        }
        self.len = frames.depth;
        self.is_whole = is_whole;
        self.plain_len = plain_len;
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

//! A caller gives room for frames. This says what is in it, and how the walk that found them ended.
//!
//! Path: *allocation path* and *signal handlers*.

use std::mem::MaybeUninit;

use crate::{CodeAddress, hash};

/// Frames kept of a stack, leaf side first. Those beyond are cut, and the walk says so.
pub const MAX_STACK_DEPTH: usize = 128;

/// Room for the frames of a walk: 1 KiB on the stack of the function that wants to know its callers.
pub type Room = [MaybeUninit<CodeAddress>; MAX_STACK_DEPTH];

/// Room for the frames of one walk.
///
/// It stands by itself, and not in a struct with other fields, because the compiler would clear it there, which takes as
/// long as to walk over some frames.
#[inline(always)]
#[must_use]
pub const fn room() -> Room {
    [MaybeUninit::uninit(); MAX_STACK_DEPTH]
}

/// Stands for the hash of no frame.
const EMPTY_HASH: u64 = 1;

/// Returns the hash of some frames and one more within.
#[inline(always)]
pub(crate) const fn add_to_hash(hash: u64, frame: CodeAddress) -> u64 {
    hash::add(hash, frame.to_bits() as u64)
}

/// The hash of frames, outermost first: what [`Walk::hash`](crate::Walk::hash) returns for them.
#[inline(always)]
#[must_use]
pub fn hash_of(frames: &[CodeAddress]) -> u64 {
    frames.iter().fold(EMPTY_HASH, |hash, &frame| add_to_hash(hash, frame))
}

/// The frames of a stack, in the room that was given for them.
pub(crate) struct Frames<'a> {
    /// The last `depth` are initialised: the innermost frame is found first and stands last.
    room: &'a mut Room,
    depth: usize,
    is_truncated: bool,
    is_cut: bool,
    /// The hash of the frames, if it is known already.
    hash: Option<u64>,
}

#[cfg_attr(not(any(by_tables, by_platform)), allow(dead_code, reason = "nobody takes stacks there"))]
impl<'a> Frames<'a> {
    #[inline(always)]
    pub(crate) fn new(room: &'a mut Room) -> Frames<'a> {
        Frames { room, depth: 0, is_truncated: false, is_cut: false, hash: None }
    }

    /// Returns the frames, outermost first.
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[CodeAddress] {
        let initialised = self.room.get(MAX_STACK_DEPTH.saturating_sub(self.depth)..).unwrap_or(&[]);
        // SAFETY: only `push`, `extend` and `set_depth` raise `depth`, by the elements that they or their callers wrote.
        unsafe { std::slice::from_raw_parts(initialised.as_ptr().cast(), initialised.len()) }
    }

    /// Whether frames beyond the first [`MAX_STACK_DEPTH`] are left out.
    #[inline(always)]
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Whether there are callers beyond that could not be told: nothing that the program says about a function on the way
    /// leads to its caller.
    #[inline(always)]
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The hash of the frames, as [`hash_of`] computes it.
    #[inline(always)]
    pub(crate) fn hash(&self) -> u64 {
        self.hash.unwrap_or_else(|| hash_of(self.as_slice()))
    }

    /// Where the room is on the stack.
    pub(crate) fn room_address(&self) -> usize {
        self.room.as_ptr().addr()
    }

    /// Adds the next frame outwards. False: the room is full, so the walk is truncated and over.
    #[inline(always)]
    pub(crate) fn push(&mut self, frame: CodeAddress) -> bool {
        match self.slot(self.depth) {
            Some(slot) => {
                slot.write(frame);
                self.depth = self.depth.wrapping_add(1);
                true
            }
            None => {
                self.is_truncated = true;
                false
            }
        }
    }

    /// The slot of the frame that has `within` frames within.
    #[inline(always)]
    fn slot(&mut self, within: usize) -> Option<&mut MaybeUninit<CodeAddress>> {
        self.room.get_mut(MAX_STACK_DEPTH.checked_sub(1)?.checked_sub(within)?)
    }
}

/// What only our own unwinder does.
#[cfg(by_tables)]
impl Frames<'_> {
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    pub(crate) fn room_mut(&mut self) -> &mut Room {
        self.room
    }

    /// Says how many frames there are now.
    ///
    /// # Safety
    ///
    /// The last `depth` slots of the room are initialised.
    #[inline(always)]
    pub(crate) unsafe fn set_depth(&mut self, depth: usize) {
        self.depth = depth;
    }

    /// Adds frames beyond, outermost first, if there is room for them.
    #[inline(always)]
    pub(crate) fn extend(&mut self, beyond: &[CodeAddress]) {
        let end = MAX_STACK_DEPTH.saturating_sub(self.depth);
        if let Some(slots) = self.room.get_mut(end.wrapping_sub(beyond.len())..end) {
            for (slot, &frame) in slots.iter_mut().zip(beyond) {
                slot.write(frame);
            }
            self.depth = self.depth.wrapping_add(beyond.len());
        }
    }

    /// Takes away all frames but the innermost `depth`, and what was said of the end of the walk. There must be as many.
    pub(crate) fn go_back(&mut self, depth: usize) {
        self.depth = self.depth.min(depth);
        (self.is_truncated, self.is_cut, self.hash) = (false, false, None);
    }

    /// Notes which image the outermost frame so far is in.
    pub(crate) fn note_image(&mut self, image: crate::ImageId) {
        if let Some(slot) = self.depth.checked_sub(1).and_then(|within| self.slot(within)) {
            // SAFETY: the last `depth` are initialised.
            let frame = unsafe { slot.assume_init() };
            slot.write(frame.within(image));
        }
    }

    pub(crate) fn note_cut(&mut self, is_cut: bool) {
        self.is_cut = is_cut;
    }

    #[inline(always)]
    pub(crate) fn note_hash(&mut self, hash: u64) {
        self.hash = Some(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: usize) -> CodeAddress {
        CodeAddress::returning_to(number)
    }

    #[test]
    fn the_innermost_frame_is_found_first_and_stands_last() {
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        assert_eq!((frames.as_slice(), frames.hash()), (&[][..], hash_of(&[])));
        assert!((1..=3).all(|number| frames.push(frame(number))));
        assert_eq!(frames.as_slice(), [frame(3), frame(2), frame(1)]);
        assert_eq!(frames.hash(), hash_of(frames.as_slice()));
        assert_ne!(frames.hash(), hash_of(&[frame(1), frame(2), frame(3)]));
        assert!(!frames.is_cut() && !frames.is_truncated());
    }

    #[test]
    fn what_has_no_room_is_left_out_and_told() {
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        assert!((0..MAX_STACK_DEPTH).all(|number| frames.push(frame(number))));
        assert!(!frames.is_truncated());
        assert!(!frames.push(frame(1000)));
        assert!(frames.is_truncated());
        assert_eq!(frames.as_slice().len(), MAX_STACK_DEPTH);
        assert_eq!(frames.as_slice().first(), Some(&frame(MAX_STACK_DEPTH - 1)));
    }

    #[cfg(by_tables)]
    #[test]
    fn frames_beyond_are_added_if_they_all_have_room() {
        let mut room = room();
        let mut frames = Frames::new(&mut room);
        frames.push(frame(1));
        frames.extend(&[frame(3), frame(2)]);
        assert_eq!(frames.as_slice(), [frame(3), frame(2), frame(1)]);
        frames.extend(&[frame(4); MAX_STACK_DEPTH - 2]);
        assert_eq!(frames.as_slice().len(), 3);
        frames.note_image(crate::ImageId::NOWHERE);
        assert_eq!(frames.as_slice(), [frame(3).within(crate::ImageId::NOWHERE), frame(2), frame(1)]);
    }
}

//! A rule says how to get from a function's registers to its caller's. Rules are kept by address, for all threads.
//!
//! The table has no lock. A slot is two words, the rule and the address combined with it, so a reader that meets half of
//! somebody's write finds a wrong address and takes it for a miss. Two slots next to each other serve addresses of the same
//! hash. With one, some frames of a deep stack would drive each other out in every walk, at the price of evaluating their
//! rules all over again. The newest rule is in its own slot, the one before in the slot beside it.
//!
//! Path: *allocation path* and *signal handlers*.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::processor::{self, ReturnAddress};
use crate::{ImageId, hash};

/// Where the frame of a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The caller's stack pointer is the CFA.
    Frame {
        cfa: Cfa,
        return_address: ReturnAddress,
        /// The caller's frame pointer is saved at this offset from the CFA, if it was changed.
        frame_pointer: Option<i16>,
    },
    /// There is no caller.
    Outermost,
}

impl Rule {
    /// Whether what it says is on the stack is not below the stack pointer.
    pub(super) fn is_sane(self) -> bool {
        match self {
            Rule::Frame { cfa: Cfa::StackPointer(offset), return_address, .. } => {
                usize::try_from(offset).is_ok_and(|offset| offset >= return_address.distance())
            }
            _ => true,
        }
    }
}

/// The rules that tests speak of.
#[cfg(test)]
impl Rule {
    /// The rule of a function that keeps a frame pointer, as most compilers write it: the caller's is saved right below the
    /// return address, and the function's points there.
    pub(super) const FRAME_POINTER: Rule = Rule::frame(Cfa::FramePointer(16), Some(-16));

    /// The rule of a function whose return address is right below the CFA.
    pub(super) const fn frame(cfa: Cfa, frame_pointer: Option<i16>) -> Rule {
        Rule::Frame { cfa, return_address: ReturnAddress::BELOW_CFA, frame_pointer }
    }
}

/// Tells how to find the canonical frame address: from a register and an offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cfa {
    StackPointer(i32),
    FramePointer(i32),
}

/// With so many slots, the table takes 128 KiB, of which the system backs what is used. Some thousand call sites are hot in
/// a large program.
const SLOTS: usize = 1 << 13;

static RULES: [[AtomicU64; 2]; SLOTS] = [const { [const { AtomicU64::new(0) }; 2] }; SLOTS];

// A packed rule consists of 32 bits of CFA offset, 16 of frame-pointer offset, flags, and from bit 52 on where the return address
// is. It is never 0.
const IS_KEPT: u64 = 1 << 48;
const IS_FRAME_POINTER_BASED: u64 = 1 << 49;
const HAS_FRAME_POINTER: u64 = 1 << 50;
const IS_OUTERMOST: u64 = 1 << 51;

/// A kept rule with a CFA.
#[derive(Clone, Copy)]
pub(super) struct Quick(u64);

impl Quick {
    /// Whether the offset of the CFA is from the frame pointer, and not from the stack pointer.
    #[inline(always)]
    pub(super) fn is_framed(self) -> bool {
        self.0 & IS_FRAME_POINTER_BASED != 0
    }

    /// The offset of the CFA in bytes; if it is from the stack pointer, the return address is not below that.
    #[inline(always)]
    pub(super) fn offset(self) -> usize {
        self.0 as u32 as usize
    }

    /// The offset in bytes of the saved frame pointer from the CFA; 0 if it was not saved.
    #[inline(always)]
    pub(super) fn frame_pointer_offset(self) -> i16 {
        (self.0 >> 32) as i16
    }

    #[inline(always)]
    pub(super) fn return_address(self) -> ReturnAddress {
        ReturnAddress::of_bits(self.0)
    }

    /// How many bytes lie between the frame pointer of the function and the CFA, if it is framed.
    #[inline(always)]
    pub(super) fn frame_bytes(self) -> usize {
        processor::frame_bytes(self.frame_pointer_offset())
    }
}

/// The rule for an address, if it is kept and there is a caller.
#[inline(always)]
pub(super) fn quick(address: usize) -> Option<Quick> {
    let packed = find(address)?;
    (packed & IS_OUTERMOST == 0).then_some(Quick(packed))
}

/// What the rule of an address in an image that may be unloaded is kept under, which is no address of another image. `None`:
/// the image has no number of its own, or this is no address of a program.
pub(super) fn key(address: usize, image: ImageId) -> Option<usize> {
    let key = image.apart(address);
    (image.is_known() && key != address).then_some(key)
}

/// A kept rule.
#[derive(Clone, Copy)]
pub(super) struct Kept(u64);

impl Kept {
    pub(super) fn rule(self) -> Rule {
        unpack(self.0)
    }
}

/// The rule for an address, if it is kept.
#[inline(always)]
pub(super) fn kept(address: usize) -> Option<Kept> {
    find(address).map(Kept)
}

/// Keeps the rule for an address.
pub(super) fn keep(address: usize, rule: Rule) {
    let index = index(address);
    let (kept_address, kept) = slot(index);
    if kept_address != address as u64 && kept != 0 {
        set(index ^ 1, kept_address, kept);
    }
    set(index, address as u64, pack(rule));
}

/// The packed rule for an address, if it is kept.
#[inline(always)]
fn find(address: usize) -> Option<u64> {
    let index = index(address);
    let (kept_address, kept) = slot(index);
    if kept_address == address as u64 && kept != 0 { Some(kept) } else { find_beside(index, address) }
}

#[cold]
#[inline(never)]
fn find_beside(index: usize, address: usize) -> Option<u64> {
    let (kept_address, kept) = slot(index ^ 1);
    (kept_address == address as u64 && kept != 0).then_some(kept)
}

#[inline(always)]
fn index(address: usize) -> usize {
    let hash = hash::multiply(address as u64);
    (hash >> 40) as usize & (SLOTS - 1)
}

/// The address that a slot is for, and the packed rule.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the mask keeps it in range, which the compiler sees")]
fn slot(index: usize) -> (u64, u64) {
    let [tag, packed] = &RULES[index & (SLOTS - 1)];
    let packed_rule = packed.load(Relaxed);
    (tag.load(Relaxed) ^ packed_rule, packed_rule)
}

#[expect(clippy::indexing_slicing, reason = "the mask keeps it in range, which the compiler sees")]
fn set(index: usize, address: u64, packed_rule: u64) {
    let [tag, packed] = &RULES[index & (SLOTS - 1)];
    packed.store(packed_rule, Relaxed);
    tag.store(address ^ packed_rule, Relaxed);
}

fn pack(rule: Rule) -> u64 {
    match rule {
        Rule::Outermost => IS_KEPT | IS_OUTERMOST,
        Rule::Frame { cfa, return_address, frame_pointer } => {
            let (base, offset) = match cfa {
                Cfa::StackPointer(offset) => (0, offset),
                Cfa::FramePointer(offset) => (IS_FRAME_POINTER_BASED, offset),
            };
            let saved = frame_pointer.map_or(0, |at| HAS_FRAME_POINTER | u64::from(at as u16) << 32);
            IS_KEPT | base | saved | return_address.to_bits() | u64::from(offset as u32)
        }
    }
}

fn unpack(packed: u64) -> Rule {
    if packed & IS_OUTERMOST != 0 {
        return Rule::Outermost;
    }
    let offset = packed as u32 as i32;
    let is_frame_pointer_based = packed & IS_FRAME_POINTER_BASED != 0;
    let cfa = if is_frame_pointer_based { Cfa::FramePointer(offset) } else { Cfa::StackPointer(offset) };
    let frame_pointer = (packed & HAS_FRAME_POINTER != 0).then_some((packed >> 32) as u16 as i16);
    Rule::Frame { cfa, return_address: ReturnAddress::of_bits(packed), frame_pointer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_kept_as_they_are() {
        let rules = [
            Rule::Outermost,
            Rule::frame(Cfa::StackPointer(8), None),
            Rule::frame(Cfa::StackPointer(i32::MAX), Some(-16)),
            Rule::frame(Cfa::FramePointer(-8), Some(i16::MIN)),
            Rule::frame(Cfa::FramePointer(16), Some(0)),
        ];
        assert!(kept(0).is_none() && quick(0).is_none());
        for (n, rule) in rules.into_iter().enumerate() {
            let address = 0x5555_5555_0000 + n;
            assert!(kept(address).is_none());
            keep(address, rule);
            assert_eq!(kept(address).map(Kept::rule), Some(rule));
            let parts =
                quick(address).map(|rule| (rule.is_framed(), rule.offset(), rule.frame_pointer_offset()));
            let expected = match rule {
                Rule::Frame { cfa: Cfa::StackPointer(offset), frame_pointer, .. } => {
                    Some((false, offset as u32 as usize, frame_pointer.unwrap_or(0)))
                }
                Rule::Frame { cfa: Cfa::FramePointer(offset), frame_pointer, .. } => {
                    Some((true, offset as u32 as usize, frame_pointer.unwrap_or(0)))
                }
                Rule::Outermost => None,
            };
            assert_eq!(parts, expected);
        }
    }

    #[test]
    fn rules_of_images_that_may_be_unloaded_are_kept_apart() {
        let [first, second] = [5, 6].map(|number| ImageId::of_number(number).unwrap());
        let address = 0x7000_0000_0123;
        assert!(key(address, first).is_some_and(|key| key != address));
        assert_ne!(key(address, first), key(address, second));
        assert_eq!([ImageId::UNKNOWN, ImageId::NOWHERE].map(|image| key(address, image)), [None, None]);
        assert_eq!(key(usize::MAX - 7, first), None);
    }

    #[test]
    fn two_of_one_hash_are_both_kept() {
        let first = 0x7777_0000_0000;
        let alike: Vec<usize> = (first..).filter(|&address| index(address) == index(first)).take(3).collect();
        let rules = [8, 16, 24].map(|offset| Rule::frame(Cfa::StackPointer(offset), None));
        let kept_rules = || alike.iter().map(|&address| kept(address).map(Kept::rule)).collect::<Vec<_>>();
        keep(alike[0], rules[0]);
        keep(alike[1], rules[1]);
        assert_eq!(kept_rules(), [Some(rules[0]), Some(rules[1]), None]);
        keep(alike[1], rules[1]);
        assert_eq!(kept_rules(), [Some(rules[0]), Some(rules[1]), None], "nobody is driven out by oneself");
        keep(alike[2], rules[2]);
        assert_eq!(kept_rules(), [None, Some(rules[1]), Some(rules[2])]);
    }
}

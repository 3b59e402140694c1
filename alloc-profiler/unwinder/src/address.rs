//! An address of code, as a walk finds it, tells where it is, which image it was in, and whether a call or an
//! interrupted instruction is meant.
//!
//! The three fit in a word, so a stack takes a word for each frame. No program has memory at addresses whose upper 16
//! bits are other than those that the kernel's half or an empty half has, so those bits are free for the image and the kind.

use std::fmt;

use crate::images::ImageId;

/// Where the image's number and the kind begin, where a word has room for them.
const UPPER_SHIFT: u32 = 48;
const HAS_UPPER: bool = usize::BITS == 64;
/// In the upper bits: the address is that of an instruction, not a return address.
const IS_INSTRUCTION: u16 = 1 << 15;

/// Holds an address of code as walks find it, in one word.
///
/// It is either a *return address*, which lies behind the call that the frame is waiting for, or the address of an
/// *instruction* that was interrupted before it ran, as by a signal. [`lookup`](Self::lookup) is what to look up in
/// symbols, debug information and unwind tables in either case.
///
/// An address in an image that may be unloaded says in which: see [`image`](Self::image).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct CodeAddress(usize);

impl CodeAddress {
    /// Returns an address right behind a call.
    #[inline(always)]
    #[must_use]
    pub const fn returning_to(address: usize) -> CodeAddress {
        CodeAddress(address)
    }

    /// The address of an instruction that has not run yet.
    #[inline(always)]
    #[must_use]
    pub const fn of_instruction(address: usize) -> CodeAddress {
        CodeAddress(with_upper(address, IS_INSTRUCTION))
    }

    /// The address itself, without what is said about it.
    #[inline(always)]
    #[must_use]
    pub const fn address(self) -> usize {
        match self.upper() {
            Some(_) => self.0 & LOWER,
            None => self.0,
        }
    }

    /// Whether it lies behind a call, and is not that of an interrupted instruction.
    #[must_use]
    pub const fn is_return_address(self) -> bool {
        !matches!(self.upper(), Some(upper) if upper & IS_INSTRUCTION != 0)
    }

    /// An address within the instruction that the frame is at: what symbols, lines and unwind tables are looked up by. A
    /// call may be the last instruction of its function, so that its return address is in the next one.
    #[inline(always)]
    #[must_use]
    pub const fn lookup(self) -> usize {
        match self.is_return_address() {
            // mutant: B7 return addresses are taken for calls
            true => self.address().saturating_sub(1),
            false => self.address(),
        }
    }

    /// The image that it was in when the stack was taken, if that may be unloaded. `None` stands for an image that stays:
    /// the program, the C library, the loader and the image that this crate is in.
    #[must_use]
    pub const fn image(self) -> Option<ImageId> {
        match self.upper() {
            Some(upper) => ImageId::of_number(upper & !IS_INSTRUCTION),
            None => None,
        }
    }

    /// Returns the address in the given image.
    #[must_use]
    pub const fn within(self, image: ImageId) -> CodeAddress {
        match self.upper() {
            Some(upper) => CodeAddress(self.0 & LOWER).with_kind(upper & IS_INSTRUCTION | image.number()),
            None => self,
        }
    }

    /// The word that it is kept as, for what stores it elsewhere in the same process.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> usize {
        self.0
    }

    /// Returns the address that has these [bits](Self::to_bits). Every word is some address.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: usize) -> CodeAddress {
        CodeAddress(bits)
    }

    /// The words of some addresses, which compare faster.
    #[inline(always)]
    #[must_use]
    pub const fn slice_to_bits(addresses: &[CodeAddress]) -> &[usize] {
        // SAFETY: an address is a transparent wrapper around a word.
        unsafe { std::slice::from_raw_parts(addresses.as_ptr().cast(), addresses.len()) }
    }

    const fn with_kind(self, upper: u16) -> CodeAddress {
        CodeAddress(with_upper(self.0, upper))
    }

    /// What is said about the address. `None`: these are the bits of an address that no program has, such as a walk may
    /// find where a stack was overwritten.
    #[inline(always)]
    const fn upper(self) -> Option<u16> {
        if !HAS_UPPER {
            return None;
        }
        let upper = (self.0 as u64 >> UPPER_SHIFT) as u16;
        if upper & !IS_INSTRUCTION <= ImageId::LAST_NUMBER { Some(upper) } else { None }
    }
}

/// The bits of an address that a program can have.
const LOWER: usize = if HAS_UPPER { ((1_u64 << UPPER_SHIFT) - 1) as usize } else { usize::MAX };

/// `address` with these upper bits; unchanged if it is not one that a program can have, or there is no room.
#[inline(always)]
const fn with_upper(address: usize, upper: u16) -> usize {
    if HAS_UPPER && address & !LOWER == 0 {
        address | ((upper as u64) << UPPER_SHIFT) as usize
    } else {
        address
    }
}

impl ImageId {
    /// `address`, an address in this image, where no program has memory: with the number of the image in the upper 16
    /// bits. So images that were at the same place one after the other have ranges of their own.
    #[must_use]
    pub const fn apart(self, address: usize) -> usize {
        with_upper(address, self.number())
    }
}

impl fmt::Debug for CodeAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_return_address() { "" } else { "at " };
        write!(formatter, "{kind}{:#x}", self.address())?;
        match self.image() {
            Some(image) => write!(formatter, " in {image:?}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_kind_and_image_are_kept_apart() {
        let address = 0x7000_0000_0123;
        let kinds = [
            (CodeAddress::returning_to(address), true, address - 1),
            (CodeAddress::of_instruction(address), false, address),
        ];
        for (plain, is_return_address, lookup) in kinds {
            let images = [
                ImageId::of_number(1),
                ImageId::of_number(77),
                Some(ImageId::UNKNOWN),
                Some(ImageId::NOWHERE),
            ];
            for image in images.into_iter().chain([None]) {
                let found = image.map_or(plain, |image| plain.within(image));
                assert_eq!((found.address(), found.image()), (address, image));
                assert_eq!((found.is_return_address(), found.lookup()), (is_return_address, lookup));
                assert_eq!(CodeAddress::from_bits(found.to_bits()), found);
                assert_eq!(CodeAddress::slice_to_bits(&[found, plain]), [found.to_bits(), plain.to_bits()]);
                assert_eq!(found == plain, image.is_none());
            }
        }
        assert_eq!(size_of::<CodeAddress>(), size_of::<usize>());
    }

    #[test]
    fn what_is_no_address_of_a_program_is_left_alone() {
        for garbage in [usize::MAX - 7, 1 << 63 | 0x7FFF << 48, 0x7FFF << 48] {
            for address in [CodeAddress::returning_to(garbage), CodeAddress::of_instruction(garbage)] {
                assert_eq!(address.within(ImageId::UNKNOWN), address);
                assert_eq!((address.address(), address.image()), (garbage, None));
            }
        }
        assert_eq!(CodeAddress::returning_to(0).lookup(), 0);
    }

    #[test]
    fn it_is_printed_with_what_it_says() {
        let image = ImageId::of_number(3).unwrap();
        assert_eq!(format!("{:?}", CodeAddress::returning_to(0x1234)), "0x1234");
        assert_eq!(
            format!("{:?}", CodeAddress::of_instruction(0x1234).within(image)),
            "at 0x1234 in image 3"
        );
        assert_eq!(image.apart(0x1234), 3 << 48 | 0x1234);
    }
}

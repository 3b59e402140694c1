//! On aarch64 a call puts the return address into a register, x30. A function that calls others saves it anywhere in its frame,
//! as a rule beside the caller's frame pointer, x29, which its own then points to. A leaf may leave it in the register.
//!
//! Where a program is built with pointer authentication, a function signs its return address before it saves it: the upper bits
//! are a signature then, and its tables say so. The branch targets that such programs mark (BTI) change nothing for a walk.

use gimli::{AArch64, Register, RegisterRule, Vendor};

use super::{Here, SignalFrame};

pub(in crate::by_tables) const STACK_POINTER: Register = AArch64::SP;
pub(in crate::by_tables) const FRAME_POINTER: Register = AArch64::X29;
/// Where the instruction pointer of a caller is, by tables.
pub(in crate::by_tables) const RETURN_ADDRESS: Register = AArch64::X30;
/// Whose instructions tables may have.
pub(in crate::by_tables) const VENDOR: Vendor = Vendor::AArch64;

/// As many registers as most functions save: x19 to x30, and whether the return address is signed.
pub(in crate::by_tables) const FEW: usize = 13;
/// As many registers as functions save, the lower halves of eight vector registers included, and more.
pub(in crate::by_tables) const ALL: usize = 40;

/// Addresses of programs have so many bits, unless a program asks the kernel for larger ones.
pub(in crate::by_tables) const ADDRESS_BITS: u32 = 48;

pub(in crate::by_tables) const SIGNAL_FRAME: SignalFrame = SignalFrame {
    // mov x8, #139; svc #0
    trampoline: &[0x68, 0x11, 0x80, 0xD2, 0x01, 0, 0, 0xD4],
    // A `siginfo_t` of 128 bytes is there, then a `ucontext_t`, whose registers begin at 184.
    instruction_pointer: 128 + 184 + 8 * 32,
    stack_pointer: 128 + 184 + 8 * 31,
    frame_pointer: 128 + 184 + 8 * 29,
    link: Some(128 + 184 + 8 * 30),
};

/// Where a function keeps its return address on the stack, and whether it is signed. Bits 52 to 62 are the distance below the
/// CFA, in words beyond the first; bit 63 says that it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::by_tables) struct ReturnAddress(u64);

const DISTANCE_SHIFT: u32 = 52;
const MAX_WORDS_BEYOND: u64 = (1 << 11) - 1;
const IS_SIGNED: u64 = 1 << 63;

impl ReturnAddress {
    /// It is right below the CFA, and not signed.
    pub(in crate::by_tables) const BELOW_CFA: ReturnAddress = ReturnAddress(0);

    /// It is kept `offset` bytes from the CFA. `None`: that cannot be, or the distance does not fit.
    pub(in crate::by_tables) fn at(offset: i64, is_signed: bool) -> Option<ReturnAddress> {
        let distance = u64::try_from(offset.checked_neg()?).ok()?;
        let words_beyond = (distance / 8).checked_sub(1).filter(|&words| words <= MAX_WORDS_BEYOND)?;
        let signed = if is_signed { IS_SIGNED } else { 0 };
        distance.is_multiple_of(8).then_some(ReturnAddress(words_beyond << DISTANCE_SHIFT | signed))
    }

    /// Bits that are free in a packed rule.
    pub(in crate::by_tables) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(in crate::by_tables) fn of_bits(packed: u64) -> ReturnAddress {
        ReturnAddress(packed & (IS_SIGNED | MAX_WORDS_BEYOND << DISTANCE_SHIFT))
    }

    /// How far below the CFA it is, in bytes.
    #[inline(always)]
    pub(in crate::by_tables) fn distance(self) -> usize {
        ((self.0 >> DISTANCE_SHIFT & MAX_WORDS_BEYOND) as usize).wrapping_add(1).wrapping_mul(8)
    }

    /// The address, from the word that is kept.
    #[inline(always)]
    pub(in crate::by_tables) fn address(self, word: usize) -> usize {
        if self.0 & IS_SIGNED != 0 { without_signature(word) } else { word }
    }
}

/// The register that holds the return address at a function's beginning, and in a leaf. It is known of our own function and of
/// interrupted ones; every call on the way out has written over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::by_tables) struct Link(usize);

impl Link {
    pub(in crate::by_tables) const UNKNOWN: Link = Link(0);

    #[inline(always)]
    pub(in crate::by_tables) fn of(value: usize) -> Link {
        Link(value)
    }

    pub(in crate::by_tables) fn value(self) -> Option<usize> {
        (self.0 != 0).then_some(self.0)
    }
}

/// The value of a register that is neither the stack pointer nor the frame pointer, if a walk follows it.
pub(in crate::by_tables) fn other_register(
    number: Register,
    _instruction_pointer: usize,
    link: Link,
) -> Option<usize> {
    if number == RETURN_ADDRESS { link.value() } else { None }
}

/// How many bytes lie between what the frame pointer of a function points to and the CFA: it points to where the caller's is
/// saved, at `saved_frame_pointer` from the CFA.
#[inline(always)]
pub(in crate::by_tables) fn frame_bytes(saved_frame_pointer: i16) -> usize {
    (saved_frame_pointer as isize).wrapping_neg() as usize
}

/// Whether tables say that the return address is signed. `rule_of` yields what they say of a register.
pub(in crate::by_tables) fn is_signed(rule_of: impl Fn(Register) -> RegisterRule<usize>) -> bool {
    matches!(rule_of(AArch64::RA_SIGN_STATE), RegisterRule::Constant(state) if state & 1 != 0)
}

/// The address of a return address that may be signed. The signature is in the bits that no address of a program has.
#[inline(always)]
pub(in crate::by_tables) fn without_signature(word: usize) -> usize {
    word & ((1 << ADDRESS_BITS) - 1)
}

/// The registers of the function that this is inlined into.
#[inline(always)]
pub(in crate::by_tables) fn here() -> Here {
    let (instruction_pointer, stack_pointer, frame_pointer, link): (usize, usize, usize, usize);
    // SAFETY: it copies four registers, and touches no memory and no flags.
    unsafe {
        std::arch::asm!(
            "adr {instruction_pointer}, .",
            "mov {stack_pointer}, sp",
            "mov {frame_pointer}, x29",
            "mov {link}, x30",
            instruction_pointer = out(reg) instruction_pointer,
            stack_pointer = out(reg) stack_pointer,
            frame_pointer = out(reg) frame_pointer,
            link = out(reg) link,
            options(nomem, nostack, preserves_flags),
        );
    }
    Here { instruction_pointer, stack_pointer, frame_pointer, link: Link(link) }
}

/// A system call with four arguments. Returns what the kernel does: an error is a small negative number. It does not go through
/// the C library, whose wrapper would touch what the call is asked about, and whose `errno` would have to be found by a
/// thread-local first.
///
/// # Safety
///
/// What the call does is safe for these arguments.
pub(in crate::by_tables) unsafe fn system_call(number: libc::c_long, arguments: [usize; 4]) -> isize {
    let [first, second, third, fourth] = arguments;
    let answer: isize;
    // SAFETY: the caller's promise; the kernel changes no register but `x0`.
    unsafe {
        std::arch::asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") first => answer,
            in("x1") second,
            in("x2") third,
            in("x3") fourth,
            options(nostack),
        );
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_address_is_found_where_it_was_said_to_be() {
        assert_eq!(ReturnAddress::at(-8, false), Some(ReturnAddress::BELOW_CFA));
        for (offset, is_signed) in [(-8, false), (-24, true), (-16, false), (-16384, true)] {
            let kept = ReturnAddress::at(offset, is_signed).unwrap();
            // The bits of a packed rule beside them mean something else.
            assert_eq!(ReturnAddress::of_bits(kept.to_bits() | ((1 << DISTANCE_SHIFT) - 1)), kept);
            assert_eq!(kept.distance(), -offset as usize);
            let signed = 0x00ab_7f12_3456_7890;
            assert_eq!(kept.address(signed), if is_signed { 0x7f12_3456_7890 } else { signed });
        }
        for offset in [0, 8, -4, -12, -16392, i64::MIN] {
            assert_eq!(ReturnAddress::at(offset, false), None, "{offset}");
        }
    }
}

//! On x86-64 a call puts the return address on the stack, right below the CFA.

use gimli::{Register, RegisterRule, Vendor, X86_64};

use super::{Here, SignalFrame};

pub(in crate::by_tables) const STACK_POINTER: Register = X86_64::RSP;
pub(in crate::by_tables) const FRAME_POINTER: Register = X86_64::RBP;
/// Where the instruction pointer of a caller is, by tables.
pub(in crate::by_tables) const RETURN_ADDRESS: Register = X86_64::RA;
/// Whose instructions tables may have.
pub(in crate::by_tables) const VENDOR: Vendor = Vendor::Default;

/// As many registers as functions save: six and the return address, by their calling convention.
pub(in crate::by_tables) const FEW: usize = 8;
/// As many registers as signals save: every one.
pub(in crate::by_tables) const ALL: usize = 20;

/// Addresses of programs have so many bits.
pub(in crate::by_tables) const ADDRESS_BITS: u32 = 47;

pub(in crate::by_tables) const SIGNAL_FRAME: SignalFrame = SignalFrame {
    // mov rax, 15; syscall
    trampoline: &[0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05],
    // A `ucontext_t` is there.
    instruction_pointer: 168,
    stack_pointer: 160,
    frame_pointer: 120,
    link: None,
};

/// Where a function keeps its return address: right below the CFA, in any function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::by_tables) struct ReturnAddress;

impl ReturnAddress {
    pub(in crate::by_tables) const BELOW_CFA: ReturnAddress = ReturnAddress;

    /// It is kept `offset` bytes from the CFA. `None`: that cannot be.
    pub(in crate::by_tables) fn at(offset: i64, _is_signed: bool) -> Option<ReturnAddress> {
        (offset == -8).then_some(ReturnAddress)
    }

    /// Bits that are free in a packed rule.
    pub(in crate::by_tables) fn to_bits(self) -> u64 {
        0
    }

    #[inline(always)]
    pub(in crate::by_tables) fn of_bits(_packed: u64) -> ReturnAddress {
        ReturnAddress
    }

    /// How far below the CFA it is, in bytes.
    #[inline(always)]
    pub(in crate::by_tables) fn distance(self) -> usize {
        8
    }

    /// The address, from the word that is kept.
    #[inline(always)]
    pub(in crate::by_tables) fn address(self, word: usize) -> usize {
        word
    }
}

/// The register that holds the return address at a function's beginning. There is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::by_tables) struct Link;

impl Link {
    pub(in crate::by_tables) const UNKNOWN: Link = Link;

    #[inline(always)]
    pub(in crate::by_tables) fn of(_value: usize) -> Link {
        Link
    }

    pub(in crate::by_tables) fn value(self) -> Option<usize> {
        None
    }
}

/// The value of a register that is neither the stack pointer nor the frame pointer, if a walk follows it.
pub(in crate::by_tables) fn other_register(
    number: Register,
    instruction_pointer: usize,
    _link: Link,
) -> Option<usize> {
    (number == RETURN_ADDRESS).then_some(instruction_pointer)
}

/// How many bytes lie between what the frame pointer of a function points to and the CFA: the return address, and the caller's
/// frame pointer, which the function pushes first and then makes the frame pointer point to.
#[inline(always)]
pub(in crate::by_tables) fn frame_bytes(_saved_frame_pointer: i16) -> usize {
    16
}

/// Whether tables say that the return address is signed. `rule_of` yields what they say of a register.
pub(in crate::by_tables) fn is_signed(_rule_of: impl Fn(Register) -> RegisterRule<usize>) -> bool {
    false
}

/// The address of a return address that may be signed.
pub(in crate::by_tables) fn without_signature(word: usize) -> usize {
    word
}

/// The registers of the function that this is inlined into.
#[inline(always)]
pub(in crate::by_tables) fn here() -> Here {
    let (instruction_pointer, stack_pointer, frame_pointer): (usize, usize, usize);
    // SAFETY: it copies three registers, and touches no memory and no flags.
    unsafe {
        std::arch::asm!(
            "lea {instruction_pointer}, [rip]",
            "mov {stack_pointer}, rsp",
            "mov {frame_pointer}, rbp",
            instruction_pointer = out(reg) instruction_pointer,
            stack_pointer = out(reg) stack_pointer,
            frame_pointer = out(reg) frame_pointer,
            options(nomem, nostack, preserves_flags),
        );
    }
    Here { instruction_pointer, stack_pointer, frame_pointer, link: Link }
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
    // SAFETY: the caller's promise; the kernel changes `rcx` and `r11` beside `rax`.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

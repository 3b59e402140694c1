//! How the word is reached on aarch64: the thread pointer is in `tpidr_el0`.

use std::arch::asm;

#[inline(always)]
pub(in crate::label) fn load() -> u64 {
    let word: u64;
    // SAFETY: the word is there as long as the thread runs, at that distance from its thread pointer, and nobody else writes it.
    // A task may go on in another thread, so the compiler must not take two loads for one: the block is not `pure`.
    unsafe {
        asm!(
            concat!("adrp {word}, :gottprel:", name!()),
            concat!("ldr {word}, [{word}, :gottprel_lo12:", name!(), "]"),
            "mrs {thread_pointer}, tpidr_el0",
            "ldr {word}, [{thread_pointer}, {word}]",
            word = out(reg) word,
            thread_pointer = out(reg) _,
            options(nostack, readonly, preserves_flags),
        );
    }
    word
}

#[inline(always)]
pub(in crate::label) fn store(label: u32) {
    // SAFETY: the word is there, as `load` says. One instruction writes all of the label, so a signal handler finds the old one or the new one.
    unsafe {
        asm!(
            concat!("adrp {place}, :gottprel:", name!()),
            concat!("ldr {place}, [{place}, :gottprel_lo12:", name!(), "]"),
            "mrs {thread_pointer}, tpidr_el0",
            "str {label:w}, [{thread_pointer}, {place}]",
            place = out(reg) _,
            thread_pointer = out(reg) _,
            label = in(reg) label,
            options(nostack, preserves_flags),
        );
    }
}

/// Notes the number of the calling thread, and returns where the word is.
pub(super) fn note(thread_id: u32) -> usize {
    let address: usize;
    // SAFETY: the word is there, as `load` says. The last instruction writes the upper half, which nobody else does.
    unsafe {
        asm!(
            concat!("adrp {place}, :gottprel:", name!()),
            concat!("ldr {place}, [{place}, :gottprel_lo12:", name!(), "]"),
            "mrs {thread_pointer}, tpidr_el0",
            "add {place}, {thread_pointer}, {place}",
            "str {thread_id:w}, [{place}, #4]",
            place = out(reg) address,
            thread_pointer = out(reg) _,
            thread_id = in(reg) thread_id,
            options(nostack, preserves_flags),
        );
    }
    address
}

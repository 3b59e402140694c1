//! How the word is reached on x86-64: the thread pointer is in `fs`, and the word that it points to is the thread pointer itself.

use std::arch::asm;

#[inline(always)]
pub(in crate::label) fn load() -> u64 {
    let word: u64;
    // SAFETY: the word is there as long as the thread runs, at that distance from its thread pointer, and nobody else writes it.
    // A task may go on in another thread, so the compiler must not take two loads for one: the block is not `pure`.
    unsafe {
        asm!(
            concat!("mov {word}, qword ptr [rip + ", name!(), "@GOTTPOFF]"),
            "mov {word}, qword ptr fs:[{word}]",
            word = out(reg) word,
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
            concat!("mov {place}, qword ptr [rip + ", name!(), "@GOTTPOFF]"),
            "mov dword ptr fs:[{place}], {label:e}",
            place = out(reg) _,
            label = in(reg) label,
            options(nostack, preserves_flags),
        );
    }
}

/// Notes the number of the calling thread, and returns where the word is.
pub(super) fn note(thread_id: u32) -> usize {
    let address: usize;
    // SAFETY: the word is there, as `load` says; the thread pointer is the first word that it points to, which the platform
    // promises. The instruction writes the upper half, which nobody else does.
    unsafe {
        asm!(
            concat!("mov {place}, qword ptr [rip + ", name!(), "@GOTTPOFF]"),
            "mov dword ptr fs:[{place} + 4], {thread_id:e}",
            "add {place}, qword ptr fs:[0]",
            place = out(reg) address,
            thread_id = in(reg) thread_id,
            options(nostack),
        );
    }
    address
}

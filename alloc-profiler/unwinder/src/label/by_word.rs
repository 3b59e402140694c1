//! The word of a thread has its number in the kernel in the upper half, and its label in the lower one. It is 0 until the first
//! label.
//!
//! The standard library's thread-locals will not do: in a library that was opened at run time, they are reached by a call that
//! may allocate, which a signal handler must not make. So the word is declared in assembly, and reached by its distance
//! from the thread pointer, which the loader fixes when it loads us ("initial exec"). The C library keeps room for some hundred
//! such bytes of libraries that are opened later.

use std::arch::{asm, global_asm};

use super::threads;

/// Names the word. Two versions of this crate may be in one program, and each has a word of its own.
macro_rules! name {
    () => {
        concat!(
            "unwinder_label_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}

// It is weak, so that two copies of this version can be linked, and hidden, because it is nobody else's.
global_asm!(
    concat!(".pushsection .tbss.", name!(), ",\"awT\",@nobits"),
    concat!(".weak ", name!()),
    concat!(".hidden ", name!()),
    concat!(".type ", name!(), ",@object"),
    concat!(".size ", name!(), ",8"),
    ".balign 8",
    concat!(name!(), ":"),
    ".zero 8",
    ".popsection",
);

#[inline(always)]
pub(super) fn load() -> u64 {
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
pub(super) fn store(label: u32) {
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

/// Notes the number of the calling thread in its word, and where the word is.
#[cold]
#[inline(never)]
pub(super) fn meet_thread() {
    // SAFETY: it asks for a number.
    let thread_id = unsafe { libc::gettid() } as u32;
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
    threads::add(thread_id, address);
}

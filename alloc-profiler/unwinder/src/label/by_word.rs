//! The word of a thread has its number in the kernel in the upper half, and its label in the lower one. It is 0 until the first
//! label.
//!
//! The standard library's thread-locals will not do: in a library that was opened at run time, they are reached by a call that
//! may allocate, which a signal handler must not make. So the word is declared in assembly, and reached by its distance
//! from the thread pointer, which the loader fixes when it loads us ("initial exec"). The C library keeps room for some hundred
//! such bytes of libraries that are opened later.

use std::arch::global_asm;

use super::threads;
#[cfg(target_arch = "aarch64")]
use aarch64 as access;
pub(super) use access::{load, store};
#[cfg(target_arch = "x86_64")]
use x86_64 as access;

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

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

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

/// Notes the number of the calling thread in its word, and where the word is.
#[cold]
#[inline(never)]
pub(super) fn meet_thread() {
    // SAFETY: it asks for a number.
    let thread_id = unsafe { libc::gettid() } as u32;
    threads::add(thread_id, access::note(thread_id));
}

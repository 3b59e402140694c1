//! The stack of a thread that sleeps, from a copy: a library that could be closed meanwhile is not looked into.
//!
//! On aarch64 a copy does not have the return address of the innermost function, which is in a register.
#![cfg(all(by_tables, target_arch = "x86_64"))]

use std::hint::black_box;

use unwinder::{StackCopy, capture_sleeping, prepare, room};

/// Stands for the function that called the one in which the thread sleeps.
#[inline(never)]
fn caller(number: usize) -> usize {
    black_box(number).wrapping_mul(3)
}

/// Walks from the first instruction of the function `name`, which has been called by [`caller`]. Returns the addresses of the frames,
/// leaf first, whether the walk is cut, and whether it is certain.
fn walk_from_entry_of(name: &std::ffi::CStr) -> (Vec<usize>, bool, bool) {
    prepare();
    // SAFETY: the name is a terminated string.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.expose_provenance();
    assert_ne!(function, 0, "{name:?} is in a library that this program is linked with");
    // At a function's first instruction, the stack pointer points to the return address. The words above lead to nothing.
    let mut words = [0; 64];
    words[0] = caller as *const () as usize + 1;
    // Nothing but the copy is read, so the stack itself may be anywhere.
    let stack = StackCopy { start: 0x7000_0000_0000, words: &words };
    let mut room = room();
    let (walk, is_certain) = capture_sleeping(&mut room, function, stack);
    let frames: Vec<usize> = walk.frames().iter().rev().map(|frame| frame.address()).collect();
    assert_eq!(frames.first(), Some(&function));
    (frames, walk.is_cut(), is_certain)
}

#[test]
fn a_library_that_may_be_closed_is_not_looked_into() {
    black_box(caller(1));
    // The C library stays as long as the program does, so its function's caller is found.
    let (frames, ..) = walk_from_entry_of(c"getpid");
    assert!(frames.len() >= 2, "{frames:?}");
    assert_eq!(frames[1], caller as *const () as usize + 1);
    // The runtime of GCC is a library like any other.
    let (frames, is_cut, is_certain) = walk_from_entry_of(c"_Unwind_Backtrace");
    assert_eq!((frames.len(), is_cut, is_certain), (1, true, false));
}

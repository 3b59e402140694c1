//! D5: functions that no unwind tables describe, such as assembly and C compiled without them. Callers beyond such a
//! function are found by its frame pointer if that is certain to be one. Otherwise the stack ends there, and that is
//! counted. No frame is ever passed by.

use std::arch::global_asm;
use std::hint::black_box;

use alloc_profiler::{Snapshot, StackTotals, set_sampling_interval, snapshot};

use crate::harness::isolated;

// These functions have no tables, and lie one after the other. Those that take an argument call it; `calls_frameless`
// has `frameless` do so.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".text",
    ".globl begins_early, framed, frameless, framed_late, calls_frameless, ends",
    ".hidden begins_early, framed, frameless, framed_late, calls_frameless, ends",
    "begins_early:",
    "nop",
    "framed:",
    "endbr64",
    "push rbp",
    "mov rbp, rsp",
    "sub rsp, 0x150",
    "call rdi",
    "leave",
    "ret",
    // It calls `frameless`, which keeps no frame pointer: what the frame pointer leads to is beyond both.
    "calls_frameless:",
    "push rbp",
    "mov rbp, rsp",
    "push rbx",
    "sub rsp, 8",
    "call frameless",
    "add rsp, 8",
    "pop rbx",
    "pop rbp",
    "ret",
    "frameless:",
    "sub rsp, 0x28",
    "call rdi",
    "add rsp, 0x28",
    "ret",
    // Other instructions stand before and between.
    "framed_late:",
    "xor eax, eax",
    "push rbp",
    "mov edx, 7",
    "mov rbp, rsp",
    "call rdi",
    "pop rbp",
    "ret",
    "ends:",
    "ret",
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".text",
    ".balign 4",
    ".globl begins_early, framed, frameless, framed_late, calls_frameless, ends",
    ".hidden begins_early, framed, frameless, framed_late, calls_frameless, ends",
    "begins_early:",
    "nop",
    // As GCC does it: what is saved is at the lower end of the frame.
    "framed:",
    "hint #34", // bti c
    "stp x29, x30, [sp, #-352]!",
    "mov x29, sp",
    "blr x0",
    "ldp x29, x30, [sp], #352",
    "ret",
    // It calls `frameless`, which keeps no frame pointer: what the frame pointer leads to is beyond both.
    "calls_frameless:",
    "stp x29, x30, [sp, #-32]!",
    "mov x29, sp",
    "str x19, [sp, #16]",
    "bl frameless",
    "ldr x19, [sp, #16]",
    "ldp x29, x30, [sp], #32",
    "ret",
    "frameless:",
    "str x30, [sp, #-48]!",
    "blr x0",
    "ldr x30, [sp], #48",
    "ret",
    // Other instructions stand before and between. As LLVM does it: what is saved is at the upper end of the frame.
    "framed_late:",
    "mov x1, #0",
    "sub sp, sp, #48",
    "mov x2, #7",
    "stp x29, x30, [sp, #32]",
    "add x29, sp, #32",
    "blr x0",
    "ldp x29, x30, [sp, #32]",
    "add sp, sp, #48",
    "ret",
    "ends:",
    "ret",
);

unsafe extern "C" {
    safe fn begins_early();
    safe fn framed(function: extern "C" fn());
    safe fn frameless(function: extern "C" fn());
    safe fn framed_late(function: extern "C" fn());
    safe fn calls_frameless(function: extern "C" fn());
    safe fn ends();
}

/// No other block is as large, in bytes.
const BYTES: usize = 123_456;

extern "C" fn leak() {
    std::mem::forget(black_box(vec![1_u8; BYTES]));
}

/// A function of ours is shorter than this, in bytes.
const FUNCTION_BYTES: usize = 4096;

#[inline(never)]
fn calls_framed() {
    framed(leak);
    black_box(());
}

#[inline(never)]
fn calls_framed_late() {
    framed_late(leak);
    black_box(());
}

#[inline(never)]
fn calls_both() {
    calls_frameless(leak);
    black_box(());
}

#[inline(never)]
fn calls_by_pointer() {
    black_box(framed as extern "C" fn(extern "C" fn()))(leak);
    black_box(());
}

/// Returns the stack on which `work` leaks, and how many stacks were cut meanwhile.
fn stack_of(work: fn()) -> (Vec<usize>, u64) {
    let before = snapshot();
    work();
    let growth: Snapshot = snapshot().since(&before);
    let is_ours = |stack: &&StackTotals| {
        stack.by_size.iter().any(|size| size.totals.alloc_samples > 0 && size.size_class >= BYTES as u64)
    };
    let stack = growth.stacks.iter().find(is_ours).expect("it was sampled");
    let addresses = stack.trace.frames.iter().map(|frame| frame.address()).collect();
    assert_eq!(growth.dropped.no_stack, 0);
    (addresses, growth.dropped.cut_stacks)
}

fn is_within(address: usize, function: usize) -> bool {
    (function..function + FUNCTION_BYTES).contains(&address)
}

fn is_without_tables(address: usize) -> bool {
    (begins_early as extern "C" fn() as usize..ends as extern "C" fn() as usize).contains(&address)
}

#[test]
fn verified_frame_pointers_lead_on() {
    isolated(1, || {
        set_sampling_interval(1);
        for (work, function) in [
            (calls_framed as fn(), calls_framed as fn() as usize),
            (calls_framed_late, calls_framed_late as fn() as usize),
        ] {
            // Frame pointers are followed at first because there are no tables, and then by the rule that was kept.
            for _ in 0..3 {
                let (stack, cut) = stack_of(work);
                assert_eq!(cut, 0);
                let at = stack.iter().position(|&address| is_without_tables(address)).expect("it is there");
                assert!(is_within(stack[at + 1], function), "{stack:x?}");
                assert!(stack.len() > at + 4, "down to the thread's first function: {stack:x?}");
            }
        }
    });
}

#[test]
fn what_is_not_verified_ends_a_stack_and_is_counted() {
    isolated(1, || {
        set_sampling_interval(1);
        let direct = || {
            frameless(leak);
            black_box(());
        };
        for work in [calls_both as fn(), calls_by_pointer, direct] {
            for _ in 0..3 {
                let (stack, cut) = stack_of(work);
                assert_eq!(cut, 1);
                let last = *stack.last().expect("not empty");
                assert!(is_without_tables(last), "{stack:x?}");
                let blind = stack.iter().filter(|&&address| is_without_tables(address)).count();
                assert_eq!(blind, 1, "{stack:x?}");
            }
        }
    });
}

#[test]
fn whole_stacks_are_not_counted() {
    isolated(1, || {
        set_sampling_interval(1);
        let (stack, cut) = stack_of(|| leak());
        assert!(stack.len() > 4 && cut == 0, "{cut}");
        std::thread::spawn(|| assert_eq!(stack_of(|| leak()).1, 0)).join().expect("no panic");
        let all = snapshot().dropped;
        assert_eq!((all.cut_stacks, all.no_stack), (0, 0), "from the very first allocation on");
    });
}

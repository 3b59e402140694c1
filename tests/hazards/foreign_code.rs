//! A7: code that unwind tables do not describe, and stacks that are not the thread's own.

use std::arch::global_asm;
#[cfg(target_env = "gnu")]
use std::cell::Cell;
use std::hint::black_box;
use std::panic::{self, AssertUnwindSafe};
use std::{io, mem, ptr, thread};

use alloc_profiler::{ImageId, Snapshot, Totals, set_sampling_interval, size_class, snapshot};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};

use crate::harness::{assert_consistent, isolated};

#[inline(never)]
extern "C" fn allocate() {
    for n in 0..100 {
        drop(black_box(vec![1_u8; n + 1]));
    }
}

// Each calls its second argument with the first for a frame pointer. `blind` has no unwind tables. `lying` has tables
// that say that its caller's frame is where the frame pointer points.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".text",
    ".globl with_frame_pointer_blind, with_frame_pointer_lying",
    ".hidden with_frame_pointer_blind, with_frame_pointer_lying",
    "with_frame_pointer_blind:",
    "push rbp",
    "mov rbp, rdi",
    "call rsi",
    "pop rbp",
    "ret",
    "with_frame_pointer_lying:",
    ".cfi_startproc",
    "push rbp",
    "mov rbp, rdi",
    ".cfi_def_cfa rbp, 16",
    ".cfi_offset rbp, -16",
    "call rsi",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".text",
    ".balign 4",
    ".globl with_frame_pointer_blind, with_frame_pointer_lying",
    ".hidden with_frame_pointer_blind, with_frame_pointer_lying",
    "with_frame_pointer_blind:",
    "stp x29, x30, [sp, #-16]!",
    "mov x29, x0",
    "blr x1",
    "ldp x29, x30, [sp], #16",
    "ret",
    "with_frame_pointer_lying:",
    ".cfi_startproc",
    "stp x29, x30, [sp, #-16]!",
    "mov x29, x0",
    ".cfi_def_cfa x29, 16",
    ".cfi_offset x29, -16",
    ".cfi_offset x30, -8",
    "blr x1",
    "ldp x29, x30, [sp], #16",
    ".cfi_def_cfa sp, 0",
    ".cfi_restore x29",
    ".cfi_restore x30",
    "ret",
    ".cfi_endproc",
);

/// Code that calls its argument.
#[cfg(target_arch = "x86_64")]
// sub rsp, 8; call rdi; add rsp, 8; ret
const CALLS: [u8; 11] = [0x48, 0x83, 0xEC, 8, 0xFF, 0xD7, 0x48, 0x83, 0xC4, 8, 0xC3];
#[cfg(target_arch = "aarch64")]
// stp x29, x30, [sp, -16]!; blr x0; ldp x29, x30, [sp], 16; ret
const CALLS: [u32; 4] = [0xA9BF_7BFD, 0xD63F_0000, 0xA8C1_7BFD, 0xD65F_03C0];

unsafe extern "C" {
    safe fn with_frame_pointer_blind(value: usize, function: extern "C" fn());
    safe fn with_frame_pointer_lying(value: usize, function: extern "C" fn());
}

fn counted(work: impl FnOnce()) -> f64 {
    let before = snapshot();
    work();
    let after = snapshot();
    assert_consistent(&after);
    after.since(&before).totals().alloc_objects
}

#[test]
fn frame_pointers_may_be_anything() {
    isolated(1, || {
        set_sampling_interval(1);
        let here = 0_usize;
        let page = pages(libc::PROT_NONE, 1).addr();
        let values =
            [0, 1, 8, usize::MAX, usize::MAX - 7, 0x4141_4141_4141_4141, page, (&raw const here).addr()];
        // This frame pointer points at itself.
        let mut circle = [0_usize; 2];
        circle[0] = (&raw const circle).addr();
        let start = black_box(&circle)[0];
        for value in values.into_iter().chain([start]) {
            for call in [with_frame_pointer_blind, with_frame_pointer_lying] {
                assert!(counted(|| call(value, allocate)) >= 100.0);
            }
        }
    });
}

/// Maps fresh pages.
fn pages(protection: libc::c_int, count: usize) -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the mapping is at an address of the system's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), count * 4096, protection, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "{}", io::Error::last_os_error());
    start.cast()
}

#[test]
fn code_may_have_no_unwind_tables() {
    isolated(1, || {
        set_sampling_interval(1);
        let code = pages(libc::PROT_READ | libc::PROT_WRITE, 1);
        // SAFETY: the page is ours; what is written is a function of this type, and made executable.
        let call = unsafe {
            ptr::copy_nonoverlapping(CALLS.as_ptr().cast(), code, size_of_val(&CALLS));
            assert_eq!(libc::mprotect(code.cast(), 4096, libc::PROT_READ | libc::PROT_EXEC), 0);
            mem::transmute::<*mut u8, extern "C" fn(extern "C" fn())>(code)
        };
        let before = snapshot();
        assert!(counted(|| call(allocate)) >= 100.0);
        let growth = snapshot().since(&before);
        // The stack is known as far as the generated code, and not beyond it.
        let known = growth.stacks.iter().filter(|stack| {
            let last = stack.trace.frames.last();
            last.is_some_and(|frame| {
                // Code that lies there later must not be taken for it.
                frame.image() == Some(ImageId::NOWHERE)
                    && (code.addr()..code.addr() + 4096).contains(&frame.address())
            })
        });
        assert!(known.count() > 0, "no stack ends in the generated code");
    });
}

#[cfg(target_env = "gnu")]
thread_local! {
    static MAIN: Cell<*mut libc::ucontext_t> = const { Cell::new(ptr::null_mut()) };
    static FIBER: Cell<*mut libc::ucontext_t> = const { Cell::new(ptr::null_mut()) };
}

#[cfg(target_env = "gnu")]
extern "C" fn fiber() {
    for _ in 0..3 {
        allocate();
        // SAFETY: both contexts are there until the fiber is over.
        unsafe { libc::swapcontext(FIBER.get(), MAIN.get()) };
    }
}

/// Runs `fiber` to its end on a stack of so many pages above one that nobody can read.
#[cfg(target_env = "gnu")]
fn run_fiber(stack_pages: usize) {
    let stack = pages(libc::PROT_READ | libc::PROT_WRITE, stack_pages + 1);
    // SAFETY: the pages are ours; contexts are filled in before they are used, and outlive the fiber.
    unsafe {
        assert_eq!(libc::mprotect(stack.cast(), 4096, libc::PROT_NONE), 0);
        let (mut main, mut context): (libc::ucontext_t, libc::ucontext_t) = (mem::zeroed(), mem::zeroed());
        MAIN.set(&raw mut main);
        FIBER.set(&raw mut context);
        assert_eq!(libc::getcontext(FIBER.get()), 0);
        (*FIBER.get()).uc_stack.ss_sp = stack.add(4096).cast();
        (*FIBER.get()).uc_stack.ss_size = stack_pages * 4096;
        (*FIBER.get()).uc_link = MAIN.get();
        libc::makecontext(FIBER.get(), fiber, 0);
        for _ in 0..4 {
            assert_eq!(libc::swapcontext(MAIN.get(), FIBER.get()), 0);
            allocate();
        }
    }
}

/// glibc alone has these calls.
#[cfg(target_env = "gnu")]
#[test]
fn fibers_may_allocate() {
    isolated(1, || {
        set_sampling_interval(1);
        thread::spawn(|| {
            for stack_pages in [3, 4, 8, 16, 64] {
                let counted = counted(|| run_fiber(stack_pages));
                assert!(counted >= 700.0, "{counted} on {stack_pages} pages");
            }
        })
        .join()
        .expect("no panic");
        assert!(snapshot().dropped.low_stack > 0, "three pages are too little");
        let deep = snapshot().stacks.iter().map(|stack| stack.trace.frames.len()).max();
        assert!(deep > Some(3));
    });
}

/// No other block here has this size.
const BYTES: usize = 20_000;

fn block() -> Vec<u8> {
    black_box(vec![1; BYTES])
}

/// Runs a fiber of a library. Each gets a block from whoever resumes it, and hands on one of its own.
type Fiber = Coroutine<Vec<u8>, Vec<u8>, (), DefaultStack>;

/// The message of a panic that is meant to happen.
const MEANT: &str = "meant";

/// A fiber takes part in so many rounds, if it is not ended before.
const ROUNDS: usize = 6;

/// The third way to end is to be dropped in the middle.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Return,
    Panic,
    Drop,
}

/// Makes a fiber. Every second round panics too, and catches that, all on the fiber's own stack.
fn new_fiber(end: End) -> Fiber {
    Fiber::with_stack(DefaultStack::new(256 << 10).expect("a stack"), move |fiber, given| {
        let mut held = vec![given];
        for round in 0..ROUNDS {
            held.push(block());
            if round % 2 == 0 {
                let caught = panic::catch_unwind(|| {
                    let _unwound = block();
                    panic::panic_any(MEANT);
                });
                caught.expect_err("it panics");
            }
            if end == End::Panic && round == ROUNDS - 2 {
                panic::panic_any(MEANT);
            }
            held.push(fiber.suspend(block()));
        }
    })
}

/// Runs fibers in turn, which free each other's blocks. Returns how many blocks there were.
fn run_fibers(count: usize) -> usize {
    let ends = [End::Return, End::Panic, End::Drop];
    let mut fibers: Vec<_> =
        ends.into_iter().cycle().take(count).map(|end| (end, Some(new_fiber(end)))).collect();
    let (mut handed_on, mut ours) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        for (end, place) in &mut fibers {
            let Some(fiber) = place else { continue };
            if *end == End::Drop && round == ROUNDS / 2 {
                // The blocks that it holds are freed while its stack is unwound.
                *place = None;
                continue;
            }
            let given = handed_on.pop().unwrap_or_else(|| {
                ours += 1;
                block()
            });
            match panic::catch_unwind(AssertUnwindSafe(|| fiber.resume(given))) {
                Ok(CoroutineResult::Yield(block)) => handed_on.push(block),
                Ok(CoroutineResult::Return(())) => assert!(*end == End::Return && round == ROUNDS),
                Err(_) => {
                    assert!(*end == End::Panic && round == ROUNDS - 2);
                    *place = None;
                }
            }
        }
    }
    // In each round a fiber gets one block to keep and one to hand on, and in every second round one more.
    let of_one = |end: End| match end {
        End::Return => 2 * ROUNDS + ROUNDS / 2,
        End::Drop => 2 * (ROUNDS / 2) + (ROUNDS / 2).div_ceil(2),
        End::Panic => 2 * (ROUNDS - 2) + (ROUNDS - 2) / 2 + 2,
    };
    ours + fibers.iter().map(|(end, _)| of_one(*end)).sum::<usize>()
}

#[test]
fn fibers_of_a_library_may_allocate() {
    isolated(2, || {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref() != Some(&MEANT) {
                hook(info);
            }
        }));
        set_sampling_interval(1);
        let before = snapshot();
        let on_threads: Vec<_> = (0..3).map(|_| thread::spawn(|| run_fibers(60))).collect();
        let blocks = run_fibers(60)
            + on_threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>();
        let after = snapshot();
        assert_consistent(&after);
        let growth = after.since(&before);
        let of_ours = |snapshot: &Snapshot, of: fn(&Totals) -> f64| -> f64 {
            let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size);
            sizes.filter(|size| size.size_class == size_class(BYTES)).map(|size| of(&size.totals)).sum()
        };
        assert_eq!(of_ours(&growth, |totals| totals.alloc_objects), blocks as f64);
        assert_eq!(of_ours(&growth, |totals| totals.inuse_objects), 0.0);
        assert_eq!(growth.dropped.low_stack, 0, "each had a stack to show");
    });
}

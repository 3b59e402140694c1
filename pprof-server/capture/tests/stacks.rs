//! Stacks that are short, and stacks that are no thread's: what is left of them when a signal comes, and where they end.
#![cfg(by_signals)]

mod common;

use std::arch::{asm, naked_asm};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::{Looking, burn, periods_in, stacks_in};

const PAGE_BYTES: usize = 4096;

/// Where the calling thread's stack begins: below it is the guard page.
fn lowest() -> usize {
    let mut low = ptr::null_mut();
    // SAFETY: it asks where this thread's stack is.
    unsafe {
        let mut attributes = std::mem::zeroed();
        let mut bytes = 0;
        assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &mut attributes), 0);
        assert_eq!(libc::pthread_attr_getstack(&attributes, &mut low, &mut bytes), 0);
        assert_eq!(libc::pthread_attr_destroy(&mut attributes), 0);
    }
    low.addr()
}

/// How long a thread works at the end of its stack.
const ROUNDS: u64 = 180_000_000;

/// Keeps the widest registers of AVX-512 filled, which the kernel writes into the record of a signal: 2 KiB more.
extern "C" fn with_zmm() {
    // SAFETY: the caller has asked whether the processor has these registers, all of which are told to be changed.
    unsafe {
        asm!(
            "vpternlogd zmm0, zmm0, zmm0, 255",
            "vmovdqa64 zmm15, zmm0",
            "vmovdqa64 zmm31, zmm0",
            "2:",
            "dec {rounds}",
            "jnz 2b",
            "vzeroupper",
            rounds = inout(reg) ROUNDS => _,
            out("zmm0") _, out("zmm15") _, out("zmm31") _,
            options(nostack),
        );
    }
}

/// Keeps the registers of AVX filled.
extern "C" fn with_ymm() {
    // SAFETY: the caller has asked for these registers too, and all that change are told.
    unsafe {
        asm!(
            "vcmpps ymm0, ymm0, ymm0, 15",
            "vmovaps ymm15, ymm0",
            "2:",
            "dec {rounds}",
            "jnz 2b",
            "vzeroupper",
            rounds = inout(reg) ROUNDS => _,
            out("ymm0") _, out("ymm15") _,
            options(nostack),
        );
    }
}

extern "C" fn with_general_registers() {
    // SAFETY: it counts down.
    unsafe { asm!("2:", "dec {rounds}", "jnz 2b", rounds = inout(reg) ROUNDS => _, options(nostack)) };
}

/// Threads of the standard library have a stack of 8 KiB for signals, on which the kernel writes the registers: with AVX-512 more
/// than a quarter of it. Of their own stack of 16 KiB, nearly nothing is left.
#[test]
fn wide_registers_leave_room_enough_at_the_end_of_a_stack() {
    let mut works: Vec<(&str, extern "C" fn())> = vec![("general", with_general_registers)];
    if is_x86_feature_detected!("avx") {
        works.push(("avx", with_ymm));
    }
    if is_x86_feature_detected!("avx512f") {
        works.push(("avx512", with_zmm));
    }
    // Whoever reads that this has passed is told with which registers.
    let widest = works.last().unwrap().0;
    println!("the widest registers of this machine: {widest}");
    for (name, work) in works {
        let looking = Looking::start(1000);
        for left in [1024, 512, 256] {
            let thread = thread::Builder::new().name(name.into()).stack_size(4 * PAGE_BYTES);
            let at_end = move || {
                let end = ptr::with_exposed_provenance_mut(lowest() + left);
                // SAFETY: this thread's own stack, so far down that nothing is there yet. `work` needs less than is left, and
                // does not unwind.
                unsafe { run_on(end, work) }
            };
            thread.spawn(at_end).unwrap().join().unwrap();
        }
        let samples = looking.finish();
        assert!(periods_in(&samples, "with_") > 60, "{name}: {samples:?}");
        assert_eq!(samples.leaf_only, 0, "{name}");
    }
}

/// A stack of its own for a fiber, between two pages that nobody may touch.
struct FiberStack(*mut u8);

const FIBER_BYTES: usize = 4 * PAGE_BYTES;

impl FiberStack {
    fn new() -> FiberStack {
        // SAFETY: a mapping of our own, of which all but the first and the last page becomes the stack.
        unsafe {
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start =
                libc::mmap(ptr::null_mut(), FIBER_BYTES + 2 * PAGE_BYTES, libc::PROT_NONE, kind, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let stack = start.byte_add(PAGE_BYTES);
            assert_eq!(libc::mprotect(stack, FIBER_BYTES, libc::PROT_READ | libc::PROT_WRITE), 0);
            FiberStack(start.cast())
        }
    }

    /// Runs `work` on it, and comes back.
    fn run(&self, work: extern "C" fn()) {
        // SAFETY: the end of a stack that nobody uses, and a function that does not unwind.
        unsafe { run_on(self.0.add(PAGE_BYTES + FIBER_BYTES), work) }
    }
}

impl Drop for FiberStack {
    fn drop(&mut self) {
        // SAFETY: the mapping of our own, on which nothing runs any more.
        assert_eq!(unsafe { libc::munmap(self.0.cast(), FIBER_BYTES + 2 * PAGE_BYTES) }, 0);
    }
}

/// Calls `work` with the stack pointer at `end`.
///
/// As the first function on a fiber's stack mostly is, it is not told to be the outermost: by the unwind tables, whoever called it
/// stands at the end of the stack, where nothing may be read.
///
/// # Safety
///
/// `end` is the end of a stack that nobody uses, aligned to 16 bytes, and `work` does not unwind.
#[unsafe(naked)]
unsafe extern "C" fn run_on(end: *mut u8, work: extern "C" fn()) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "mov rbx, rsp",
        "mov rsp, rdi",
        // A frame pointer that leads to nowhere.
        "mov rbp, rdi",
        ".cfi_startproc",
        "call rsi",
        ".cfi_endproc",
        "mov rsp, rbx",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

thread_local! {
    static FIBERS: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn burn_on_fiber() {
    burn(Duration::from_millis(3));
    FIBERS.with(|fibers| fibers.set(fibers.get() + 1));
}

/// Fibers come, work and go, stack and all, on threads that have a stack of their own. A walk must not go beyond the end of the
/// fiber's stack, where a guard page is.
#[test]
fn fibers_are_walked_to_the_end_of_their_own_stacks() {
    let looking = Looking::start(1000);
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // The list of threads has to meet this one, so that what is known of its stack can be wrong.
                burn(Duration::from_millis(120));
                for _ in 0..100 {
                    FiberStack::new().run(burn_on_fiber);
                }
                done.fetch_add(FIBERS.with(Cell::get), Relaxed);
            });
        }
    });
    let samples = looking.finish();
    assert_eq!(done.load(Relaxed), 400);
    // 1.2 s of CPU time, of which a kernel with 100 ticks a second sees at least a tenth.
    let on_fibers = stacks_in(&samples, "burn_on_fiber");
    assert!(on_fibers.iter().map(|stack| stack.periods).sum::<u64>() > 100, "{samples:?}");
    // They begin with the fiber, and nothing of the thread's own stack is on them.
    assert!(stacks_in(&samples, "burn_on_fiber").iter().all(|stack| stack.frames.len() < 12), "{samples:?}");
}

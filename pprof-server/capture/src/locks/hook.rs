//! What the program's `syscall` calls for a futex while waits are measured.

use std::arch::asm;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::clock::now;
use super::kind::Kind;
use super::{events, waiters};
use crate::{LockWord, OWN_LABEL};

/// The nanoseconds of waiting that lie between two samples; 0 while nothing is measured. The program's `syscall` reads it.
pub static RATE: AtomicU64 = AtomicU64::new(0);

static WAS_CALLED: AtomicBool = AtomicBool::new(false);

/// Defines the function `syscall` for the whole program: it is the C library's, and tells `capture` of waits and wakes while they are
/// measured. It is written in a program's own crate, and once. `pprof_server::install!(locks = true)` writes it.
///
/// It is a function of the C library's name, also for the shared libraries that the program loads. A program that has two such
/// definitions does not link with fat LTO; without that, one of them is taken.
///
/// Cost: two instructions for each call of `syscall`, and two more for one that waits or wakes.
#[macro_export]
macro_rules! define_syscall {
    () => {
        #[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
        const _: () = {
            // A naked function, since its arguments are those of a variadic one: the sixth of the system call is on the stack.
            // Nothing but its registers is touched before the kernel is called, as in the C library.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn syscall() {
                ::core::arch::naked_asm!(
                    // The compiler says nothing of where the frame of a naked function is.
                    ".cfi_startproc",
                    "cmp edi, 202", // SYS_futex
                    "jne 2f",
                    "cmp qword ptr [rip + {rate}], 0",
                    "jne {hook}",
                    "2:",
                    "mov rax, rdi",
                    "mov rdi, rsi",
                    "mov rsi, rdx",
                    "mov rdx, rcx",
                    "mov r10, r8",
                    "mov r8, r9",
                    "mov r9, qword ptr [rsp + 8]",
                    "syscall",
                    "cmp rax, -4095",
                    "jae 3f",
                    "ret",
                    // An error: `errno` is set, and -1 returned. The stack is aligned for the call by what is pushed.
                    "3:",
                    "push rax",
                    ".cfi_adjust_cfa_offset 8",
                    "call {errno}",
                    "pop rcx",
                    ".cfi_adjust_cfa_offset -8",
                    "neg ecx",
                    "mov dword ptr [rax], ecx",
                    "mov rax, -1",
                    "ret",
                    ".cfi_endproc",
                    rate = sym $crate::locks::RATE,
                    hook = sym $crate::locks::on_futex,
                    errno = sym $crate::locks::errno_place,
                )
            }
        };
    };
}

const WAIT: usize = libc::FUTEX_WAIT as usize;
const WAKE: usize = libc::FUTEX_WAKE as usize;
const WAIT_BITSET: usize = libc::FUTEX_WAIT_BITSET as usize;
const WAKE_BITSET: usize = libc::FUTEX_WAKE_BITSET as usize;

/// The arguments of a system call.
type Arguments = [usize; 6];

/// Makes the system call `futex`, and notes waits and wakes.
///
/// # Safety
///
/// The arguments are those of the C function `syscall`, called for a futex.
#[doc(hidden)]
pub unsafe extern "C" fn on_futex(
    _number: usize,
    word: usize,
    operation: usize,
    value: usize,
    fourth: usize,
    fifth: usize,
    sixth: usize,
) -> isize {
    let arguments = [word, operation, value, fourth, fifth, sixth];
    if !WAS_CALLED.load(Relaxed) {
        WAS_CALLED.store(true, Relaxed);
    }
    let rate = RATE.load(Relaxed);
    // mutant: E44 the profiler's own threads are in its profile
    let is_measured = rate > 0 && unwinder::label::current() != OWN_LABEL;
    let command = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as usize;
    let answer = match command {
        WAIT | WAIT_BITSET if is_measured => wait(&arguments, rate),
        WAKE | WAKE_BITSET if is_measured => wake(&arguments, rate),
        // SAFETY: the caller's promise.
        _ => unsafe { futex(&arguments) },
    };
    if answer < 0 {
        // SAFETY: this thread's own `errno`.
        unsafe { *errno_place() = answer.wrapping_neg() as i32 };
        return -1;
    }
    answer
}

fn wait(arguments: &Arguments, rate: u64) -> isize {
    let [address, _, value, ..] = *arguments;
    let awaited = LockWord::of_value(value as u32);
    let start = now();
    let waiter = waiters::enter(address, awaited, start);
    // SAFETY: the promise of the caller of `on_futex`, who wants this call.
    let answer = unsafe { futex(arguments) };
    let end = now();
    if let Some(waiter) = waiter {
        waiter.leave();
    }
    // The word had changed before the thread could sleep.
    if answer != -(libc::EAGAIN as isize) {
        events::note(Kind::Block, awaited, end.saturating_sub(start), rate);
    }
    answer
}

fn wake(arguments: &Arguments, rate: u64) -> isize {
    let [address, _, count, ..] = *arguments;
    let charged = waiters::charge(address, now);
    // SAFETY: the promise of the caller of `on_futex`, who wants this call.
    let answer = unsafe { futex(arguments) };
    if let Some((nanoseconds, awaited)) = charged {
        events::note(Kind::Mutex, awaited.woken_by(count as u32), nanoseconds, rate);
    }
    answer
}

/// # Safety
///
/// The caller wants the system call `futex` with these arguments.
#[inline(always)]
unsafe fn futex(arguments: &Arguments) -> isize {
    let answer: isize;
    // SAFETY: the caller's promise; the kernel changes `rcx` and `r11` beside `rax`.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") libc::SYS_futex as isize => answer,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// Returns where the calling thread's `errno` is.
#[doc(hidden)]
pub extern "C" fn errno_place() -> *mut i32 {
    // SAFETY: it takes nothing, and returns the address of this thread's own `errno`.
    unsafe { libc::__errno_location() }
}

/// Whether the program's `syscall` has come here.
pub(super) fn was_called() -> bool {
    WAS_CALLED.load(Relaxed)
}

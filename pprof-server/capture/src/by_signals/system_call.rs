//! System calls without the C library, whose functions set `errno` and may be replaced.
//!
//! Path: *signal handlers*.

use std::arch::asm;
use std::time::Duration;

/// A system call with up to four arguments. Returns what the kernel does: an error is a small negative number.
///
/// # Safety
///
/// What the call does is safe for these arguments.
#[inline(always)]
unsafe fn system_call(number: libc::c_long, arguments: [usize; 4]) -> isize {
    let answer: isize;
    // SAFETY: the caller's promise; the kernel changes `rcx` and `r11` beside `rax`.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// Returns the number of the calling thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: it asks for a number.
    unsafe { system_call(libc::SYS_gettid, [0; 4]) as u32 }
}

/// Returns the name of the calling thread, which ends at a zero.
pub(crate) fn thread_name() -> [u8; 16] {
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes at most 16 bytes there.
    unsafe {
        system_call(
            libc::SYS_prctl,
            [libc::PR_GET_NAME as usize, name.as_mut_ptr().expose_provenance(), 0, 0],
        )
    };
    name
}

/// The time by a clock that nobody sets, in nanoseconds. The C library's function for that may be replaced by one that allocates.
pub(super) fn monotonic_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let address = (&raw mut time).expose_provenance();
    // SAFETY: the kernel fills in the time.
    unsafe { system_call(libc::SYS_clock_gettime, [libc::CLOCK_MONOTONIC as usize, address, 0, 0]) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// The time by a clock that nobody sets, which [`Instant`](std::time::Instant) has and does not tell: since the system was
/// started, as a rule.
#[must_use]
pub fn monotonic_time() -> Duration {
    Duration::from_nanos(monotonic_nanoseconds())
}

/// The signals that wait for the calling thread to unblock them, signal 1 in the lowest bit.
pub(super) fn pending_signals() -> u64 {
    let mut pending = 0_u64;
    let address = (&raw mut pending).expose_provenance();
    // SAFETY: the kernel writes eight bytes there.
    unsafe { system_call(libc::SYS_rt_sigpending, [address, size_of::<u64>(), 0, 0]) };
    pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_thread() {
        let thread = std::thread::Builder::new().name("some name".into());
        let told = thread.spawn(|| {
            // SAFETY: it asks for a number.
            let number = unsafe { libc::gettid() } as u32;
            (thread_id() == number, thread_name(), pending_signals())
        });
        let (is_number, name, pending) = told.unwrap().join().unwrap();
        assert!(is_number);
        assert_eq!(&name, b"some name\0\0\0\0\0\0\0");
        assert_eq!(pending, 0);
    }

    #[test]
    fn a_blocked_signal_is_pending() {
        std::thread::spawn(|| {
            // SAFETY: this thread blocks a signal and sends it to itself; it ends with the signal pending.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, libc::SIGUSR2);
                libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2);
            }
            assert_eq!(pending_signals(), 1 << (libc::SIGUSR2 - 1));
        })
        .join()
        .unwrap();
    }
}

//! Not for reading: `scripts/check-locks.sh` compares the system calls that it makes while waits are measured, and while they are not.
//!
//! `futex_calls on` has them be measured.

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod by_signals {
    use std::ptr;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    capture::define_syscall!();

    static WORDS: [AtomicU32; 2] = [AtomicU32::new(5), AtomicU32::new(5)];

    /// Every operation, with arguments with which none waits for long.
    pub(super) fn main() {
        if std::env::args().nth(1).is_some_and(|argument| argument == "on") {
            capture::set_block_rate(Some(Duration::from_nanos(1))).expect("it is allowed");
        }
        let short = libc::timespec { tv_sec: 0, tv_nsec: 1000 };
        let private = libc::FUTEX_PRIVATE_FLAG;
        let none = 0_usize;
        let limit = ptr::from_ref(&short).expose_provenance();
        for (operation, value, fourth, third) in [
            (libc::FUTEX_WAKE, 1, none, 0),
            (libc::FUTEX_WAKE | private, i32::MAX as u32, none, 0),
            (libc::FUTEX_WAIT, 6, none, 0),
            (libc::FUTEX_WAIT | private, 5, limit, 0),
            (libc::FUTEX_WAIT | private | libc::FUTEX_CLOCK_REALTIME, 5, limit, 0),
            (libc::FUTEX_WAIT_BITSET | private, 6, none, 3),
            (libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME, 5, limit, u32::MAX),
            (libc::FUTEX_WAIT_BITSET, 5, limit, 0),
            (libc::FUTEX_WAKE_BITSET | private, 1, none, 3),
            (libc::FUTEX_WAKE_BITSET, 1, none, 0),
            (libc::FUTEX_REQUEUE | private, 1, 1, 0),
            (libc::FUTEX_CMP_REQUEUE | private, 1, 1, 6),
            (libc::FUTEX_CMP_REQUEUE, 1, 1, 5),
            (libc::FUTEX_WAKE_OP, 1, 1, 0x1000_1000),
            (libc::FUTEX_UNLOCK_PI, 0, none, 0),
            (libc::FUTEX_TRYLOCK_PI | private, 0, none, 0),
            (libc::FUTEX_FD, 0, none, 0),
            (77, 1, limit, 7),
        ] {
            let [word, other] = [0, 1].map(|index| WORDS[index].as_ptr());
            // SAFETY: the words are there as long as the process, and the limit as long as the call; no operation waits without one.
            unsafe { libc::syscall(libc::SYS_futex, word, operation, value, fourth, other, third) };
        }
    }
}

fn main() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    by_signals::main();
}

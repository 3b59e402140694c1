//! This wakes a thread of ours that waits. Another thread does it, a signal handler, or the exit of the program.
//!
//! `pprof-server` uses this for the thread that writes profiles to files. There is one bell in a process. Whoever rings it adds
//! one to a number and wakes the waiting thread with a system call; both may be done in a signal handler, since neither
//! allocates nor takes a lock. The bell is memory of the process and no descriptor, so a child of `fork` rings its own only.
//!
//! Path: *read path*, and *in a signal handler*: [`ring`] and the handler.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// How often the bell was rung. The waiting thread sleeps on this number.
static RINGS: AtomicU32 = AtomicU32::new(0);
/// How often the signal of [`ring_on_signal`] was delivered.
static SIGNALS: AtomicU32 = AtomicU32::new(0);

/// Returns how often the bell was rung. A number that was read before work is looked for is what [`wait`] takes.
#[must_use]
pub fn rings() -> u32 {
    RINGS.load(SeqCst)
}

/// Returns how many signals that [`ring_on_signal`] asked for were delivered. The number wraps.
#[must_use]
pub fn signals() -> u32 {
    SIGNALS.load(SeqCst)
}

/// Rings the bell. A signal handler may call this.
pub fn ring() {
    RINGS.fetch_add(1, SeqCst);
    wake();
}

/// Waits until the bell has been rung more often than `seen` times, or until `timeout` has passed, or for no reason.
///
/// # Cost
///
/// It costs one system call on Linux. Elsewhere it waits in slices of at most 100 ms.
pub fn wait(seen: u32, timeout: Duration) {
    #[cfg(target_os = "linux")]
    {
        /// Half of what 32 bits hold, which every type of the field does.
        const MAX_SECONDS: u64 = 1 << 30;
        let timeout = libc::timespec {
            // A wait of more than thirty years may end early: whoever waits looks again.
            tv_sec: timeout.as_secs().min(MAX_SECONDS) as _,
            // Below 10^9, which every type of this field holds.
            tv_nsec: timeout.subsec_nanos() as _,
        };
        // SAFETY: the kernel reads the number, which is a static, and the time, which outlives the call. It compares the number
        // with `seen` before it puts the thread to sleep.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                RINGS.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                seen,
                &raw const timeout,
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    if RINGS.load(SeqCst) == seen {
        std::thread::sleep(timeout.min(Duration::from_millis(100)));
    }
}

fn wake() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes the address of a static, and wakes whoever sleeps on it.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            RINGS.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            libc::c_int::MAX,
        );
    }
}

/// Who takes a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalTaker {
    /// It is taken by the bell, which rings at each delivery.
    Bell,
    /// The program has a handler of its own, or ignores the signal, and that stays as it is.
    Program,
}

/// Has the bell ring whenever the signal `name` is delivered: `USR1`, `USR2`, `HUP` or `QUIT`, with or without `SIG` before
/// it. If the program does anything else with the signal than what the system does by default, nothing is changed.
///
/// The handler runs on a thread of the program's, makes one system call, and leaves `errno` as it was.
///
/// # Errors
///
/// It fails if `name` is none of these, or if the system refuses.
pub fn ring_on_signal(name: &str) -> io::Result<SignalTaker> {
    #[cfg(unix)]
    return unix::ring_on_signal(name);
    #[cfg(not(unix))]
    {
        let _ = name;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Has `work` run when the program calls `exit` or returns from `main`. It returns whether that will be so. `work` may be
/// called in a child of `fork` as well, and in a program whose other threads go on.
pub fn at_exit(work: extern "C" fn()) -> bool {
    #[cfg(unix)]
    // SAFETY: the function exists as long as the program. It is safe to call from any thread, and as it is `extern "C"`, it does
    // not unwind.
    return unsafe { libc::atexit(work) } == 0;
    #[cfg(not(unix))]
    {
        let _ = work;
        false
    }
}

#[cfg(unix)]
mod unix {
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    use super::{SIGNALS, SeqCst, SignalTaker, io, ring};

    fn number(name: &str) -> Option<libc::c_int> {
        match name.strip_prefix("SIG").unwrap_or(name) {
            "USR1" => Some(libc::SIGUSR1),
            "USR2" => Some(libc::SIGUSR2),
            "HUP" => Some(libc::SIGHUP),
            "QUIT" => Some(libc::SIGQUIT),
            _ => None,
        }
    }

    extern "C" fn on_signal(_: libc::c_int) {
        SIGNALS.fetch_add(1, SeqCst);
        // The system call of `ring` may set `errno`, which belongs to the code that was interrupted.
        unwinder::keeping_errno(ring);
    }

    pub(super) fn ring_on_signal(name: &str) -> io::Result<SignalTaker> {
        let number = number(name).ok_or(io::ErrorKind::InvalidInput)?;
        let mut before = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action the call only fills in the old one, and that is read only if the call succeeded.
        let before = unsafe {
            if libc::sigaction(number, null_mut(), before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            before.assume_init()
        };
        let own = on_signal as extern "C" fn(libc::c_int) as usize;
        if before.sa_sigaction == own {
            return Ok(SignalTaker::Bell);
        }
        if before.sa_sigaction != libc::SIG_DFL {
            return Ok(SignalTaker::Program);
        }
        // SAFETY: an action of zeros is one: no flags, no signal blocked, and the handler of `SIG_DFL`.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = own;
        // System calls of the program begin anew where they can, and small stacks of its threads are spared.
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: the handler does nothing that a signal handler may not do: it adds to atomics and makes one system call. It
        // exists as long as the program.
        if unsafe { libc::sigaction(number, &raw const action, null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(SignalTaker::Bell)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::Instant;

    /// One test, since a process has one bell.
    #[test]
    fn the_bell_wakes_who_waits_and_leaves_the_programs_handlers_alone() {
        let seen = rings();
        let waiting = std::thread::spawn(move || {
            let started = Instant::now();
            while rings() == seen && started.elapsed() < Duration::from_secs(30) {
                wait(seen, Duration::from_secs(30));
            }
            started.elapsed()
        });
        std::thread::sleep(Duration::from_millis(20));
        ring();
        assert!(waiting.join().unwrap() < Duration::from_secs(20));
        // The bell was rung before, so nobody waits at all.
        let started = Instant::now();
        wait(seen, Duration::from_secs(30));
        assert!(started.elapsed() < Duration::from_secs(20));

        assert_eq!(ring_on_signal("USR2").unwrap(), SignalTaker::Bell);
        assert_eq!(ring_on_signal("SIGUSR2").unwrap(), SignalTaker::Bell, "it is ours already");
        let (rung, taken) = (rings(), signals());
        // SAFETY: the signal has a handler, which runs on this thread before the call returns. `errno` is this thread's.
        let errno = unsafe {
            *libc::__errno_location() = 77;
            libc::raise(libc::SIGUSR2);
            *libc::__errno_location()
        };
        assert_eq!((rings(), signals(), errno), (rung + 1, taken + 1, 77));

        extern "C" fn theirs(_: libc::c_int) {}
        let handler = theirs as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGUSR1, handler) };
        assert_eq!(ring_on_signal("USR1").unwrap(), SignalTaker::Program);
        // SAFETY: the call puts back what was there, and tells what it was.
        assert_eq!(unsafe { libc::signal(libc::SIGUSR1, libc::SIG_DFL) }, handler);
        for name in ["KILL", "usr2", "", "SIG", "12"] {
            assert_eq!(ring_on_signal(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}

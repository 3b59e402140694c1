//! Threads that begin here take none of the program's signals.
//!
//! `pprof-server` starts each of its threads this way. The kernel gives a signal that is sent to the process to any
//! thread that does not block it. A program which blocks SIGTERM to read it from a `signalfd` would be killed by it
//! as soon as one thread of ours let it through. And a handler would run on our thread while the program's own threads hold
//! it off.
//!
//! Path: *read path*.

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Starts a thread called `name` on which every signal is blocked except those that a fault in the thread's own code
/// raises: SIGSEGV, SIGBUS, SIGFPE, SIGILL, and SIGSYS. When one of these is raised where it is blocked, the kernel ends the
/// process, whatever handler there is; and a sandbox that answers forbidden system calls by SIGSYS has a handler for it.
///
/// Signals that are sent to the calling thread meanwhile are delivered when this function returns.
///
/// # Errors
///
/// The errors are those of [`Builder::spawn`]: the system has no threads or no memory left.
///
/// # Cost
///
/// It costs a thread and two system calls.
#[doc(hidden)]
pub fn spawn_without_signals<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = Builder::new().name(name.to_owned());
    // mutant: D3 our threads take signals
    // A new thread blocks what its creator blocks at that moment. So no signal can arrive before the thread blocks it.
    let _blocked = Blocked::begin();
    builder.spawn(work)
}

/// Returns for how long processors have worked for this thread, as far as the system tells; elsewhere, the time since some
/// moment. Only differences count.
///
/// # Cost
///
/// It costs a system call.
#[doc(hidden)]
#[must_use]
pub fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call fills `time` in, or leaves it alone.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        Duration::from_secs(time.tv_sec as u64).saturating_add(Duration::from_nanos(time.tv_nsec as u64))
    }
    #[cfg(not(unix))]
    Duration::from_nanos(crate::process::c_library::nanos())
}

#[cfg(unix)]
use unix::Blocked;

#[cfg(unix)]
mod unix {
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    /// The signals that a fault in a thread's own code raises.
    const OF_FAULTS: [libc::c_int; 5] =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSYS];

    /// While it exists, the calling thread blocks signals. Afterwards the thread blocks again what it blocked before.
    pub(super) struct Blocked {
        before: libc::sigset_t,
    }

    impl Blocked {
        pub(super) fn begin() -> Blocked {
            let mut all = MaybeUninit::uninit();
            let mut before = MaybeUninit::uninit();
            // SAFETY: `sigfillset` fills `all` in before it is read, and `pthread_sigmask` fills `before` in; neither
            // fails for valid addresses and the numbers of signals that exist.
            unsafe {
                libc::sigfillset(all.as_mut_ptr());
                for signal in OF_FAULTS {
                    libc::sigdelset(all.as_mut_ptr(), signal);
                }
                libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
                Blocked { before: before.assume_init() }
            }
        }
    }

    impl Drop for Blocked {
        fn drop(&mut self) {
            // SAFETY: the call reads the mask that `begin` was given.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, null_mut()) };
        }
    }
}

/// There are no signals to block.
#[cfg(not(unix))]
struct Blocked;

#[cfg(not(unix))]
impl Blocked {
    fn begin() -> Blocked {
        Blocked
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;

    /// The signals that a thread of this process blocks: bit n - 1 is signal n.
    fn blocked() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn all_but_those_of_faults_are_blocked_there_and_none_more_here() {
        let before = blocked();
        let there =
            spawn_without_signals("quiet", || (blocked(), std::thread::current().name() == Some("quiet")));
        assert_eq!(blocked(), before);
        let (there, is_named) = there.unwrap().join().unwrap();
        assert!(is_named);
        // The C library keeps two for itself, 32 and 33, and nobody may block SIGKILL and SIGSTOP.
        let let_through = [4, 7, 8, 9, 11, 19, 31, 32, 33];
        // musl keeps a third one.
        let of_musl = cfg!(target_env = "musl").then_some(34);
        let expected =
            let_through.iter().chain(&of_musl).fold(u64::MAX, |mask, signal| mask & !(1 << (signal - 1)));
        assert_eq!(there, expected, "{there:#x}, not {expected:#x}");
    }
}

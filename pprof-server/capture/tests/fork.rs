//! What a thread is told while it forks. This test has a process to itself, because the order in which functions are registered for
//! `fork` is what it looks from.
#![cfg(by_signals)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use capture::CpuCapture;

const UNKNOWN: u32 = 2;

/// Whether the signal was blocked when the process was about to be copied.
static BLOCKED: AtomicU32 = AtomicU32::new(UNKNOWN);

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// Whether the calling thread blocks `SIGPROF`, the signal of a capture in a program that does not handle it.
fn is_blocked() -> bool {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call only asks, and fills the set in.
    unsafe {
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr()), 0);
        libc::sigismember(mask.as_ptr(), libc::SIGPROF) == 1
    }
}

extern "C" fn look() {
    BLOCKED.store(is_blocked().into(), Relaxed);
}

/// Kernels of some years ago begin a `fork` again at each signal. Newer ones do not, so the mask is looked at and not the time. What
/// is registered first is called last before the process is copied, so this sees what the capture has done.
#[test]
fn no_signal_of_a_capture_comes_while_a_process_forks() {
    // SAFETY: the function exists as long as the program, and only asks for the mask.
    assert_eq!(unsafe { pthread_atfork(Some(look), None, None) }, 0);
    let capture = CpuCapture::start(100).unwrap();
    assert!(!is_blocked());
    // SAFETY: the child ends at once, and says whether it blocks the signal.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: it ends the child.
        unsafe { libc::_exit(is_blocked().into()) }
    }
    let mut status = -1;
    // SAFETY: it waits for the child, and fills in how it ended.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(BLOCKED.load(Relaxed), 1, "the signal was not blocked");
    assert_eq!(status, 0, "the child blocks the signal");
    assert!(!is_blocked(), "the parent still blocks the signal");
    drop(capture);
}

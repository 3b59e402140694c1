//! Remembers who handled a signal before us. Almost always nobody did so, since signals with a handler are not taken. But
//! the program may set one at the same moment.
//!
//! Path: *signal handlers*, but for [`note`].

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::*};

/// By the number of the signal: the function, and the flags that it was set with.
static HANDLERS: [[AtomicUsize; 2]; 65] = [const { [const { AtomicUsize::new(0) }; 2] }; 65];

/// Notes who handled the signal.
pub(super) fn note(signal: libc::c_int, action: &libc::sigaction) {
    if let Some([function, flags]) = HANDLERS.get(signal as usize) {
        flags.store(action.sa_flags as usize, Relaxed);
        function.store(action.sa_sigaction, Release);
    }
}

/// Hands a signal that is not ours to who handled it before us. Where nobody did, it is dropped.
///
/// # Safety
///
/// These are the arguments of a signal handler, which has not returned.
pub(super) unsafe fn forward(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some([function, flags]) = HANDLERS.get(signal as usize) else { return };
    let function = match function.load(Acquire) {
        libc::SIG_DFL | libc::SIG_IGN => return,
        function => ptr::with_exposed_provenance::<()>(function),
    };
    // SAFETY: the program has set this function as a handler of the kind that the flags tell.
    unsafe {
        if flags.load(Relaxed) & libc::SA_SIGINFO as usize != 0 {
            type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void);
            let function = std::mem::transmute::<*const (), Handler>(function);
            function(signal, info, context);
        } else {
            let function = std::mem::transmute::<*const (), extern "C" fn(libc::c_int)>(function);
            function(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static CALLED: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

    extern "C" fn plain(signal: libc::c_int) {
        CALLED[0].store(signal as usize, Relaxed);
    }

    extern "C" fn with_info(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        assert!(info.is_null() && context.is_null());
        CALLED[1].store(signal as usize, Relaxed);
    }

    #[test]
    fn a_signal_goes_to_who_handled_it_before() {
        let hand_on = |signal, function: usize, flags| {
            // SAFETY: an action is integers.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            (action.sa_sigaction, action.sa_flags) = (function, flags);
            note(signal, &action);
            // SAFETY: the handlers of this test look at their arguments only.
            unsafe { forward(signal, ptr::null_mut(), ptr::null_mut()) };
            CALLED.each_ref().map(|called| called.swap(0, Relaxed))
        };
        assert_eq!(hand_on(62, plain as *const () as usize, 0), [62, 0]);
        assert_eq!(hand_on(62, with_info as *const () as usize, libc::SA_SIGINFO), [0, 62]);
        assert_eq!(hand_on(62, libc::SIG_DFL, 0), [0, 0]);
        assert_eq!(hand_on(62, libc::SIG_IGN, 0), [0, 0]);
    }
}

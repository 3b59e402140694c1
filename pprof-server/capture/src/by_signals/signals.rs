//! Which signal is ours.
//!
//! A handler of ours stays where it is once it is there. A signal of a timer may come after the timer was deleted, and
//! without a handler it would end the program.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use super::earlier_handlers;
use super::handler::on_signal;
use super::purpose::Purpose;
use crate::StartError;

/// The signals that may be taken, the customary one first.
const CANDIDATES: [libc::c_int; 4] = [libc::SIGPROF, libc::SIGVTALRM, libc::SIGSTKFLT, libc::SIGPWR];

/// The handler runs on a stack for signals if the thread has one: little may be left of its own.
// mutant: E4 signals are handled on the stack that they interrupt
const FLAGS: libc::c_int = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;

/// Signals of faults in a thread's own code are not blocked while the handler runs: a fault while its signal is blocked ends
/// the program without the report that the program's handler may print.
const OF_FAULTS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// The signal that was taken last, by purpose; 0: none.
static TAKEN: [AtomicI32; 2] = [const { AtomicI32::new(0) }; 2];

/// A signal that our handler handles: one that it has already, or the first that nobody handles. Timers and dumps have signals of
/// their own, as long as there are two: while one signal is pending for a thread, another of the same number is dropped.
///
/// # Errors
///
/// The error is [`StartError::NoSignal`] if the program handles all of them.
pub(super) fn take(purpose: Purpose) -> Result<libc::c_int, StartError> {
    let of_others: Vec<libc::c_int> = Purpose::ALL
        .into_iter()
        .filter(|other| *other != purpose)
        .map(|other| TAKEN[other as usize].load(Relaxed))
        .collect();
    let (mut free, mut of_other) = (None, None);
    for signal in CANDIDATES {
        let action = action(signal)?;
        match action.sa_sigaction {
            found if found == on_signal as *const () as usize && action.sa_flags & FLAGS == FLAGS => {
                if !of_others.contains(&signal) {
                    TAKEN[purpose as usize].store(signal, Relaxed);
                    return Ok(signal);
                }
                of_other = Some(signal);
            }
            libc::SIG_DFL | libc::SIG_IGN => free = free.or(Some(signal)),
            _ => {}
        }
    }
    if let Some(signal) = free {
        install(signal)?;
        TAKEN[purpose as usize].store(signal, Relaxed);
        return Ok(signal);
    }
    of_other.ok_or(StartError::NoSignal)
}

/// Asks who handles a signal, and how.
fn action(signal: libc::c_int) -> Result<libc::sigaction, StartError> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: this only asks, and fills `action` in if it returns 0.
    match unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } {
        // SAFETY: the call returned 0, so the kernel has filled it in.
        0 => Ok(unsafe { action.assume_init() }),
        _ => Err(StartError::Refused {
            what: "to say who handles a signal",
            source: io::Error::last_os_error(),
        }),
    }
}

fn install(signal: libc::c_int) -> Result<(), StartError> {
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: an action is integers, for which zeros are valid. The handler may run at any time from now on, and on any
    // thread. The call fills `before` in if it returns 0.
    let before = unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = FLAGS;
        // No other handler comes in between, so that the stack that we use is bounded, and so that a wait goes on only after
        // we have looked whether another signal is due.
        libc::sigfillset(&mut action.sa_mask);
        for fault in OF_FAULTS {
            libc::sigdelset(&mut action.sa_mask, fault);
        }
        if libc::sigaction(signal, &action, before.as_mut_ptr()) != 0 {
            let source = io::Error::last_os_error();
            return Err(StartError::Refused { what: "a handler of a signal", source });
        }
        before.assume_init()
    };
    if before.sa_sigaction != on_signal as *const () as usize {
        earlier_handlers::note(signal, &before);
    }
    Ok(())
}

/// Blocks the signals that may be ours on the calling thread. Returns what was blocked before.
pub(super) fn block() -> libc::sigset_t {
    let (mut ours, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the sets are filled in before they are read, and the signals exist.
    unsafe {
        libc::sigemptyset(ours.as_mut_ptr());
        for signal in CANDIDATES {
            libc::sigaddset(ours.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, ours.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

/// Blocks on the calling thread what was blocked before.
pub(super) fn restore(before: &libc::sigset_t) {
    // SAFETY: `before` is a set that the C library has filled in.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
}

//! What the kernel hands to a signal handler: which signal it is, and the registers of the code that it interrupted.
//!
//! Path: *signal handlers*.

use std::ffi::c_void;

use unwinder::Registers;

use super::purpose::Purpose;

/// Gives access to the registers of interrupted code. What is written to them holds when the handler has returned.
pub(super) struct Context<'a>(&'a mut libc::ucontext_t);

impl Context<'_> {
    /// # Safety
    ///
    /// The pointer is the third argument of a signal handler, which has not returned and uses it in no other way.
    pub(super) unsafe fn of(context: *mut c_void) -> Self {
        // SAFETY: the kernel has put it there.
        Context(unsafe { &mut *context.cast() })
    }

    pub(super) fn get(&self, register: libc::c_int) -> usize {
        self.0.uc_mcontext.gregs.get(register as usize).map_or(0, |value| *value as usize)
    }

    pub(super) fn set(&mut self, register: libc::c_int, value: usize) {
        if let Some(place) = self.0.uc_mcontext.gregs.get_mut(register as usize) {
            *place = value as libc::greg_t;
        }
    }

    /// The signals that the interrupted code blocks, signal 1 in the lowest bit.
    pub(super) fn blocked_signals(&self) -> u64 {
        // SAFETY: the kernel's set of signals is eight bytes at the start of the C library's.
        unsafe { (&raw const self.0.uc_sigmask).cast::<u64>().read() }
    }

    pub(super) fn registers(&self) -> Registers {
        Registers {
            instruction_pointer: self.get(libc::REG_RIP),
            stack_pointer: self.get(libc::REG_RSP),
            frame_pointer: self.get(libc::REG_RBP),
            link_register: 0,
        }
    }
}

/// Mirrors what the kernel says about a signal of a timer, as it lies in a `siginfo_t`. Of a signal that a thread sent with a value, that
/// lies at the same place, and the sender stands before it.
#[repr(C)]
struct TimerInfo {
    signal: i32,
    error: i32,
    code: i32,
    _padding: i32,
    timer: i32,
    overrun: i32,
    value: u64,
}

const _: () = assert!(size_of::<TimerInfo>() <= size_of::<libc::siginfo_t>());

/// A signal with a value, which a timer sent, or a thread.
#[derive(Clone, Copy)]
pub(super) struct ValueSignal {
    pub(super) purpose: Purpose,
    /// Holds the value that the timer was told to send, or that the thread sent.
    pub(super) value: u64,
    /// How many periods the signal stands for: a timer that fires again before its signal is delivered sends no other.
    pub(super) periods: u64,
}

impl ValueSignal {
    /// `None`: the signal has no value.
    ///
    /// # Safety
    ///
    /// The pointer is the second argument of a signal handler, which has not returned.
    pub(super) unsafe fn of(info: *const libc::siginfo_t) -> Option<ValueSignal> {
        // SAFETY: the kernel has filled all of it in; which meaning the fields have, the code tells.
        let TimerInfo { code, overrun, value, .. } = unsafe { info.cast::<TimerInfo>().read() };
        let periods = u64::from(overrun.max(0).unsigned_abs()).wrapping_add(1);
        match code {
            libc::SI_TIMER => Some(ValueSignal { purpose: Purpose::Cpu, value, periods }),
            libc::SI_QUEUE => Some(ValueSignal { purpose: Purpose::Dump, value, periods: 1 }),
            _ => None,
        }
    }
}

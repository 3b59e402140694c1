//! Timers of CPU time: one of each thread, made by the controller without the thread's help, and one of the process.
//!
//! The kernel keeps them. A timer of a thread fires when that thread has used up a period, and its signal goes to that
//! thread. The C library's `timer_create` does not know the clocks of other threads, so the kernel is called directly.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use super::sender::Sender;

/// A timer, which is deleted when this is dropped.
#[derive(Debug)]
pub(super) struct Timer {
    id: libc::c_int,
}

/// The clock of a thread's CPU time, or of the process's.
fn clock(thread_id: Option<u32>) -> libc::clockid_t {
    const OF_ONE_THREAD: libc::c_int = 4;
    const AS_SCHEDULED: libc::c_int = 2;
    match thread_id {
        // As `pthread_getcpuclockid` has it.
        Some(thread_id) => !(thread_id as libc::clockid_t) << 3 | OF_ONE_THREAD | AS_SCHEDULED,
        None => libc::CLOCK_PROCESS_CPUTIME_ID,
    }
}

/// The CPU time that a thread has used. `None`: it has ended.
pub(super) fn used_time(thread_id: u32) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in the time.
    let is_known = unsafe { libc::clock_gettime(clock(Some(thread_id)), &raw mut time) } == 0;
    is_known.then(|| Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32))
}

impl Timer {
    /// A timer that sends `signal`, and with it who the sender is, after `first` and then after each `period` of the sender's
    /// CPU time.
    pub(super) fn start(
        signal: libc::c_int,
        sender: Sender,
        first: Duration,
        period: Duration,
    ) -> io::Result<Timer> {
        Timer::of_clock(clock(sender.thread_id()), signal, sender, first, period)
    }

    /// Starts a timer of any clock, such as the process's.
    pub(super) fn of_clock(
        clock: libc::clockid_t,
        signal: libc::c_int,
        sender: Sender,
        first: Duration,
        period: Duration,
    ) -> io::Result<Timer> {
        // SAFETY: an event is integers and a pointer, for which zeros are valid.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_signo = signal;
        event.sigev_value = libc::sigval { sival_ptr: ptr::without_provenance_mut(sender.0 as usize) };
        event.sigev_notify = match sender.thread_id() {
            Some(thread_id) => {
                event.sigev_notify_thread_id = thread_id as libc::c_int;
                libc::SIGEV_THREAD_ID
            }
            None => libc::SIGEV_SIGNAL,
        };
        let mut id = 0;
        // SAFETY: the kernel reads the event and fills in the number.
        if unsafe { libc::syscall(libc::SYS_timer_create, clock, &raw const event, &raw mut id) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let timer = Timer { id };
        let times = libc::itimerspec { it_value: timespec(first), it_interval: timespec(period) };
        let none: *mut libc::itimerspec = ptr::null_mut();
        // SAFETY: the kernel reads the times, of a timer of our own.
        match unsafe { libc::syscall(libc::SYS_timer_settime, id, 0, &raw const times, none) } {
            0 => Ok(timer),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: a timer of our own, which nobody else deletes.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.id) };
    }
}

/// At least a nanosecond: a timer that is set to 0 does not run.
fn timespec(time: Duration) -> libc::timespec {
    let time = time.max(Duration::from_nanos(1));
    libc::timespec { tv_sec: time.as_secs() as libc::time_t, tv_nsec: time.subsec_nanos().into() }
}

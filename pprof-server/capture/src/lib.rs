//! What the threads of this process are doing: their stacks, by timers and signals. All of it is absent while nobody asks.
//!
//! [`CpuCapture`] takes the stack of each thread once in every period of CPU time that the thread uses, as Go's CPU profiler
//! does. Threads need not cooperate, and need not know of it.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! let mut capture = capture::CpuCapture::start(100)?;
//! for _ in 0..30 {
//!     std::thread::sleep(capture::LOOK_EVERY);
//!     capture.look();
//! }
//! let samples = capture.finish();
//! let busy: u64 = samples.stacks.iter().map(|stack| stack.periods).sum();
//! println!("{:?} of CPU time", samples.period * busy as u32);
//! # Ok::<(), capture::StartError>(())
//! ```
//!
//! ```text
//! controller: list of threads ─▶ a timer for each ─▶ signal ─▶ handler: scratch stack ─▶ unwinder ─▶ slot of the ring
//!     ▲                                                                                                  │
//!     └── stacks, with the CPU time that each stands for ◀──────────── look, every 100 ms ◀──────────────┘
//! ```
//!
//! # What it needs from its caller
//!
//! - **One thread of the caller's own** runs [`CpuCapture::start`], then [`CpuCapture::look`] every [`LOOK_EVERY`], then
//!   [`CpuCapture::finish`]. If looks come late, the ring may be full: what then has no room is counted as lost.
//! - **Threads of the profiler's own** call [`leave_out`]. They are in no profile, and the time that they use is told apart. Those that work for
//!   seconds call [`stand_back`].
//!
//! # What it promises
//!
//! - **Nothing exists while off**: no timer, no thread, no memory but some hundred bytes of statics. The one thing that stays
//!   after the first capture is the handler of a signal, which then returns at once: a signal that comes late would end the
//!   program if nobody handled it.
//! - **One capture at a time** is taken: a second one is refused.
//! - **The program's signals are its own.** The first of SIGPROF, SIGVTALRM, SIGSTKFLT and SIGPWR is taken that the program has
//!   no handler for, and a handler that the program sets later is left alone: the next capture takes another signal. Only
//!   signals that carry a number which was drawn at random count as ours. Others go to the handler that was there before ours,
//!   or are dropped.
//! - **The handler** takes no lock, waits for nobody, allocates nothing, uses no thread-local, calls nothing of the C library
//!   but the loader's lock-free index and what copies and compares memory, and leaves `errno` alone.
//!   `scripts/check-handler.py` of this workspace follows all of its calls in a released program. It uses less than 512 bytes
//!   of the stack that it interrupts, beside what the kernel puts there; the walk runs on a stack of our own.
//! - **Reads cannot fault.** A stack is read up to the end of the thread's own stack, which was looked up while the thread
//!   was alive, and other stacks page by page, each of which the kernel is asked for first.
//! - **Waits go on**: a wait without an end that the signal cut short (`poll`, `epoll_wait`, `select`, `pause`, `semop` and
//!   their kin) is entered again, so that the program does not see it. A wait with a time limit that the kernel does not
//!   keep up to date returns early with `EINTR`, as for any signal. Timers of CPU time hardly ever fire in a thread that waits.
//! - **`fork` works**: the thread that forks takes no signal of ours meanwhile, however long it takes, and the child begins
//!   without a capture, and may take one of its own.
//!
//! # What is not promised
//!
//! A thread that blocks the signal is not in the profile. A thread with less stack left than the kernel needs for a signal
//! (1 to 11 KiB, by the processor), and without a stack for signals, cannot take any signal, ours included; threads of the
//! standard library have such a stack. Children by a bare `clone` system call, which the C library does not see, share
//! nothing with the capture, but a capture that was under way is never finished there.
//!
//! # For which platforms
//!
//! It runs on Linux on x86-64 with glibc 2.35 or later. Elsewhere every capture is refused with [`StartError::NotOnThisPlatform`].

#[cfg(by_signals)]
mod by_signals;
mod current_waits;
#[cfg(not(by_signals))]
mod elsewhere;
mod error;
#[cfg(by_signals)]
mod fork_handlers;
mod lock_samples;
#[cfg(by_signals)]
#[doc(hidden)]
pub mod locks;
#[cfg(target_os = "linux")]
mod niceness;
mod samples;
#[cfg(target_os = "linux")]
mod stack_pointers;
mod thread_dump;
#[cfg(target_os = "linux")]
mod threads;

#[cfg(by_signals)]
pub use by_signals::{
    CpuCapture, OwnThread, current_waits, leave_out, monotonic_time, thread_dump, thread_looks,
};
pub use current_waits::{CurrentWait, CurrentWaits, Deadlock};
#[cfg(not(by_signals))]
pub use elsewhere::{
    CpuCapture, LockTrace, LockWatch, OwnThread, USUAL_BLOCK_RATE, block_rate, current_waits, leave_out,
    lock_samples, monotonic_time, sees_locks, set_block_rate, thread_dump, thread_looks,
};
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{stack_pointers, stand_back, thread_names};
pub use error::StartError;
pub use lock_samples::{LockEvent, LockEventKind, LockEvents, LockSamples, LockStack, LockSums, LockWord};
#[cfg(by_signals)]
pub use locks::{
    LockTrace, LockWatch, USUAL_BLOCK_RATE, block_rate, lock_samples, sees_locks, set_block_rate,
};
#[cfg(target_os = "linux")]
pub use niceness::stand_back;
pub use samples::{CpuSamples, Stack, TimedSample};
#[cfg(target_os = "linux")]
pub use stack_pointers::stack_pointers;
pub use thread_dump::{Found, StackPointer, Thread, ThreadDump, ThreadLook, ThreadState};
#[cfg(target_os = "linux")]
pub use threads::thread_names;

/// What the benchmark needs. It is not part of the interface, and may change in any version.
#[cfg(by_signals)]
#[doc(hidden)]
pub mod internal {
    pub use crate::by_signals::{Handling, thread_dump_by_signals};
}

use std::time::Duration;

/// How often a capture is to be looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The label of threads that are left out. It is no set of labels.
#[cfg(by_signals)]
pub(crate) const OWN_LABEL: u32 = u32::MAX;

/// The most samples that can be taken of a thread in each second of its CPU time.
pub const MAX_HZ: u32 = 1000;

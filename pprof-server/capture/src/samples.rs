//! What a capture found: plain, owned data.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use unwinder::CodeAddress;

/// What a CPU capture found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CpuSamples {
    /// Tells when the capture ended.
    pub taken_at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The CPU time that lies between two samples of a thread.
    pub period: Duration,
    /// What was sampled, in the order in which it was first seen. A stack of one thread is there once for each label.
    pub stacks: Vec<Stack>,
    /// When samples were taken, in no particular order, if the capture was to tell that: see
    /// [`CpuCapture::start_timed`](crate::CpuCapture::start_timed).
    pub timed: Vec<TimedSample>,
    /// Periods of samples that are in `stacks`, but not in `timed`, because there were more than 262 144.
    pub untold_periods: u64,
    /// Periods whose stacks are lost, because the ring was full.
    pub lost_periods: u64,
    /// Periods whose stacks are not kept apart, because there were too many different ones.
    pub overflow_periods: u64,
    /// Samples of which only the interrupted instruction is known, because no scratch stack was free.
    pub leaf_only: u64,
    /// How many threads had a timer of their own.
    pub timed_threads: usize,
    /// How many threads could have none, by a limit of the system's or by that of 4096. They were sampled by a timer of the
    /// process.
    pub untimed_threads: usize,
    /// The CPU time that threads used which are left out: see [`leave_out`](crate::leave_out).
    pub own_time: Duration,
}

/// Tells when a sample was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimedSample {
    /// When it was taken, by [`monotonic_time`](crate::monotonic_time).
    pub at: Duration,
    /// This is the index of its stack in [`CpuSamples::stacks`].
    pub stack: usize,
    /// How many periods of CPU time it stands for, up to that time.
    pub periods: u64,
}

impl TimedSample {
    /// Makes one.
    #[must_use]
    pub fn new(at: Duration, stack: usize, periods: u64) -> TimedSample {
        TimedSample { at, stack, periods }
    }
}

/// A stack that was sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stack {
    /// Holds the frames, leaf first. The leaf is the interrupted instruction, and its callers are return addresses.
    pub frames: Box<[CodeAddress]>,
    /// Whether outer frames were left out because the stack was deeper than `unwinder::MAX_STACK_DEPTH`.
    pub is_truncated: bool,
    /// The name of the thread; empty if it is not known.
    pub thread: Arc<str>,
    /// The kernel's number of the thread; 0 if the stack was made up.
    pub thread_id: u32,
    /// Tells what the thread worked for (`unwinder::label`). It is 0 if the thread had no label.
    pub label: u32,
    /// How many periods of CPU time the samples stand for.
    pub periods: u64,
    /// How many samples were taken. It is less than `periods` where a signal stands for several periods.
    pub signals: u64,
}

impl Default for CpuSamples {
    /// What a capture finds that has just begun, of a period of 10 ms.
    fn default() -> CpuSamples {
        CpuSamples {
            taken_at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            period: Duration::from_millis(10),
            stacks: Vec::new(),
            timed: Vec::new(),
            untold_periods: 0,
            lost_periods: 0,
            overflow_periods: 0,
            leaf_only: 0,
            timed_threads: 0,
            untimed_threads: 0,
            own_time: Duration::ZERO,
        }
    }
}

impl Stack {
    /// A stack of one thread, leaf first, each period of which was a sample.
    #[must_use]
    pub fn new(frames: Box<[CodeAddress]>, thread: &str, periods: u64) -> Stack {
        Stack {
            frames,
            is_truncated: false,
            thread: thread.into(),
            thread_id: 0,
            label: 0,
            periods,
            signals: periods,
        }
    }
}

//! The model of a trace: what happened in some time, event by event. A [`Profile`](crate::profile::Profile) has sums, and this has
//! times.
//!
//! `sources::trace` makes it, and `writers::firefox` writes it.
//!
//! Path: *read path*. These are plain data.

use std::time::{Duration, SystemTime};

use capture::{LockEventKind, ThreadState};

use crate::profile::Stacks;

/// What happened in some time. All times are counted from its beginning.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) started_at: SystemTime,
    pub(crate) duration: Duration,
    /// The CPU time that lies between two samples of a thread.
    pub(crate) period: Duration,
    /// The threads that were there, by their numbers.
    pub(crate) threads: Vec<Thread>,
    /// Samples of CPU time, by their times.
    pub(crate) samples: Vec<Sample>,
    /// Waits for locks, and what ended them, by their times.
    pub(crate) waits: Vec<Wait>,
    /// Blocks that came or went, by their times.
    pub(crate) blocks: Vec<BlockEvent>,
    pub(crate) memory: Vec<MemoryPoint>,
    /// All stacks, by the indices that events have.
    pub(crate) stacks: Stacks,
    /// What there is to say of the trace, a line each.
    pub(crate) notes: Vec<String>,
}

/// A sample of the CPU time of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) thread_id: u32,
    pub(crate) at: Duration,
    pub(crate) stack: usize,
    /// How many periods it stands for.
    pub(crate) periods: u64,
}

/// A wait for a lock, or a wake that others waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) kind: LockEventKind,
    pub(crate) thread_id: u32,
    /// When it was over.
    pub(crate) at: Duration,
    /// How long the thread waited; of a wake, how long others had waited for it.
    pub(crate) waited: Duration,
    pub(crate) stack: Option<usize>,
}

/// How much memory there was at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MemoryPoint {
    pub(crate) at: Duration,
    /// What was allocated and not freed: an estimate. `None`: nothing is sampled.
    pub(crate) inuse_bytes: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
}

/// A thread that was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Thread {
    /// The kernel's number of it.
    pub(crate) id: u32,
    /// Its name, which is empty if it is not known.
    pub(crate) name: String,
    /// When it was seen first.
    pub(crate) start: Duration,
    /// When it was gone, or the end of the trace.
    pub(crate) end: Duration,
    /// What it was doing, by the times of that.
    pub(crate) states: Vec<StateSpan>,
}

/// A time in which a thread was in the same state each time that somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateSpan {
    pub(crate) state: ThreadState,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

/// A block that came or went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BlockEvent {
    pub(crate) at: Duration,
    /// The number of the block, which its coming and its going have.
    pub(crate) block: u64,
    /// The bytes for which it stands in an estimate: above 0 if it came, and below if it went.
    pub(crate) bytes: f64,
    /// The stack that allocated it.
    pub(crate) stack: Option<usize>,
}

//! What a task waits for: the things in memory by which others can wake it.

use crate::memory::Masked;
use crate::task::Task;
use crate::typed::Typed;

/// A task, and all that it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// What the task is, and where it waits.
    pub task: Task,
    /// There is one for each future that does not wait for another one: one as a rule, and several in `select!` and `join!`.
    pub waits: Vec<Wait>,
    /// How many references there are to the task. The runtime has one, its handle has one if there is a handle, and so has each waker and
    /// each [`AbortHandle`](https://docs.rs/tokio/latest/tokio/task/struct.AbortHandle.html).
    pub references: u64,
    /// Whether somebody has its `JoinHandle`, of which there is one at most.
    pub has_handle: bool,
    /// The memory of the task, by its type; `None` if it may be of several types.
    pub memory: Option<Typed>,
}

/// What a future waits for that does not wait for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// It waits for whoever has the other end of a channel, or access to a semaphore, a lock or the like.
    Shared {
        /// What it is, such as `mpsc`, `oneshot` or `mutex`.
        what: &'static str,
        /// Where that is in memory. Whoever has no pointer to any part cannot wake the task. There is one at least.
        parts: Vec<Part>,
    },
    /// It waits for the task at this address to end.
    Task(Masked),
    /// It is `std::future::pending`, which nothing ends.
    Never,
    /// It waits for what comes from outside the program's memory: a time, a socket, a signal, a process.
    Event,
    /// It is a future that this crate does not know.
    Unknown,
}

/// Where a thing is that a future waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// It is at this address.
    pub address: Masked,
    /// Whether an `Arc` points there, so that the number of its pointers is the first word there.
    pub is_counted: bool,
}

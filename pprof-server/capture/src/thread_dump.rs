//! What a dump of threads found: plain, owned data.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use unwinder::CodeAddress;

/// What the threads of this process were doing at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadDump {
    /// When the dump was taken.
    pub taken_at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Lists the threads, in the order of their numbers.
    pub threads: Vec<Thread>,
    /// How many threads are left out, since they are the profiler's own: see [`leave_out`](crate::leave_out).
    pub own_threads: usize,
    /// How many threads were sent a signal.
    pub signalled_threads: usize,
}

/// Where the stack of a thread begins at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackPointer {
    /// The kernel's number of the thread.
    pub id: u32,
    /// The thread's name, which is empty if it is not known.
    pub name: Arc<str>,
    /// The address of the last word that it has pushed; `None` if the thread runs, or if the system does not tell.
    pub address: Option<u64>,
}

/// What the kernel says of a thread at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadLook {
    /// The kernel's number of the thread.
    pub id: u32,
    /// Its name, which has up to 15 bytes.
    pub name: Arc<str>,
    /// What it was doing.
    pub state: ThreadState,
}

impl ThreadLook {
    /// Makes one.
    #[must_use]
    pub fn new(id: u32, name: &str, state: ThreadState) -> ThreadLook {
        ThreadLook { id, name: name.into(), state }
    }
}

/// Tells of a thread that was there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Thread {
    /// The kernel's number of it.
    pub id: u32,
    /// Its name, as the kernel has it, of up to 15 bytes.
    pub name: Arc<str>,
    /// What it was doing.
    pub state: ThreadState,
    /// Tells what it worked for (`unwinder::label`). It is 0 if the thread had no label.
    pub label: u32,
    /// What it waited in: the name of a system call, or of a function of the kernel's. `None`: it ran, or nobody tells.
    pub waits: Option<Cow<'static, str>>,
    /// Lists the frames, leaf first. The leaf is the instruction that comes next, and its callers are return addresses. Empty:
    /// [`found`](Self::found) says why.
    pub frames: Box<[CodeAddress]>,
    /// Whether outer frames were left out because the stack was deeper than `unwinder::MAX_STACK_DEPTH`.
    pub is_truncated: bool,
    /// How the frames were found.
    pub found: Found,
}

/// What a thread was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadState {
    /// It ran, or waited for a processor.
    Running,
    /// It waited for something that a signal can interrupt.
    Sleeping,
    /// It waited for something that no signal interrupts, such as a disk.
    Disk,
    /// It was stopped, by a signal or a debugger.
    Stopped,
}

impl ThreadState {
    /// Returns the word for it, such as `running`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ThreadState::Running => "running",
            ThreadState::Sleeping => "sleeping",
            ThreadState::Disk => "disk",
            ThreadState::Stopped => "stopped",
        }
    }
}

/// How the frames of a thread were found, or why they were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Found {
    /// The thread took a signal, and its handler walked its stack.
    BySignal,
    /// The thread slept all the while, and its stack was walked from outside.
    FromOutside,
    /// As [`FromOutside`](Self::FromOutside), but a frame pointer on the way was guessed: some frames may be wrong or missing.
    Approximately,
    /// There are no frames: the thread ran, and did not take the signal within 100 ms.
    NoAnswer,
    /// There are no frames: the thread ran, and blocks the signal.
    Blocked,
    /// There are no frames: the thread ran, and there is no signal that could be sent, since the program handles all of them, or no
    /// memory for what its handler finds.
    NoSignal,
    /// There are no frames: the thread ran and slept by turns, so that neither way held.
    Moved,
    /// There are no frames: the thread slept, and the system does not let its stack be read.
    Unreadable,
    /// There are no frames: the system does not tell where the thread is.
    Hidden,
}

impl Found {
    /// Whether there are frames.
    #[must_use]
    pub fn has_frames(self) -> bool {
        matches!(self, Found::BySignal | Found::FromOutside | Found::Approximately)
    }
}

impl Thread {
    /// A thread that was found by a signal, leaf first.
    #[must_use]
    pub fn new(id: u32, name: &str, state: ThreadState, frames: Box<[CodeAddress]>) -> Thread {
        Thread {
            id,
            name: name.into(),
            state,
            label: 0,
            waits: None,
            frames,
            is_truncated: false,
            found: Found::BySignal,
        }
    }
}

impl Default for ThreadDump {
    /// Returns a dump that has no threads.
    fn default() -> ThreadDump {
        ThreadDump {
            taken_at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            threads: Vec::new(),
            own_threads: 0,
            signalled_threads: 0,
        }
    }
}

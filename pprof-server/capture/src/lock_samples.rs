//! These types hold what is known of waits for locks, as plain, owned data.

use std::time::Duration;

use unwinder::CodeAddress;

/// Who waited, and who made others wait, since the process began and as far as it was measured.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LockSamples {
    /// Tells where threads waited.
    pub block: Vec<LockStack>,
    /// Where threads woke others, with the time that these had waited for that.
    pub mutex: Vec<LockStack>,
    /// Waits whose stacks are not kept apart, because there were too many different ones.
    pub block_overflow: LockSums,
    /// Wakes whose stacks are not kept apart.
    pub mutex_overflow: LockSums,
    /// Waits that no wake was charged with, because more than four words of one bucket were waited on at once, or because its lock was
    /// held.
    pub untracked: u64,
    /// Whether waits were ever measured.
    pub was_on: bool,
    /// The lowest and the highest rate at which they were. It is `None` if they were never measured.
    pub rates: Option<(Duration, Duration)>,
}

/// A stack that waited or woke.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LockStack {
    /// Lists the frames, which are return addresses, leaf first. There are none if too little of the stack was left for a walk.
    pub frames: Box<[CodeAddress]>,
    /// Whether outer frames were left out because the stack was deeper than `unwinder::MAX_STACK_DEPTH`.
    pub is_truncated: bool,
    /// Tells what the thread worked for (`unwinder::label`). It is 0 if the thread had no label.
    pub label: u32,
    /// This tells what was waited on, by the value there.
    pub word: LockWord,
    /// Tells how often and how long it was.
    pub sums: LockSums,
}

impl LockStack {
    /// Makes a stack of a thread without a label, leaf first.
    #[must_use]
    pub fn new(frames: Box<[CodeAddress]>, word: LockWord, sums: LockSums) -> LockStack {
        LockStack { frames, is_truncated: false, label: 0, word, sums }
    }
}

/// What was sampled of waits in some time, one by one.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LockEvents {
    /// Lists them, roughly in the order of their times.
    pub events: Vec<LockEvent>,
    /// The stacks on which they were, with their sums since the process began.
    pub stacks: Vec<LockStack>,
    /// How many are missing, because there were more than 65 536.
    pub lost: u64,
}

/// A wait, or a wake that others have waited for, which was sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockEvent {
    /// What it was.
    pub kind: LockEventKind,
    /// When it was over, by [`monotonic_time`](crate::monotonic_time).
    pub at: Duration,
    /// How long the thread has waited until then; of a wake, how long all who waited for it have waited together.
    pub waited: Duration,
    /// The kernel's number of the thread.
    pub thread_id: u32,
    /// This is the index of its stack in [`LockEvents::stacks`], or `None` if that was not kept.
    pub stack: Option<usize>,
}

/// Tells waits from wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockEventKind {
    /// The thread has waited.
    Waited,
    /// The thread has woken others.
    Woke,
}

impl LockEvent {
    /// Makes one.
    #[must_use]
    pub fn new(kind: LockEventKind, at: Duration, waited: Duration, thread_id: u32) -> LockEvent {
        LockEvent { kind, at, waited, thread_id, stack: None }
    }
}

/// Estimates of how often and how long threads waited, with their variances.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LockSums {
    /// How many samples the estimates rest on.
    pub samples: u64,
    /// How many waits, or wakes that somebody waited for.
    pub contentions: f64,
    /// The time that was waited, in nanoseconds.
    pub nanoseconds: f64,
    /// Tells the variance of `contentions`.
    pub contentions_variance: f64,
    /// Tells the variance of `nanoseconds`, in square nanoseconds.
    pub nanoseconds_variance: f64,
}

impl LockSums {
    /// Returns the sums of both, which count different events.
    #[must_use]
    pub fn plus(&self, other: &LockSums) -> LockSums {
        LockSums {
            samples: self.samples + other.samples,
            contentions: self.contentions + other.contentions,
            nanoseconds: self.nanoseconds + other.nanoseconds,
            contentions_variance: self.contentions_variance + other.contentions_variance,
            nanoseconds_variance: self.nanoseconds_variance + other.nanoseconds_variance,
        }
    }

    /// Returns the sums of what came after `before`. Sums never fall, so their difference is that of the events in between.
    #[must_use]
    pub fn since(&self, before: &LockSums) -> LockSums {
        // What is left of sums may be a rounding below zero.
        let less = |now: f64, before: f64| (now - before).max(0.0);
        LockSums {
            samples: self.samples.saturating_sub(before.samples),
            contentions: less(self.contentions, before.contentions),
            nanoseconds: less(self.nanoseconds, before.nanoseconds),
            contentions_variance: less(self.contentions_variance, before.contentions_variance),
            nanoseconds_variance: less(self.nanoseconds_variance, before.nanoseconds_variance),
        }
    }
}

/// This tells what a word that is waited on may be. It is judged by the value that whoever waits expects there. Values of counters may look like
/// another kind's, so the functions on the stack say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum LockWord {
    /// A `Mutex` of the standard library that is locked and waited for.
    Mutex,
    /// An `RwLock` of the standard library that a reader waits for, or a writer.
    RwLock,
    /// It is a parked thread of the standard library: `park`, and channels.
    Parker,
    /// The word 1: `parking_lot` parks each thread at a word of its own.
    One,
    /// A counter, as `Condvar` has one, or something else.
    Other,
}

impl LockWord {
    /// Judges a word by the value that is expected there.
    #[must_use]
    pub fn of_value(value: u32) -> LockWord {
        /// A reader of an `RwLock` waits until this bit is cleared.
        const READERS_WAIT: u32 = 1 << 30;
        match value {
            2 => LockWord::Mutex,
            1 => LockWord::One,
            u32::MAX => LockWord::Parker,
            value if value & READERS_WAIT != 0 => LockWord::RwLock,
            _ => LockWord::Other,
        }
    }

    /// Judges it anew by a wake of so many. A writer that has waited itself leaves a mark, so while it writes, readers wait until all bits
    /// are no longer set, as a parked thread does. But they are woken all at once, and one thread at most is parked at a word.
    #[cfg(by_signals)]
    pub(crate) fn woken_by(self, count: u32) -> LockWord {
        if self == LockWord::Parker && count > 1 { LockWord::RwLock } else { self }
    }
}

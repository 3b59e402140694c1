//! Sampled waits and wakes one by one, with their times, while somebody traces. Otherwise there is no log.
//!
//! A slot of the log is written once, by whoever takes the next one. When the log is full, the rest is counted.
//!
//! Path: *the program's waits for locks*, but for what the one who traces calls.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use super::clock::now;
use super::kind::Kind;
use super::mapping::{map_zeroed, unmap};
use crate::{LockEvent, LockEventKind};

/// Events that are kept, in 1.5 MiB.
pub(super) const EVENTS: usize = 1 << 16;
/// How long the end of a trace waits for those who write. They take some nanoseconds, unless their thread is stopped.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Holds one event, or none.
struct Slot {
    at: AtomicU64,
    nanoseconds: AtomicU64,
    /// Whose event it is, which stack and which kind: see [`Slot::set`]. It is written last; 0 means that the slot is not.
    what: AtomicU64,
}

/// Zeroed memory is a log without events.
pub(super) struct Log {
    next: AtomicU64,
    slots: [Slot; EVENTS],
}

static LOG: AtomicPtr<Log> = AtomicPtr::new(ptr::null_mut());
/// Counts those who may be using the log.
static WRITERS: AtomicU32 = AtomicU32::new(0);

/// Notes what has just happened to the calling thread, on the stack that has this number, if anybody traces.
#[inline(always)]
pub(super) fn note(kind: Kind, nanoseconds: u64, stack: Option<usize>) {
    if LOG.load(Relaxed).is_null() {
        return;
    }
    WRITERS.fetch_add(1, SeqCst);
    // SAFETY: whoever takes the log away stores null first, and then waits until nobody is counted. The order of all these
    // operations is total, so either the count is seen there or null is seen here.
    if let Some(log) = unsafe { LOG.load(SeqCst).as_ref() } {
        let index = log.next.fetch_add(1, Relaxed) as usize;
        if let Some(slot) = log.slots.get(index) {
            slot.set(kind, nanoseconds, stack);
        }
    }
    WRITERS.fetch_sub(1, SeqCst);
}

fn thread_id() -> u32 {
    // SAFETY: it asks for a number.
    unsafe { libc::gettid() as u32 }
}

impl Slot {
    fn set(&self, kind: Kind, nanoseconds: u64, stack: Option<usize>) {
        self.at.store(now(), Relaxed);
        self.nanoseconds.store(nanoseconds, Relaxed);
        let stack = stack.map_or(0, |stack| stack as u64 + 1);
        self.what.store(u64::from(thread_id()) << 32 | stack << 1 | kind as u64, Release);
    }

    /// Returns the event, with the number of its stack.
    fn get(&self) -> Option<LockEvent> {
        let what = self.what.load(Acquire);
        let kind = if what & 1 == Kind::Mutex as u64 { LockEventKind::Woke } else { LockEventKind::Waited };
        let stack = (what as u32 >> 1).checked_sub(1).map(|stack| stack as usize);
        let [at, waited] = [&self.at, &self.nanoseconds].map(|time| Duration::from_nanos(time.load(Relaxed)));
        (what != 0).then_some(LockEvent { kind, at, waited, thread_id: (what >> 32) as u32, stack })
    }
}

impl Log {
    /// Maps a log, which is written from now on. `None`: there is one already.
    pub(super) fn begin() -> io::Result<Option<&'static Log>> {
        let log = map_zeroed::<Log>()?;
        if LOG.compare_exchange(ptr::null_mut(), log, SeqCst, SeqCst).is_err() {
            // SAFETY: nobody else knows of this mapping.
            unsafe { unmap(log) };
            return Ok(None);
        }
        // SAFETY: zeroed memory is a log. It stays until `give_back` has found that nobody uses it.
        Ok(Some(unsafe { &*log }))
    }

    /// Takes the log away from those who write, and waits until nobody does. False: somebody did not end in time.
    pub(super) fn take_away(&self) -> bool {
        // In a child of `fork` there may be another one.
        let _ = LOG.compare_exchange(ptr::from_ref(self).cast_mut(), ptr::null_mut(), SeqCst, SeqCst);
        let start = Instant::now();
        while WRITERS.load(SeqCst) != 0 {
            if start.elapsed() > LONGEST_WAIT {
                return false;
            }
            thread::sleep(Duration::from_micros(50));
        }
        true
    }

    /// Gives its memory back, unless somebody writes there still.
    ///
    /// # Safety
    ///
    /// The caller has no other reference to it.
    pub(super) unsafe fn give_back(&self) {
        if self.take_away() {
            // SAFETY: nobody finds the log any more, nobody was using it, and the caller has no other reference.
            unsafe { unmap(ptr::from_ref(self).cast_mut()) };
        }
    }

    /// What was noted, and how many more there were. Stacks are by their numbers.
    pub(super) fn events(&self) -> (Vec<LockEvent>, u64) {
        let lost = self.next.load(Relaxed).saturating_sub(EVENTS as u64);
        (self.slots.iter().filter_map(Slot::get).collect(), lost)
    }
}

/// Leaves the log of the parent of a fork alone, where nobody writes it.
pub(super) fn begin_anew() {
    LOG.store(ptr::null_mut(), Relaxed);
    WRITERS.store(0, Relaxed);
}

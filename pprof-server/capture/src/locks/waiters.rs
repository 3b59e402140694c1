//! Who waits at present, by the word that is waited on, so that a wake can be charged with the time that others waited for it.
//!
//! Of all who wait on one word, their number and the sum of the times at which they began are kept. A wake pays for the time since
//! then, and from then on they wait for somebody else: so who held a lock pays for the own share alone.
//!
//! Each lock here is tried for a bounded time. A signal handler may have interrupted its holder, and wait itself.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

use std::time::Duration;

use crate::LockWord;

/// Words are spread over so many buckets, each of which has a lock and a few entries.
const BUCKETS: usize = 1024;
const ENTRIES: usize = 4;
/// So often a lock is tried.
const TRIES: u32 = 10_000;

/// What is known of those who wait on one word.
#[derive(Clone, Copy)]
struct Entry {
    address: usize,
    waiters: u64,
    /// The sum of the moments since which they wait for the next wake, in nanoseconds. It may wrap.
    since: u64,
    /// When a wake was charged last.
    charged: u64,
    /// The sum of the moments at which they began to wait. It may wrap.
    began: u64,
    awaited: LockWord,
}

struct Bucket {
    is_locked: AtomicBool,
    /// Whether there is any waiter, to tell without the lock.
    waiters: AtomicU32,
    entries: UnsafeCell<[Entry; ENTRIES]>,
}

// SAFETY: the entries are used by who has the lock.
unsafe impl Sync for Bucket {}

const NOBODY: Entry =
    Entry { address: 0, waiters: 0, since: 0, charged: 0, began: 0, awaited: LockWord::Other };
static WAITERS: [Bucket; BUCKETS] = [const {
    Bucket {
        is_locked: AtomicBool::new(false),
        waiters: AtomicU32::new(0),
        entries: UnsafeCell::new([NOBODY; ENTRIES]),
    }
}; BUCKETS];
static UNTRACKED: AtomicU64 = AtomicU64::new(0);

/// A waiter that was noted.
pub(super) struct Waiter {
    bucket: &'static Bucket,
    address: usize,
    start: u64,
}

fn bucket(address: usize) -> &'static Bucket {
    let hash = unwinder::hash::multiply(address as u64);
    // The upper bits are mixed best.
    &WAITERS[(hash >> (64 - BUCKETS.ilog2())) as usize]
}

impl Bucket {
    /// Works with the entries. `None`: the lock was held for too long.
    fn with<R>(&self, work: impl FnOnce(&mut [Entry; ENTRIES]) -> R) -> Option<R> {
        let mut tries = 0;
        while self.is_locked.swap(true, Acquire) {
            tries += 1;
            if tries == TRIES {
                return None;
            }
            spin_loop();
        }
        // SAFETY: this thread has the lock, and a handler that interrupts it finds it locked.
        let done = work(unsafe { &mut *self.entries.get() });
        self.is_locked.store(false, Release);
        Some(done)
    }
}

/// Notes that a thread waits on a word from now on. `None`: there is no room.
pub(super) fn enter(address: usize, awaited: LockWord, now: u64) -> Option<Waiter> {
    let bucket = bucket(address);
    let entered = bucket.with(|entries| {
        let known = entries.iter().position(|entry| entry.address == address && entry.waiters > 0);
        let index = known.or_else(|| entries.iter().position(|entry| entry.waiters == 0))?;
        let entry = &mut entries[index];
        if known.is_none() {
            *entry = Entry { address, ..NOBODY };
        }
        entry.waiters += 1;
        entry.since = entry.since.wrapping_add(now);
        entry.began = entry.began.wrapping_add(now);
        entry.awaited = awaited;
        bucket.waiters.fetch_add(1, Relaxed);
        Some(())
    });
    if entered.flatten().is_none() {
        UNTRACKED.fetch_add(1, Relaxed);
        return None;
    }
    Some(Waiter { bucket, address, start: now })
}

impl Waiter {
    /// Notes that the thread waits no more.
    pub(super) fn leave(self) {
        let left = self.bucket.with(|entries| {
            let is_same = |entry: &&mut Entry| entry.address == self.address && entry.waiters > 0;
            let Some(entry) = entries.iter_mut().find(is_same) else { return };
            // mutant: E43 who has left is charged still
            entry.waiters -= 1;
            entry.since = entry.since.wrapping_sub(self.start.max(entry.charged));
            entry.began = entry.began.wrapping_sub(self.start);
            self.bucket.waiters.fetch_sub(1, Relaxed);
        });
        if left.is_none() {
            UNTRACKED.fetch_add(1, Relaxed);
        }
    }
}

/// Returns for how long all who wait on the word have waited together, since they began or since a wake was charged last.
/// `None`: nobody waits.
pub(super) fn charge(address: usize, now: impl FnOnce() -> u64) -> Option<(u64, LockWord)> {
    let bucket = bucket(address);
    if bucket.waiters.load(Relaxed) == 0 {
        return None;
    }
    bucket
        .with(|entries| {
            let entry = entries.iter_mut().find(|entry| entry.address == address && entry.waiters > 0)?;
            let now = now();
            let waited = now.wrapping_mul(entry.waiters).wrapping_sub(entry.since);
            // mutant: E43 a holder pays for those before it
            (entry.since, entry.charged) = (now.wrapping_mul(entry.waiters), now);
            // A clock may differ between processors by less than a wait takes.
            Some((if waited > u64::MAX / 2 { 0 } else { waited }, entry.awaited))
        })
        .flatten()
}

/// Those who wait on a word at present, as far as they were noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitingOn {
    pub(crate) waiters: u64,
    /// How long they have waited, on average.
    pub(crate) mean_time: Duration,
}

/// Returns who waits on a word. `None`: nobody, as far as is known.
pub(crate) fn waiting_on(address: usize, now: impl FnOnce() -> u64) -> Option<WaitingOn> {
    bucket(address)
        .with(|entries| {
            let entry = entries.iter().find(|entry| entry.address == address && entry.waiters > 0)?;
            let waited = now().wrapping_mul(entry.waiters).wrapping_sub(entry.began);
            let mean_time = Duration::from_nanos(waited.checked_div(entry.waiters)?);
            Some(WaitingOn { waiters: entry.waiters, mean_time })
        })
        .flatten()
}

/// Waits that were not noted, for want of room or of a lock.
pub(super) fn untracked() -> u64 {
    UNTRACKED.load(Relaxed)
}

/// Forgets the threads of the parent of a fork, which do not wait here.
pub(super) fn begin_anew() {
    UNTRACKED.store(0, Relaxed);
    for bucket in &WAITERS {
        if bucket.waiters.load(Relaxed) != 0 || bucket.is_locked.load(Relaxed) {
            // SAFETY: no other thread is in this process.
            unsafe { *bucket.entries.get() = [NOBODY; ENTRIES] };
            bucket.waiters.store(0, Relaxed);
            bucket.is_locked.store(false, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charged(address: usize, now: u64) -> Option<u64> {
        charge(address, || now).map(|(waited, _)| waited)
    }

    #[test]
    fn each_wake_pays_for_the_time_since_the_last_one() {
        let address = 0x7001_0000;
        assert_eq!(charged(address, 5), None);
        let [one, two] = [10, 30].map(|start| enter(address, LockWord::Mutex, start).unwrap());
        assert_eq!(charge(address, || 40), Some((30 + 10, LockWord::Mutex)));
        // The first is woken, and a third comes.
        // A wake does not change since when they wait.
        let told = waiting_on(address, || 50).unwrap();
        assert_eq!((told.waiters, told.mean_time), (2, Duration::from_nanos(30)));
        one.leave();
        assert_eq!(waiting_on(address, || 50).unwrap().mean_time, Duration::from_nanos(20));
        let three = enter(address, LockWord::Mutex, 45).unwrap();
        assert_eq!(charged(address, 50), Some(10 + 5));
        two.leave();
        assert_eq!(charged(address, 51), Some(1));
        three.leave();
        assert_eq!((charged(address, 60), waiting_on(address, || 60)), (None, None));
    }

    /// The same address may be another lock later, whose waiters have nothing to do with those of the first.
    #[test]
    fn an_address_begins_anew_when_nobody_waits() {
        let address = 0x7002_0000;
        let one = enter(address, LockWord::Mutex, 10).unwrap();
        assert_eq!(charged(address, 1000), Some(990));
        one.leave();
        let other = enter(address, LockWord::Parker, 500).unwrap();
        assert_eq!(charge(address, || 700), Some((200, LockWord::Parker)));
        other.leave();
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let before = untracked();
        let same_bucket: Vec<usize> = (1..)
            .map(|index| 0x7100_0000 + index * 64)
            .filter(|&address| std::ptr::eq(bucket(address), bucket(0x7100_0000)))
            .take(ENTRIES + 1)
            .collect();
        let waiters: Vec<_> = same_bucket.iter().map(|&address| enter(address, LockWord::One, 1)).collect();
        assert!(waiters[..ENTRIES].iter().all(Option::is_some) && waiters[ENTRIES].is_none());
        assert_eq!(untracked() - before, 1);
        waiters.into_iter().flatten().for_each(Waiter::leave);
    }

    /// A handler of a signal may wait while its thread has the lock. It does without.
    #[test]
    fn a_lock_that_is_held_is_not_waited_for() {
        let address = 0x7200_0000;
        bucket(address).with(|_| assert!(enter(address, LockWord::One, 1).is_none())).unwrap();
    }
}

//! Each primitive of the standard library and of `parking_lot`, with one, two and a hundred threads that wait for it.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::sync::{Barrier, Condvar, Mutex, Once, RwLock, mpsc};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::{HELD, await_sleep, block, change, measured, mutex, thread_id, turn, wakes_here};

/// So many threads wait.
const WAITERS: [usize; 3] = [1, 2, 100];

/// How long something took, and for how much of that the thread ran or wanted to.
pub(crate) struct Taken {
    pub(crate) whole: Duration,
    awake: Duration,
}

/// Measures how long `wait` takes, in a function of a name that a stack is found by.
#[inline(never)]
pub(crate) fn waits_here(wait: impl FnOnce()) -> Taken {
    // To ask the kernel takes long where others want the processors, too. That time must not be taken for sleep.
    let awake_before = time_awake();
    let start = Instant::now();
    wait();
    let taken = Taken { whole: start.elapsed(), awake: time_awake() - awake_before };
    std::hint::black_box(taken)
}

/// Returns for how long the calling thread has run, or waited for a processor, since it began.
fn time_awake() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_nanos(nanoseconds.sum())
}

/// Whom `mutex` charges with the time that was waited.
#[derive(Clone, Copy)]
enum Charged {
    /// All is charged to the one who wakes them, until that moment.
    Waker,
    /// The one who wakes the first of them is charged with what that one has waited, and each of them with what the next one has.
    Chain,
    /// The test does not know the thread that is charged.
    Other,
}

/// Has so many threads wait for 20 ms for what this one does then. The time that they waited must be told within 5 %, and the wake must be
/// charged with it. `wait` gets the number of its thread.
fn are_told(name: &str, waiters: usize, charged: Charged, wait: impl Fn(usize) + Sync, wake: impl FnOnce()) {
    let waiting: Vec<AtomicI32> = (0..waiters).map(|_| AtomicI32::new(0)).collect();
    let (mut whole, mut asleep) = (Duration::ZERO, Duration::ZERO);
    let samples = measured(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..waiters)
                .map(|number| {
                    let (id, wait) = (&waiting[number], &wait);
                    scope.spawn(move || {
                        id.store(thread_id(), Relaxed);
                        waits_here(|| wait(number))
                    })
                })
                .collect();
            waiting.iter().for_each(await_sleep);
            thread::sleep(HELD);
            wakes_here(wake);
            for taken in threads.into_iter().map(|thread| thread.join().unwrap()) {
                whole += taken.whole;
                // Of the time that a thread did not sleep, a part may belong to the wait: it was woken, and had no processor yet.
                asleep += taken.whole.saturating_sub(taken.awake);
            }
        });
    });
    let (_, told) = change(&samples, block, "waits_here");
    let least = HELD / 2 * waiters as u32;
    assert!(
        told <= whole && told >= asleep * 95 / 100 && told > least,
        "{waiters} wait for {name}: {told:?} of {whole:?}, {asleep:?} asleep"
    );
    let least = match charged {
        Charged::Waker => least,
        Charged::Chain => HELD / 2,
        Charged::Other => return,
    };
    let (count, told) = change(&samples, mutex, "wakes_here");
    // Who waited goes on later than it was woken, by the time that it takes to get a processor.
    assert!(
        count >= 1.0 && told <= whole && told > least,
        "{waiters} wait for {name}: {count}, {told:?} of {whole:?}"
    );
}

#[test]
fn locks_of_the_standard_library_are_told_and_charged() {
    let _turn = turn();
    for waiters in WAITERS {
        let lock = Mutex::new(());
        let guard = lock.lock().unwrap();
        are_told("Mutex", waiters, Charged::Waker, |_| drop(lock.lock()), || drop(guard));
        let lock = RwLock::new(());
        let guard = lock.write().unwrap();
        are_told("RwLock::read", waiters, Charged::Waker, |_| drop(lock.read()), || drop(guard));
        let guard = lock.read().unwrap();
        are_told("RwLock::write", waiters, Charged::Waker, |_| drop(lock.write()), || drop(guard));
    }
}

#[test]
fn other_waits_of_the_standard_library_are_told() {
    let _turn = turn();
    for waiters in WAITERS {
        let (ready, condvar) = (Mutex::new(false), Condvar::new());
        let wait = |_| drop(condvar.wait_while(ready.lock().unwrap(), |ready| !*ready));
        are_told("Condvar", waiters, Charged::Waker, wait, || {
            *ready.lock().unwrap() = true;
            condvar.notify_all();
        });
        let barrier = Barrier::new(waiters + 1);
        are_told("Barrier", waiters, Charged::Waker, |_| _ = barrier.wait(), || _ = barrier.wait());
        channels_are_told(waiters);
        parking_is_told(waiters);
        // The one who makes the value takes its time until the others wait, and wakes them by itself.
        let (once, begun, is_enough) = (Once::new(), Barrier::new(2), AtomicBool::new(false));
        let makes = || {
            once.call_once(|| {
                begun.wait();
                while !is_enough.load(Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            });
        };
        thread::scope(|scope| {
            scope.spawn(makes);
            begun.wait();
            let wait = |_| once.call_once(|| unreachable!());
            are_told("Once", waiters, Charged::Other, wait, || is_enough.store(true, Relaxed));
        });
    }
}

/// Each thread has a channel of its own.
fn channels_are_told(waiters: usize) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..waiters).map(|_| mpsc::channel()).unzip();
    let receivers: Vec<_> = receivers.into_iter().map(Mutex::new).collect();
    let wait = |number: usize| receivers[number].lock().unwrap().recv().unwrap();
    are_told("mpsc", waiters, Charged::Waker, wait, || {
        senders.iter().for_each(|sender| sender.send(()).unwrap());
    });
}

fn parking_is_told(waiters: usize) {
    let threads = Mutex::new(Vec::new());
    let park = |_| {
        threads.lock().unwrap().push(thread::current());
        thread::park();
    };
    are_told("park", waiters, Charged::Waker, park, || {
        threads.lock().unwrap().iter().for_each(Thread::unpark);
    });
}

#[test]
fn locks_of_parking_lot_are_told() {
    let _turn = turn();
    for waiters in WAITERS {
        let lock = parking_lot::Mutex::new(());
        let guard = lock.lock();
        are_told("parking_lot::Mutex", waiters, Charged::Chain, |_| drop(lock.lock()), || drop(guard));
        let lock = parking_lot::RwLock::new(());
        let guard = lock.write();
        are_told("parking_lot::RwLock", waiters, Charged::Waker, |_| drop(lock.read()), || drop(guard));
        let (ready, condvar) = (parking_lot::Mutex::new(false), parking_lot::Condvar::new());
        let wait = |_| condvar.wait_while(&mut ready.lock(), |ready| !*ready);
        are_told("parking_lot::Condvar", waiters, Charged::Chain, wait, || {
            *ready.lock() = true;
            condvar.notify_all();
        });
    }
}

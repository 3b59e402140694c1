//! Who waits at one moment, and for whom.

use std::hint::{black_box, spin_loop};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use capture::{CurrentWaits, LockWord, current_waits, set_block_rate};

use crate::common::is_of;
use crate::{HELD, await_sleep, thread_id, turn};

/// Who waits now is told with the word, the time, and who has a pointer to it; and who has gone on since then does not wait.
#[test]
fn who_waits_now_is_told_until_it_goes_on() {
    let _turn = turn();
    let lock = Mutex::new(());
    let guard = black_box(lock.lock().unwrap());
    let waiting = AtomicI32::new(0);
    set_block_rate(Some(Duration::from_millis(1))).unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            waiting.store(thread_id(), Relaxed);
            drop(lock.lock());
        });
        await_sleep(&waiting);
        thread::sleep(HELD);
        let mut waits = current_waits().unwrap();
        let id = waiting.load(Relaxed) as u32;
        let of_waiter = |waits: &CurrentWaits| waits.waits.iter().find(|wait| wait.thread.id == id).cloned();
        let wait = of_waiter(&waits).expect("it waits");
        let address = (&raw const lock).addr();
        assert_eq!(
            (wait.address, wait.word, wait.has_end, wait.joins),
            (address, LockWord::Mutex, false, None)
        );
        let waited = wait.waited.expect("it was measured");
        assert!(waited >= HELD && waited <= start.elapsed(), "{waited:?}");
        assert!(waits.pointed_to_by[&address].contains(&(thread_id() as u32)), "{:?}", waits.pointed_to_by);
        assert!(!waits.pointed_to_by[&address].contains(&id));
        assert!(waits.deadlocks(|_| true).is_empty());
        waits.keep_lasting();
        assert!(of_waiter(&waits).is_some());
        drop(black_box(guard));
        waiter.join().unwrap();
        waits.keep_lasting();
        assert!(of_waiter(&waits).is_none());
    });
    set_block_rate(None).unwrap();
}

/// A thread that computes while it has a lock can give it back, though all others wait for each other: it is no deadlock.
#[test]
fn who_computes_with_a_lock_makes_no_deadlock() {
    let _turn = turn();
    let locks = [Mutex::new(()), Mutex::new(())];
    let ids = [const { AtomicI32::new(0) }; 3];
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let guard = black_box(locks[1].lock().unwrap());
            ids[0].store(thread_id(), Relaxed);
            while !is_over.load(Relaxed) {
                spin_loop();
            }
            drop(black_box(guard));
        });
        while ids[0].load(Relaxed) == 0 {
            thread::yield_now();
        }
        scope.spawn(|| {
            let guard = black_box(locks[0].lock().unwrap());
            ids[1].store(thread_id(), Relaxed);
            drop(locks[1].lock());
            drop(black_box(guard));
        });
        await_sleep(&ids[1]);
        scope.spawn(|| {
            // It knows the lock that the first thread waits for, and does not have it.
            let known = black_box(&locks[1]);
            ids[2].store(thread_id(), Relaxed);
            drop(locks[0].lock());
            black_box(known);
        });
        await_sleep(&ids[2]);
        let waits = current_waits().unwrap();
        let [computes, ..] = ids.each_ref().map(|id| id.load(Relaxed) as u32);
        let pointing = &waits.pointed_to_by[&(&raw const locks[1]).addr()];
        let deadlocks = waits.deadlocks(|_| true);
        is_over.store(true, Relaxed);
        assert!(pointing.contains(&computes), "{pointing:?}");
        assert_eq!(deadlocks, []);
    });
}

/// A thread that takes its name and begins to wait while it is looked at has that name, and the stack of that wait.
#[test]
fn a_wait_that_begins_during_the_look_has_its_stack_and_its_thread_s_name() {
    let _turn = turn();
    let lock = Mutex::new(());
    let mut seen = 0;
    let start = Instant::now();
    while seen < 20 {
        assert!(start.elapsed() < Duration::from_secs(100), "{seen} of 20 were seen to wait");
        let guard = black_box(lock.lock().unwrap());
        let id = AtomicI32::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                id.store(thread_id(), Relaxed);
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(6) {
                    spin_loop();
                }
                // SAFETY: the text ends with a zero, and the call only reads it.
                unsafe { libc::prctl(libc::PR_SET_NAME, c"named-late".as_ptr()) };
                waits_in_the_end(&lock);
            });
            while id.load(Relaxed) == 0 {
                thread::yield_now();
            }
            let waits = current_waits();
            drop(guard);
            let id = id.load(Relaxed) as u32;
            let wait = waits.unwrap().waits.into_iter().find(|wait| wait.thread.id == id);
            if let Some(wait) = wait.filter(|wait| wait.address == (&raw const lock).addr()) {
                seen += 1;
                assert_eq!(&*wait.thread.name, "named-late");
                let frames = wait.thread.frames.iter();
                assert!(frames.clone().any(|frame| is_of(frame.lookup(), "waits_in_the_end")), "{wait:?}");
            }
        });
    }
}

#[inline(never)]
fn waits_in_the_end(lock: &Mutex<()>) {
    drop(black_box(lock.lock()));
}

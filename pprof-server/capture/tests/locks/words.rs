//! These tests ask what kind of lock a word is taken for that threads waited on. Where a build has no names, only this kind tells locks from
//! other waits.

use std::sync::RwLock;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use capture::{LockSamples, LockWord};

use crate::{HELD, await_sleep, measured, mutex, thread_id, turn};

/// Sums up the time that is charged to wakes of words of a kind.
fn charged(samples: &LockSamples, word: LockWord) -> f64 {
    let of_word = mutex(samples).iter().filter(|stack| stack.word == word);
    of_word.map(|stack| stack.sums.nanoseconds).sum()
}

/// A writer that has waited leaves a mark in the word, and readers wait for the value that a parked thread waits for.
#[test]
fn readers_that_a_writer_makes_wait_are_no_parked_threads() {
    let _turn = turn();
    let lock = RwLock::new(());
    let [writer, reader] = [const { AtomicI32::new(0) }; 2];
    let samples = measured(|| {
        let first = lock.write().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                writer.store(thread_id(), Relaxed);
                let second = lock.write().unwrap();
                scope.spawn(|| {
                    reader.store(thread_id(), Relaxed);
                    drop(lock.read());
                });
                await_sleep(&reader);
                thread::sleep(HELD);
                drop(second);
            });
            await_sleep(&writer);
            drop(first);
        });
    });
    let [before, after] = samples.each_ref().map(|samples| charged(samples, LockWord::RwLock));
    assert!(after - before >= HELD.as_nanos() as f64 * 0.9, "{} ns", after - before);
}

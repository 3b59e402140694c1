//! Two threads that take two locks in opposite order, once with locks of the standard library and once with those of `parking_lot`.

use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

#[inline(never)]
fn takes_both_of_std(first: &Mutex<u64>, second: &Mutex<u64>, turn: &Barrier) {
    let first = first.lock();
    turn.wait();
    let second = second.lock();
    drop(black_box((first, second)));
}

#[inline(never)]
fn takes_both_of_parking_lot(
    first: &parking_lot::Mutex<u64>,
    second: &parking_lot::Mutex<u64>,
    turn: &Barrier,
) {
    let first = first.lock();
    turn.wait();
    let second = second.lock();
    drop(black_box((first, second)));
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.into()).spawn(work).expect("a thread");
}

/// Begins the deadlock of the standard library's locks. Its threads never end.
pub fn of_std() {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    let turn = Arc::new(Barrier::new(2));
    let (of_other, turn_of_other) = (locks.clone(), turn.clone());
    named("std-1", move || takes_both_of_std(&locks.0, &locks.1, &turn));
    named("std-2", move || takes_both_of_std(&of_other.1, &of_other.0, &turn_of_other));
}

/// Begins the deadlock of `parking_lot`'s locks. Its threads never end.
pub fn of_parking_lot() {
    let locks = Arc::new((parking_lot::Mutex::new(0), parking_lot::Mutex::new(0)));
    let turn = Arc::new(Barrier::new(2));
    let (of_other, turn_of_other) = (locks.clone(), turn.clone());
    named("parking_lot-1", move || takes_both_of_parking_lot(&locks.0, &locks.1, &turn));
    named("parking_lot-2", move || takes_both_of_parking_lot(&of_other.1, &of_other.0, &turn_of_other));
}

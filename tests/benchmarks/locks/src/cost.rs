//! This measures what it costs to take a lock that nobody else wants, and to give it back.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::{timed, timed_async};

/// A measurement goes on for so long, and the shortest of so many counts.
const LASTS: Duration = Duration::from_millis(40);
const TIMES: usize = 5;

/// A lock has a name, and a function that takes it and gives it back so often.
pub type Lock = (&'static str, fn(u64));

pub const LOCKS: [Lock; 3] = [
    ("std Mutex", pairs_of_std),
    ("parking_lot Mutex", pairs_of_parking_lot),
    ("tokio Mutex", pairs_of_tokio),
];

#[inline(never)]
fn pairs_of_std(pairs: u64) {
    let lock = Mutex::new(0_u64);
    for _ in 0..pairs {
        *timed!("std Mutex", black_box(&lock).lock().expect("no panic")) += 1;
    }
}

#[inline(never)]
fn pairs_of_parking_lot(pairs: u64) {
    let lock = parking_lot::Mutex::new(0_u64);
    for _ in 0..pairs {
        *timed!("parking_lot Mutex", black_box(&lock).lock()) += 1;
    }
}

#[inline(never)]
fn pairs_of_tokio(pairs: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let lock = tokio::sync::Mutex::new(0_u64);
        for _ in 0..pairs {
            *timed_async!("tokio Mutex", black_box(&lock).lock()) += 1;
        }
    });
}

/// Returns how many nanoseconds a pair takes.
pub fn nanos_of_pair(pairs_of: fn(u64)) -> f64 {
    let nanos = |pairs| {
        let start = Instant::now();
        pairs_of(pairs);
        start.elapsed().as_nanos() as f64 / pairs as f64
    };
    let pairs = (LASTS.as_nanos() as f64 / nanos(20_000)) as u64 + 1;
    (0..TIMES).map(|_| nanos(pairs)).fold(f64::INFINITY, f64::min)
}

/// Returns how much processor time the process has taken so far.
pub fn processor_time() -> Duration {
    // SAFETY: zeros are a valid `rusage`, of numbers alone.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `rusage`.
    let answer = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut used) };
    assert_eq!(answer, 0);
    let time =
        |of: libc::timeval| Duration::from_secs(of.tv_sec as u64) + Duration::from_micros(of.tv_usec as u64);
    time(used.ru_utime) + time(used.ru_stime)
}

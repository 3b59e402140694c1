//! Where the words of threads are that have had a label.
//!
//! No notice comes when a thread ends, and none is needed: a reader copies the word and looks whose it is. The place of a thread
//! that has ended is taken by the next thread that finds it.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

use crate::errno::keeping_errno;

/// Threads beyond this number that live at once may not be found. Each place takes 16 bytes, once it is used.
const PLACES: usize = 4096;
/// How many places are tried for a thread.
const TRIES: usize = 64;

struct Place {
    thread_id: AtomicU32,
    address: AtomicUsize,
}

static THREADS: [Place; PLACES] =
    [const { Place { thread_id: AtomicU32::new(0), address: AtomicUsize::new(0) } }; PLACES];

/// Yields the places where a thread may be.
fn places(thread_id: u32) -> impl Iterator<Item = &'static Place> {
    let first = thread_id as usize;
    (0..TRIES).filter_map(move |next| THREADS.get(first.wrapping_add(next) % PLACES))
}

/// Notes where the word of the calling thread is. If no place is free, it is not noted, and nobody finds it.
pub(super) fn add(thread_id: u32, address: usize) {
    for place in places(thread_id) {
        let holder = place.thread_id.load(Relaxed);
        if holder != thread_id && holder != 0 && is_alive(holder) {
            continue;
        }
        if place.thread_id.compare_exchange(holder, thread_id, Relaxed, Relaxed).is_ok() {
            // A reader that finds another thread's address here sees by the word that it is another's.
            return place.address.store(address, Release);
        }
    }
}

pub(super) fn word_of(thread_id: u32) -> Option<usize> {
    let place = places(thread_id).find(|place| place.thread_id.load(Relaxed) == thread_id)?;
    Some(place.address.load(Acquire)).filter(|&address| address != 0)
}

/// Whether a thread of this process has this number.
fn is_alive(thread_id: u32) -> bool {
    // SAFETY: signal 0 is never sent, only whether it could be is found out.
    keeping_errno(|| unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread_id, 0) } == 0)
}

/// Forgets the threads of the parent of a fork.
pub(super) fn begin_anew() {
    for place in THREADS.iter().filter(|place| place.thread_id.load(Relaxed) != 0) {
        place.thread_id.store(0, Relaxed);
    }
}

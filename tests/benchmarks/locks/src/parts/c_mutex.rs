//! Threads want one lock of the C library, as C and C++ code has them. No Rust lock is made of it on Linux.

use std::cell::UnsafeCell;
use std::time::Duration;

use crate::parts::{Load, Waited, contend};
use crate::timed;

struct Lock(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: threads use it by the C library's functions alone, which allow that.
unsafe impl Sync for Lock {}

static LOCK: Lock = Lock(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));

#[inline(never)]
fn waits() {
    // SAFETY: the lock is initialized, and lives as long as the program.
    let locked = timed!("C mutex", unsafe { libc::pthread_mutex_lock(LOCK.0.get()) }); // waits
    assert_eq!(locked, 0);
}

#[inline(never)]
fn gives_back(held: Duration) {
    std::thread::sleep(held);
    // SAFETY: this thread has the lock.
    let unlocked = unsafe { libc::pthread_mutex_unlock(LOCK.0.get()) }; // gives back
    assert_eq!(unlocked, 0);
}

pub fn run(load: Load, ready: &mut dyn FnMut()) -> Waited {
    ready();
    contend(load, |_| waits(), |()| gives_back(load.held))
}

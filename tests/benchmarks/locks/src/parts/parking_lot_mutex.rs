//! Threads want one `Mutex` of `parking_lot`.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::parts::{Load, Waited, contend};
use crate::timed;

static LOCK: Mutex<u64> = Mutex::new(0);

#[inline(never)]
fn waits() -> MutexGuard<'static, u64> {
    std::hint::black_box(timed!("parking_lot Mutex", LOCK.lock())) // waits
}

#[inline(never)]
fn gives_back(guard: MutexGuard<'static, u64>, held: Duration) {
    std::thread::sleep(held);
    drop(guard); // gives back
    std::hint::black_box(held);
}

pub fn run(load: Load, ready: &mut dyn FnMut()) -> Waited {
    ready();
    contend(load, |_| waits(), |guard| gives_back(guard, load.held))
}

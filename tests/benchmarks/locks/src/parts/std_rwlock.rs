//! One thread writes what the others read, by an `RwLock` of the standard library. The writer has it longer than the readers.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::parts::{Load, Waited, contend};
use crate::timed;

static LOCK: RwLock<u64> = RwLock::new(0);

enum Guard {
    Reads(#[expect(dead_code, reason = "it is dropped")] RwLockReadGuard<'static, u64>),
    Writes(#[expect(dead_code, reason = "it is dropped")] RwLockWriteGuard<'static, u64>),
}

#[inline(never)]
fn waits_to_read() -> Guard {
    Guard::Reads(timed!("std RwLock", LOCK.read().unwrap_or_else(PoisonError::into_inner))) // waits
}

#[inline(never)]
fn waits_to_write() -> Guard {
    Guard::Writes(timed!("std RwLock", LOCK.write().unwrap_or_else(PoisonError::into_inner))) // waits
}

#[inline(never)]
fn gives_back(guard: Guard, held: Duration) {
    let held = if matches!(guard, Guard::Writes(_)) { held } else { held / 5 };
    std::thread::sleep(held);
    drop(guard); // gives back
    std::hint::black_box(held);
}

pub fn run(load: Load, ready: &mut dyn FnMut()) -> Waited {
    ready();
    let load = Load { turns: load.turns * 4, ..load };
    let waits = |number| if number == 0 { waits_to_write() } else { waits_to_read() };
    contend(load, waits, |guard| gives_back(guard, load.held))
}

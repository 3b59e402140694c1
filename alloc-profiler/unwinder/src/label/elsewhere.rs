//! A thread's label where no signal handler asks for it.

use std::cell::Cell;

thread_local! {
    static LABEL: Cell<u32> = const { Cell::new(0) };
}

/// Returns the label. The upper half is never 0, since there is no list that the thread would have to be added to.
pub(super) fn load() -> u64 {
    1 << 32 | u64::from(LABEL.try_with(Cell::get).unwrap_or(0))
}

pub(super) fn store(label: u32) {
    let _ = LABEL.try_with(|of_thread| of_thread.set(label));
}

pub(super) fn meet_thread() {}

//! How many forks lie between this process and the one that took the first capture: what was made at another count is a
//! parent's.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static FORKS: AtomicU32 = AtomicU32::new(0);

pub(super) fn count() -> u32 {
    FORKS.load(Relaxed)
}

pub(super) fn add() {
    FORKS.fetch_add(1, Relaxed);
}

//! The right to record, which one recording of a kind has at a time.
//!
//! Path: *read path*.

use std::sync::atomic::{AtomicBool, Ordering::*};

/// Whether a kind of recording is under way.
#[derive(Debug)]
pub(super) struct Turns(AtomicBool);

/// Holds the right to record until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(&'static AtomicBool);

impl Turns {
    pub(super) const fn new() -> Turns {
        Turns(AtomicBool::new(false))
    }

    /// Returns the right to record, unless another recording has it.
    pub(super) fn take(&'static self) -> Option<Turn> {
        self.0.compare_exchange(false, true, Acquire, Relaxed).is_ok().then_some(Turn(&self.0))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

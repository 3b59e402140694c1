//! Lets one capture run at a time, and one dump.

use std::sync::atomic::{AtomicBool, Ordering::*};

use super::purpose::Purpose;
use crate::StartError;

/// Whether one is under way, by purpose.
static IS_TAKEN: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

/// Holds the right to capture, or to dump.
pub(super) struct Turn(&'static AtomicBool);

impl Turn {
    pub(super) fn take(purpose: Purpose) -> Result<Turn, StartError> {
        let is_taken = &IS_TAKEN[purpose as usize];
        match is_taken.compare_exchange(false, true, Acquire, Relaxed) {
            Ok(_) => Ok(Turn(is_taken)),
            Err(_) => Err(StartError::InUse),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

/// Forgets the parent's capture and dump.
pub(super) fn begin_anew() {
    IS_TAKEN.iter().for_each(|is_taken| is_taken.store(false, Relaxed));
}

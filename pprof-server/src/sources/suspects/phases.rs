//! The recorder with a clock, for the benchmark of the read path.
//!
//! It is not part of the interface.
//!
//! Path: *read path*.

use std::time::{Duration, Instant};

use alloc_profiler::{Snapshot, unsampled};

use crate::history::{DEFAULT_LIMIT_BYTES, DEFAULT_PERIOD, History};
use crate::process;
use crate::sources::suspects::NamedStacks;

/// A history of default size, into which minutes are recorded as fast as they can be.
#[derive(Debug)]
pub struct Recorder {
    history: History,
    now: Instant,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { history: History::new(Some(DEFAULT_PERIOD), DEFAULT_LIMIT_BYTES), now: Instant::now() }
    }
}

impl Recorder {
    /// Keeps `snapshot`, a minute after the last one.
    pub fn record(&mut self, snapshot: &Snapshot) {
        self.now += DEFAULT_PERIOD;
        unsampled(|| self.history.record(snapshot, process::memory(), self.now));
    }

    /// Memory that the records take, and their number.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        (self.history.held_bytes(), self.history.records().len())
    }

    /// How long it takes to tell which stacks leak, and how many do anything of the kind.
    #[must_use]
    pub fn suspects(&self, now: &Snapshot) -> (Duration, usize) {
        let start = Instant::now();
        let suspects = super::report(&NamedStacks::of(now), &self.history, now, self.now).len();
        (start.elapsed(), suspects)
    }
}

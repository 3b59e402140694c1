//! The recorder with a clock, and the report on suspects with its phases apart, for the benchmarks of the read path.
//!
//! It is not part of the interface.
//!
//! Path: *read path*.

use std::time::{Duration, Instant};

use alloc_profiler::internal::{cpu_time, literal};
use alloc_profiler::{Snapshot, unsampled};

use super::{LONGEST_WINDOW, series};
use crate::history::{DEFAULT_LIMIT_BYTES, DEFAULT_PERIOD, History};
use crate::process;
use crate::sources::suspects::{NamedStacks, Wanted};

/// A history of default size, into which records are made as fast as they can be.
#[derive(Debug)]
pub struct Recorder {
    history: History,
    now: Instant,
}

/// What a report on suspects cost, and what it was made of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReportPhases {
    /// The processor's time that it took to find the names of all stacks.
    pub names: Duration,
    /// The processor's time that all else took, the text included.
    pub report: Duration,
    /// How many moments were looked at, that of now included.
    pub moments: usize,
    /// How many groups are suspected of anything.
    pub suspects: usize,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { history: History::new(Some(DEFAULT_PERIOD), DEFAULT_LIMIT_BYTES), now: Instant::now() }
    }
}

impl Recorder {
    /// Keeps `snapshot`, a minute after the last one.
    pub fn record(&mut self, snapshot: &Snapshot) {
        self.record_after(DEFAULT_PERIOD, snapshot);
    }

    /// Keeps `snapshot`, so long after the last one.
    pub fn record_after(&mut self, pause: Duration, snapshot: &Snapshot) {
        self.now += pause;
        unsampled(|| self.history.record(snapshot, process::memory(), self.now));
    }

    /// Memory that the records take, and their number.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        (self.history.held_bytes(), self.history.records().len())
    }

    /// Writes the report on which stacks leak, with ten rows, so long after the last record.
    #[must_use]
    pub fn suspects(&self, pause: Duration, now: &Snapshot) -> ReportPhases {
        let at = self.now + pause;
        let now = &literal!(Snapshot { taken_at_monotonic: at, ..now.clone() });
        let wanted = Wanted { window: None, rows: 10 };
        let start = cpu_time();
        let names = NamedStacks::of(now);
        let named = cpu_time();
        let report = super::report(&names, &self.history, now, process::memory(), wanted);
        let text = report.to_string();
        let written = cpu_time();
        assert!(!text.is_empty(), "a report always has a heading");
        ReportPhases {
            names: named.saturating_sub(start),
            report: written.saturating_sub(named),
            moments: series::looked_at(&self.history, at, LONGEST_WINDOW).len() + 1,
            suspects: report.len(),
        }
    }
}

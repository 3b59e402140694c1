//! CPU time is sampled between two pushes, by the thread that pushes.
//!
//! Path: *read path*. A look costs a microsecond for each thread and sample.

use capture::{CpuCapture, CpuSamples, StartError};

use crate::cpu_turn::OfPush;
use crate::kept_files;
use crate::standard_error::warn;

/// Samples are taken in each so many parts of a second of a thread's CPU time, as by Go.
const HZ: u32 = 100;

/// Samples CPU time, except while a request does.
#[derive(Debug)]
pub(super) struct CpuSampler {
    is_wanted: bool,
    running: Option<Running>,
}

struct Running {
    capture: CpuCapture,
    turn: OfPush,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl CpuSampler {
    pub(super) fn new(is_wanted: bool) -> CpuSampler {
        CpuSampler { is_wanted, running: None }
    }

    /// Whether it is to be looked at every [`LOOK_EVERY`](capture::LOOK_EVERY).
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Goes on, or begins where it can. Returns what was sampled if a request wants to sample now.
    pub(super) fn look(&mut self) -> Option<CpuSamples> {
        // To list threads and to make timers may be the end of a program in a sandbox.
        if kept_files::is_sandboxed() {
            self.running = None;
            return None;
        }
        match &mut self.running {
            Some(running) => {
                running.capture.look();
                if running.turn.must_end() { self.finish() } else { None }
            }
            None => {
                self.begin();
                None
            }
        }
    }

    /// Ends what is running, and returns what was sampled, if that is anything.
    pub(super) fn finish(&mut self) -> Option<CpuSamples> {
        let Running { capture, turn } = self.running.take()?;
        if kept_files::is_sandboxed() {
            return None;
        }
        let samples = capture.finish();
        drop(turn);
        let is_empty = samples.stacks.is_empty() && samples.lost_periods == 0;
        (!is_empty).then_some(samples)
    }

    fn begin(&mut self) {
        if !self.is_wanted {
            return;
        }
        let Some(turn) = OfPush::begin() else { return };
        match CpuCapture::start(HZ) {
            Ok(capture) => self.running = Some(Running { capture, turn }),
            Err(StartError::InUse) => {}
            Err(error) => {
                self.is_wanted = false;
                warn(&format!("no CPU profiles are pushed: {error}"));
            }
        }
    }
}

//! The thread that pushes samples CPU time, makes profiles, and sends them.
//!
//! Path: *read path*. A push costs what a profile costs, and a connection.

use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use alloc_profiler::Snapshot;
use alloc_profiler::internal::bell;
use capture::{CpuSamples, LOOK_EVERY};

use super::counts::Counts;
use super::cpu_sampler::CpuSampler;
use super::engine::{Engine, Outcome, Patience, told};
use super::kept::Kept;
use super::pace::Pace;
use super::protocol::{Kind, LabelPair};
use super::running::Running;
use crate::allocated::Allocated;
use crate::encode::{ProfileOptions, SizeLimit, Symbolize, cpu_profile, heap_profile};
use crate::kept_files;
use crate::process;
use crate::standard_error::{tell, warn, warn_once};

/// How long each part of a request may take at most where the end of the program waits for it.
const LAST_PATIENCE: Patience = Patience(Duration::from_secs(2));

const NOT_INSTALLED: &str = "no SamplingAllocator is the global allocator of this program, so no heap profiles are pushed; use \
     pprof_server::install!(), or declare one";

/// What is pushed to one engine.
#[derive(Debug)]
pub(super) struct Pusher {
    pub(super) engine: Engine,
    /// Every profile has them.
    pub(super) labels: Vec<LabelPair>,
    pub(super) snapshot: fn() -> Snapshot,
    pub(super) pace: Pace,
    pub(super) patience: Patience,
    pub(super) cpu: CpuSampler,
    pub(super) counts: Arc<Counts>,
    pub(super) is_over: Arc<AtomicBool>,
    pub(super) state: State,
}

/// What is known of the pushes so far.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What had been allocated when the engine last took a heap profile.
    before: Option<Allocated>,
    hasher: RandomState,
    /// The CPU profiles that it has not taken yet.
    kept: Kept,
    /// That the last push failed, which is said once.
    has_failed: bool,
}

impl Pusher {
    /// Works until it is told to end, and then pushes once more.
    pub(super) fn run(mut self) {
        loop {
            let is_last = self.sample_until_due();
            // A panic of the profiler does not end the pushing.
            let round = catch_unwind(AssertUnwindSafe(|| self.push(is_last)));
            if round.is_err() {
                self.slow_down("the profiler panicked; see above".to_owned(), None);
            }
            if is_last {
                return;
            }
        }
    }

    /// Waits until the next push is due, and samples CPU time meanwhile. Returns whether that push is the last one.
    fn sample_until_due(&mut self) -> bool {
        loop {
            let rings = bell::rings();
            let now = Instant::now();
            let must_end = self.is_over.load(Relaxed) || Running::is_exiting();
            if must_end || now >= self.pace.next() {
                return must_end;
            }
            if let Some(samples) = self.cpu.look() {
                self.keep(samples);
            }
            let rest = self.pace.next().saturating_duration_since(now);
            bell::wait(rings, if self.cpu.is_wanted() { rest.min(LOOK_EVERY) } else { rest });
        }
    }

    /// Pushes what there is: a heap profile, and CPU profiles.
    fn push(&mut self, is_last: bool) {
        static IS_SANDBOXED_TOLD: AtomicBool = AtomicBool::new(false);
        if let Some(samples) = self.cpu.finish() {
            self.keep(samples);
        }
        // mutant: E72 a connection is made in a sandbox
        if kept_files::is_sandboxed() {
            let text = "the program has entered a sandbox, which may kill whoever opens a socket, so no profiles are pushed; \
                        PPROF_OPEN_FILES=1 has them pushed all the same";
            warn_once(&IS_SANDBOXED_TOLD, text);
            return self.pace.go_on(Instant::now());
        }
        if !process::can_work() {
            return self.pace.go_on(Instant::now());
        }
        let patience = if is_last { self.patience.min(LAST_PATIENCE) } else { self.patience };
        let failure = self.push_heap(patience).and_then(|()| self.push_cpu(patience)).err();
        match failure {
            None => self.go_on(),
            Some(Failure { what, wish }) => self.slow_down(what, wish),
        }
    }

    /// Pushes what was allocated since the engine last took that, and what is in use.
    fn push_heap(&mut self, patience: Patience) -> Result<(), Failure> {
        static IS_TOLD: AtomicBool = AtomicBool::new(false);
        if !alloc_profiler::is_installed() {
            warn_once(&IS_TOLD, NOT_INSTALLED);
            return Ok(());
        }
        let mut now = (self.snapshot)();
        let age = process::age().unwrap_or_default();
        let state = &mut self.state;
        let allocated = Allocated::leave_new(&mut now, state.before.as_ref(), &state.hasher, age);
        let profile = heap_profile(&now, &ProfileOptions::default());
        // mutant: E76 what was read for a push is kept
        drop(now);
        let outcome = self.engine.send(Kind::Heap, &self.labels, profile, patience);
        // mutant: E71 what was refused counts as told
        if outcome.may_have_arrived() {
            self.state.before = Some(allocated);
        }
        self.count(outcome).map(drop)
    }

    /// Pushes the CPU profiles that are kept, the oldest first.
    fn push_cpu(&mut self, patience: Patience) -> Result<(), Failure> {
        while let Some(profile) = self.state.kept.oldest() {
            let outcome = self.engine.send(Kind::Cpu, &self.labels, profile.to_vec(), patience);
            let is_final = matches!(&outcome, Outcome::Refused(refusal) if refusal.is_final());
            if is_final {
                self.counts.dropped.fetch_add(1, Relaxed);
            }
            if is_final || outcome.may_have_arrived() {
                self.state.kept.remove_oldest();
            }
            self.count(outcome)?;
        }
        Ok(())
    }

    /// Counts what became of a profile.
    fn count(&self, outcome: Outcome) -> Result<(), Failure> {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Relaxed);
        let (counter, what, wish) = match outcome {
            Outcome::Accepted => {
                add(&self.counts.accepted);
                return Ok(());
            }
            Outcome::Refused(refusal) => {
                (&self.counts.refused, told(refusal.status, &refusal.reason), refusal.wish)
            }
            Outcome::Unsent(what) => (&self.counts.unsent, what, None),
            Outcome::Unknown(what) => {
                let what = format!("{what}; the profile was sent, and is not sent again");
                (&self.counts.unknown, what, None)
            }
        };
        add(counter);
        Err(Failure { what, wish })
    }

    /// Makes a profile of the samples, and keeps it until it is pushed.
    fn keep(&mut self, samples: CpuSamples) {
        if process::can_work() {
            let profile = cpu_profile(samples, Symbolize::Full, SizeLimit::default());
            let dropped = self.state.kept.add(profile);
            self.counts.dropped.fetch_add(dropped as u64, Relaxed);
        } else {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    fn go_on(&mut self) {
        self.pace.go_on(Instant::now());
        if std::mem::take(&mut self.state.has_failed) {
            tell(&format!("profiles are pushed to {} again", self.engine.uri()));
        }
    }

    fn slow_down(&mut self, what: String, wish: Option<Duration>) {
        self.pace.slow_down(wish, Instant::now());
        if !std::mem::replace(&mut self.state.has_failed, true) {
            warn(&format!(
                "a profile could not be pushed to {}: {what}. Later ones are tried less often; this is said again only after \
                 one was pushed",
                self.engine.uri()
            ));
        }
    }
}

/// Why a push ended before all was pushed.
struct Failure {
    what: String,
    /// When the engine wishes to be asked again.
    wish: Option<Duration>,
}

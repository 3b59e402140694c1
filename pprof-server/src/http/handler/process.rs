//! Answers what the process is doing: CPU time, threads, waits.
//!
//! Path: *read path*. What takes time is done by the workers.

use std::time::{Duration, Instant};

use alloc_profiler::StackTrace;
use capture::{CpuCapture, LOOK_EVERY, LockWatch, StartError};
use hyper::StatusCode;
use tokio::sync::SemaphorePermit;

use super::Handler;
use super::pages::lane_of;
use super::state::{State, keep_index};
use crate::cpu_turn::OfRequest;
use crate::encode::Symbolize;
use crate::http::refusal::Refusal;
use crate::http::request::lock_request::{CountsRequest, CurrentRequest, Span};
use crate::http::request::process_request::{CpuRequest, GoroutineRequest, WallRequest};
use crate::http::request::trace_request::TraceRequest;
use crate::http::response::answer::Answer;
use crate::http::response::process;
use crate::http::workers::executor::{sleep, sleep_until};
use crate::http::workers::{Lane, Workers};
use crate::kept_files;
use crate::sources::cpu;
use crate::sources::goroutine::Kind;
use crate::sources::locks::current::Waiting;
use crate::sources::locks::task_waits::{FoundTaskWaits, TaskWaits};
use crate::sources::locks::{Counted, Measured};
use crate::sources::trace::{NotStarted, Recording};
use crate::sources::wall;

/// How long CPU time is sampled until names are looked up for the first time, so that they are known at the end. Then it is
/// twice as long until the next time, and so on.
const FIRST_LOOK_UP: Duration = Duration::from_millis(500);

impl Handler {
    pub(super) async fn cpu(&self, wanted: CpuRequest) -> Result<Answer, Refusal> {
        // mutant: E15 threads are listed in a sandbox
        refuse_in_a_sandbox()?;
        let workers = &self.state().workers;
        let lane = lane_of(wanted.form.symbolize);
        let slot = workers.slot(lane)?;
        let hz = wanted.hz;
        let turn = OfRequest::begin();
        let capture = async move {
            let started =
                started(&turn, || CpuCapture::start(hz), |error| matches!(error, StartError::InUse));
            started.await.map(|capture| (capture, turn)).map_err(|error| refused(&error))
        };
        let (capture, _turn) = workers.run_in(&slot, Lane::Figures, capture).await??;
        let looks = Looks { look: CpuCapture::look, stacks: traces };
        let capture = looks.go_on(workers, &slot, capture, (wanted.time, wanted.form.symbolize)).await?;
        let samples = workers.run_in(&slot, Lane::Figures, async move { capture.finish() }).await?;
        workers.run_in(&slot, lane, async move { process::cpu(samples, &wanted) }).await?
    }

    pub(super) async fn trace(&self, wanted: TraceRequest, takes_gzip: bool) -> Result<Answer, Refusal> {
        refuse_in_a_sandbox()?;
        let workers = &self.state().workers;
        let lane = lane_of(wanted.symbolize);
        let slot = workers.slot(lane)?;
        let hz = wanted.hz;
        let turn = OfRequest::begin();
        let recording = async move {
            let is_in_use = |error: &NotStarted| matches!(error, NotStarted::Capture(StartError::InUse));
            let started = started(&turn, || Recording::start(hz), is_in_use);
            started.await.map(|recording| (recording, turn)).map_err(|error| not_traced(&error))
        };
        let (recording, _turn) = workers.run_in(&slot, Lane::Figures, recording).await??;
        let looks = Looks { look: Recording::look, stacks: Recording::stacks };
        let recording = looks.go_on(workers, &slot, recording, (wanted.time, wanted.symbolize)).await?;
        let recorded = workers.run_in(&slot, Lane::Figures, async move { recording.finish() }).await?;
        let answer = async move { process::trace(recorded, &wanted, takes_gzip) };
        workers.run_in(&slot, lane, answer).await?
    }

    pub(super) async fn wall(&self, wanted: WallRequest) -> Result<Answer, Refusal> {
        refuse_in_a_sandbox()?;
        let workers = &self.state().workers;
        let lane = lane_of(wanted.form.symbolize);
        let slot = workers.slot(lane)?;
        let time = wanted.time;
        let record = async move {
            let mut recording = wall::Recording::start().ok_or_else(|| refused(&StartError::InUse))?;
            let end = Instant::now() + time;
            loop {
                let next = recording.look().map_err(|error| refused(&error))?;
                if next >= end {
                    sleep_until(end).await;
                    return Ok(recording);
                }
                sleep_until(next).await;
            }
        };
        let recording = workers.run_in(&slot, Lane::Figures, record).await??;
        workers.run_in(&slot, lane, async move { process::wall(recording, &wanted) }).await?
    }

    pub(super) async fn goroutine(&self, wanted: GoroutineRequest) -> Result<Answer, Refusal> {
        let workers = &self.state().workers;
        let lane = match wanted.kind {
            Kind::Goroutine => lane_of(wanted.form.symbolize),
            Kind::GoroutineLeak => Lane::Searches,
            // Where threads began is told by names, whether these are wanted or not.
            Kind::ThreadCreate => Lane::Names,
        };
        let (slot, kind) = (workers.slot(lane)?, wanted.kind);
        if kind != Kind::ThreadCreate {
            keep_index(workers)?;
        }
        let before = match wanted.next {
            None => None,
            Some(time) => {
                let first_lane = if kind == Kind::GoroutineLeak { lane } else { Lane::Figures };
                let first = async move { (process::parts(kind), Instant::now()) };
                let (before, start) = workers.run_in(&slot, first_lane, first).await?;
                let wait = async move {
                    sleep_until(start + time).await;
                    start.elapsed()
                };
                let elapsed = workers.run_in(&slot, Lane::Figures, wait).await?;
                Some((before, elapsed))
            }
        };
        let answer = async move { process::goroutine(&wanted, process::parts(kind), before) };
        workers.run_in(&slot, lane, answer).await?
    }

    pub(super) async fn counts(&self, wanted: CountsRequest) -> Result<Answer, Refusal> {
        let State { workers, snapshots, .. } = self.state();
        let snapshots = snapshots.clone();
        // What is a lock is told by names, whether these are wanted or not.
        let slot = workers.slot(Lane::Names)?;
        let tasks = match wanted.span {
            Span::Next(_) if wanted.counted == Counted::Block => {
                keep_index(workers)?;
                workers.run_in(&slot, Lane::Names, async { TaskWaits::start() }).await?
            }
            _ => Err(FoundTaskWaits::default()),
        };
        let measure = async move {
            let measured = match &wanted.span {
                Span::SinceStart => {
                    Measured { now: capture::lock_samples(), before: None, tasks: FoundTaskWaits::default() }
                }
                Span::Next(time) => waited_in(*time, tasks).await?,
                Span::SinceLastCall { client, is_peek } => {
                    snapshots.waited_since_last_call(wanted.counted, client, *is_peek)
                }
            };
            Ok((measured, wanted))
        };
        let (mut measured, wanted) = workers.run_in(&slot, Lane::Figures, measure).await??;
        let answer = async move {
            measured.tasks.note_later_tasks();
            process::locks(&wanted, &measured)
        };
        workers.run_in(&slot, Lane::Names, answer).await?
    }

    pub(super) async fn current(&self, wanted: CurrentRequest) -> Result<Answer, Refusal> {
        refuse_in_a_sandbox()?;
        let workers = &self.state().workers;
        // What is a lock is told by names, whether these are wanted or not.
        let slot = workers.slot(Lane::Names)?;
        let waiting = workers.run_in(&slot, Lane::Figures, waiting_now()).await??;
        workers.run_in(&slot, Lane::Names, async move { process::current(&wanted, &waiting) }).await?
    }
}

/// Looks who waits, and whether they go on waiting.
async fn waiting_now() -> Result<Waiting, Refusal> {
    let waits = capture::current_waits().map_err(|error| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("Could not look which threads wait: {error}"))
    })?;
    let start = Instant::now();
    sleep_until(start + Waiting::watch(&waits)).await;
    Ok(Waiting::after(waits, start.elapsed()))
}

/// Measures what is waited in this time.
async fn waited_in(time: Duration, tasks: Result<TaskWaits, FoundTaskWaits>) -> Result<Measured, Refusal> {
    // Where no wait can be seen, the answer is as long in coming as Go's, and empty.
    let watch = capture::sees_locks().then(LockWatch::start).transpose();
    let _watch = watch.map_err(|error| not_measured(&error))?;
    let (before, start) = (capture::lock_samples(), Instant::now());
    let tasks = watched_until(start + time, tasks).await;
    let time = start.elapsed();
    Ok(Measured { now: capture::lock_samples(), before: Some((before, time)), tasks })
}

/// Looks at the tasks again and again, if they are watched.
async fn watched_until(end: Instant, tasks: Result<TaskWaits, FoundTaskWaits>) -> FoundTaskWaits {
    match tasks {
        Ok(mut tasks) => {
            loop {
                let next = tasks.look();
                if next >= end {
                    break;
                }
                sleep_until(next).await;
            }
            sleep_until(end).await;
            tasks.finish()
        }
        Err(nothing) => {
            sleep_until(end).await;
            nothing
        }
    }
}

/// Refuses where the program has entered a sandbox since it started the server: to list threads and to make timers may be the
/// end of it.
fn refuse_in_a_sandbox() -> Result<(), Refusal> {
    if kept_files::is_sandboxed() {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Could not enable CPU profiling: the program has entered a sandbox since the profiler started, and the sandbox may kill \
             whoever opens a file or makes a timer; set PPROF_OPEN_FILES=1 in the environment if it lets both be done",
        ));
    }
    Ok(())
}

fn not_measured(error: &StartError) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("Could not measure waits for locks: {error}"))
}

/// Starts what samples CPU time, when the thread that pushes profiles has given way.
async fn started<T, E>(
    turn: &OfRequest,
    start: impl Fn() -> Result<T, E>,
    is_in_use: impl Fn(&E) -> bool,
) -> Result<T, E> {
    loop {
        let must_wait = turn.must_wait();
        match start() {
            // mutant: E73 a request does not wait for the thread that pushes
            Err(error) if must_wait && is_in_use(&error) => sleep(LOOK_EVERY / 10).await,
            started => return started,
        }
    }
}

/// How something is taken that takes some time.
struct Looks<T> {
    /// Takes over what happened.
    look: fn(&mut T),
    /// Lists the stacks that there are so far.
    stacks: fn(&T) -> Vec<StackTrace>,
}

impl<T: Send + 'static> Looks<T> {
    /// Goes on with it for this time. Meanwhile names are looked up, if they are wanted.
    async fn go_on(
        &self,
        workers: &Workers,
        slot: &SemaphorePermit<'_>,
        mut taken: T,
        (time, symbolize): (Duration, Symbolize),
    ) -> Result<T, Refusal> {
        let start = Instant::now();
        let (mut passed, end) = (FIRST_LOOK_UP, start + time);
        loop {
            let until = end.min(start + passed);
            taken = workers.run_in(slot, Lane::Figures, look_until(taken, self.look, until)).await?;
            if until == end {
                return Ok(taken);
            }
            passed *= 2;
            if symbolize != Symbolize::None {
                let traces = (self.stacks)(&taken);
                workers.spawn(lane_of(symbolize), async move { cpu::name_addresses(&traces, symbolize) })?;
            }
        }
    }
}

async fn look_until<T>(mut taken: T, look: fn(&mut T), until: Instant) -> T {
    loop {
        let now = Instant::now();
        if now >= until {
            return taken;
        }
        sleep_until(until.min(now + LOOK_EVERY)).await;
        look(&mut taken);
    }
}

/// The stacks that a capture has so far.
fn traces(capture: &CpuCapture) -> Vec<StackTrace> {
    let stacks = capture.stacks();
    stacks.map(|(frames, is_truncated)| StackTrace::new(frames, is_truncated)).collect()
}

/// Go's text and status where another trace is being taken; where a CPU profile is, those for that.
fn not_traced(error: &NotStarted) -> Refusal {
    let why = match error {
        NotStarted::Traced => "execution tracer already enabled",
        NotStarted::Capture(error) => {
            let Refusal { status, .. } = refused(error);
            return Refusal::new(status, format!("Could not enable tracing: {error}"));
        }
    };
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("Could not enable tracing: {why}"))
}

/// Go's text, and Go's status where Go has that error.
fn refused(error: &StartError) -> Refusal {
    let status = match error {
        StartError::InUse => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, format!("Could not enable CPU profiling: {error}"))
}

//! Profiles are made from snapshots of now, of the recorded past, and of what changed between two of them.
//!
//! `handler` calls this on a worker's thread. Only those threads take the locks here; if one panics while it holds a
//! lock, at most the record or the client that was being added is lost.
//!
//! Path: *read path*. A snapshot costs milliseconds.

mod allocations;
mod clients;
mod release;
mod task_look;
mod waits;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alloc_profiler::Snapshot;
use alloc_profiler::internal::cpu_time;
use hyper::StatusCode;

use super::refusal::Refusal;
use super::request::period::Period;
use super::workers::executor::sleep;
use crate::allocated::Allocated;
use crate::dump;
use crate::history::{DEFAULT_LIMIT_BYTES, History, MarkError, Moment, Now, Point, TimeLine, collapsed};
use crate::process;
use crate::sources::locks::{Counted, Measured};
use clients::Clients;
use release::release_free_memory;
pub(crate) use task_look::Found as FoundTasks;
use task_look::TaskLook;
use waits::HadWaits;

/// Takes the snapshots of one process. Clones share the history, the time line and the clients.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    source: Source,
    /// Knows the readers of `delta_heap`.
    clients: Arc<Mutex<Clients<Allocated>>>,
    /// Knows the readers of `delta_block`, and those of `delta_mutex`.
    lock_clients: Arc<Mutex<LockClients>>,
    history: Arc<Mutex<History>>,
    time_line: Arc<Mutex<TimeLine>>,
    task_look: Arc<TaskLook>,
}

/// Knows the readers of the two profiles of waits.
#[derive(Debug, Default)]
struct LockClients {
    block: Clients<HadWaits>,
    mutex: Clients<HadWaits>,
}

/// Where snapshots come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    snapshot: fn() -> Snapshot,
    snapshot_with_ages: fn() -> Snapshot,
}

impl Source {
    pub(crate) fn of_this_process() -> Source {
        Source { snapshot: alloc_profiler::snapshot, snapshot_with_ages: alloc_profiler::snapshot_with_ages }
    }

    /// A source that gives what `snapshot` gives, which may be slow, or panic.
    #[cfg(test)]
    pub(crate) fn of(snapshot: fn() -> Snapshot) -> Source {
        Source { snapshot, snapshot_with_ages: snapshot }
    }
}

impl Snapshots {
    /// The snapshots of `source`, with a history that has one for each `record_period` at least.
    pub(crate) fn new(source: Source, record_period: Option<Duration>) -> Snapshots {
        Snapshots {
            source,
            clients: Arc::default(),
            lock_clients: Arc::default(),
            history: Arc::new(Mutex::new(History::new(record_period, DEFAULT_LIMIT_BYTES))),
            time_line: Arc::default(),
            task_look: Arc::default(),
        }
    }

    /// What was allocated and is in use by now.
    pub(crate) fn now(&self) -> Snapshot {
        (self.source.snapshot)()
    }

    /// As [`now`](Self::now), with the ages of what is in use.
    pub(crate) fn now_with_ages(&self) -> Snapshot {
        (self.source.snapshot_with_ages)()
    }

    fn now_with(&self, needs_ages: bool) -> Snapshot {
        if needs_ages { self.now_with_ages() } else { self.now() }
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn time_line(&self) -> MutexGuard<'_, TimeLine> {
        self.time_line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the program's tasks wait, as it is now or was a short time ago.
    pub(crate) fn tasks(&self) -> FoundTasks {
        self.task_look.found()
    }

    /// Adds what is now to the time line, and returns the time from the beginning of this until the next point is due.
    pub(crate) fn add_point(&self) -> Duration {
        let (at, started) = (Instant::now(), cpu_time());
        let (totals, memory) = (alloc_profiler::totals(), process::memory());
        let point = Point { at, totals, memory, sampling_interval: alloc_profiler::sampling_interval() };
        self.time_line().add(point, cpu_time().saturating_sub(started))
    }

    /// What dumps are made of.
    pub(crate) fn for_dumps(&self) -> dump::Source {
        dump::Source { snapshot: self.source.snapshot_with_ages, history: self.history.clone() }
    }

    /// Adds what is now to the history, and returns the time from the beginning of this until the next record is due. Where
    /// memory is too short for that, the history only counts that.
    pub(crate) fn record(&self) -> Option<Duration> {
        if !process::can_work() {
            let mut history = self.history();
            history.pass_over();
            return history.pause();
        }
        let started = cpu_time();
        let (now, memory) = (self.now(), process::memory());
        let mut history = self.history();
        history.record(&now, memory, now.taken_at_monotonic);
        history.note_cost(cpu_time().saturating_sub(started));
        history.pause()
    }

    /// Sets a mark at this moment.
    pub(crate) fn mark(&self, name: &str, replaces: bool) -> Result<(), MarkError> {
        let (now, memory) = (self.now(), process::memory());
        self.history().mark(name, &now, memory, now.taken_at_monotonic, replaces)
    }

    /// The snapshot of `period`, or the difference between its two ends. For [`Period::Next`] this waits.
    ///
    /// # Errors
    ///
    /// 404 for a moment near which nothing was recorded.
    pub(crate) async fn of_period(&self, period: &Period, needs_ages: bool) -> Result<Snapshot, Refusal> {
        Ok(match period {
            Period::SinceStart { min_age, releases_free_memory } => {
                if *releases_free_memory {
                    release_free_memory();
                }
                let now = self.now_with(needs_ages);
                match min_age {
                    Some(age) => now.older_than(*age),
                    None => now,
                }
            }
            Period::Next(time) => {
                let before = self.now();
                sleep(*time).await;
                self.now_with(needs_ages).since(&before)
            }
            Period::Until(moment) => self.past(moment, &self.now())?,
            Period::Between { from, to: None } => {
                let now = self.now_with(needs_ages);
                let before = self.past(from, &now)?;
                collapsed(now).since(&before)
            }
            Period::Between { from, to: Some(to) } => {
                let now = self.now();
                self.past(to, &now)?.since(&self.past(from, &now)?)
            }
        })
    }

    /// Returns the recorded snapshot nearest to `moment`.
    fn past(&self, moment: &Moment, now: &Snapshot) -> Result<Snapshot, Refusal> {
        match self.history().find(moment, Now::of(now)) {
            Ok(record) => Ok(record.restored(now)),
            Err(missing) => Err(Refusal::new(StatusCode::NOT_FOUND, missing.to_string())),
        }
    }

    /// What was allocated since `client` last called, and what is in use. With `is_peek` this call does not count. With
    /// `releases_free_memory`, free pages go back to the system first.
    pub(crate) fn since_last_call(
        &self,
        client: &str,
        is_peek: bool,
        releases_free_memory: bool,
    ) -> Snapshot {
        if releases_free_memory {
            release_free_memory();
        }
        let now = self.now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.since_last_call(client, now, process::age().unwrap_or_default(), is_peek)
    }

    /// What was waited since `client` last called, as far as it was measured. With `is_peek` this call does not count.
    pub(crate) fn waited_since_last_call(&self, counted: Counted, client: &str, is_peek: bool) -> Measured {
        let mut clients = self.lock_clients.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = match counted {
            Counted::Block => &mut clients.block,
            Counted::Mutex => &mut clients.mutex,
        };
        let age = process::age().unwrap_or_default();
        clients.since_last_call(counted, client, capture::lock_samples(), age, is_peek)
    }
}

#[cfg(test)]
mod tests {
    use super::super::workers::executor::Executor;
    use super::*;

    #[test]
    fn a_delta_lasts_as_long_as_asked() {
        let executor = Executor::start("delta", || ()).unwrap();
        let snapshots = Snapshots::new(Source::of_this_process(), None);
        let started = Instant::now();
        let period = Period::Next(Duration::from_millis(50));
        let delta = executor.remote().spawn(async move { snapshots.of_period(&period, false).await });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let delta = runtime.block_on(delta).unwrap().unwrap().unwrap();
        assert!(delta.duration.is_some() && started.elapsed() >= Duration::from_millis(50));
    }
}

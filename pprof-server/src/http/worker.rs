//! The thread that profiles are made on, so that no caller's thread is: it waits for deltas, and encodes.
//!
//! Called by `handler`. A handler may be polled by any executor, on a thread that serves others meanwhile, and
//! with or without a clock. So all that takes time is sent here, where there is one: a current-thread runtime
//! without sockets, started by the first job, inside `unsampled`, so that what a profile costs is not in it.
//!
//! Path: *read path*. One job runs at a time; those that wait cost no time.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use hyper::StatusCode;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::task;

use super::refusal::Refusal;

/// Jobs that may be under way, those that wait included: each may hold a profile.
pub(super) const MAX_JOBS: usize = 64;

/// Starts its thread when it is first needed; dropped, it ends the thread and all jobs.
#[derive(Debug)]
pub(super) struct Worker {
    state: Mutex<State>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
enum State {
    Idle,
    Running {
        runtime: Handle,
        /// Dropped, it ends the thread.
        _stop: oneshot::Sender<()>,
        thread: JoinHandle<()>,
    },
    Stopped(Option<JoinHandle<()>>),
}

impl Worker {
    pub(super) fn new() -> Worker {
        Worker { state: Mutex::new(State::Idle), places: Arc::new(Semaphore::new(MAX_JOBS)) }
    }

    /// Does `work` on the thread. Dropping the future that is returned ends the work at its next `await`; a
    /// panic of the work is one here.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Ok(_place) = self.places.try_acquire() else {
            let text = "too many profiles are being taken; try again later";
            return Err(Refusal { retry_after: Some("1"), ..refusal(StatusCode::TOO_MANY_REQUESTS, text) });
        };
        let mut job = Job(self.runtime()?.spawn(work));
        match (&mut job.0).await {
            Ok(done) => Ok(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_cancelled) => Err(stopping()),
            },
        }
    }

    /// Does `work` on the thread, which starts if need be, until it is done or the worker is dropped. It is not among the
    /// jobs that are counted.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), Refusal> {
        self.runtime()?.spawn(work);
        Ok(())
    }

    fn runtime(&self) -> Result<Handle, Refusal> {
        let mut state = self.state();
        if matches!(*state, State::Idle) {
            *state = start().map_err(|_| {
                refusal(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the profiler cannot start its thread; try again later",
                )
            })?;
        }
        match &*state {
            State::Running { runtime, .. } => Ok(runtime.clone()),
            State::Idle | State::Stopped(_) => Err(stopping()),
        }
    }

    /// Ends all jobs, and refuses later ones. Returns at once.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        *state = match std::mem::replace(&mut *state, State::Stopped(None)) {
            State::Idle => State::Stopped(None),
            State::Running { thread, .. } => State::Stopped(Some(thread)),
            State::Stopped(thread) => State::Stopped(thread),
        };
    }

    /// Waits for the thread of a stopped worker: as long as one profile is being encoded.
    pub(super) fn join(&self) {
        let thread = match &mut *self.state() {
            State::Stopped(thread) => thread.take(),
            State::Idle | State::Running { .. } => None,
        };
        if let Some(thread) = thread {
            // A panic of the thread has been printed by the panic hook; it is not the host's.
            let _ = thread.join();
        }
    }

    /// Nothing under the lock can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread. The runtime is made there, and dropped there: a runtime that is dropped on a thread of the program's,
/// as one would be that no thread could be started for, panics where that thread runs another runtime's tasks.
fn start() -> io::Result<State> {
    let (stop, stopped) = oneshot::channel();
    let (started, result) = mpsc::sync_channel(1);
    let thread = alloc_profiler::spawn_without_signals("pprof-worker", move || {
        alloc_profiler::unsampled(move || match Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => {
                let _ = started.send(Ok(runtime.handle().clone()));
                // Ends with an error, when the sender is dropped.
                let _ = runtime.block_on(stopped);
                drop(runtime);
            }
            Err(error) => drop(started.send(Err(error))),
        });
    })?;
    let runtime = result.recv().unwrap_or_else(|_| Err(io::Error::other("the thread has ended")))?;
    Ok(State::Running { runtime, _stop: stop, thread })
}

fn stopping() -> Refusal {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the profile server is shutting down")
}

fn refusal(status: StatusCode, text: &'static str) -> Refusal {
    Refusal::new(status, text)
}

/// Work under way, which ends when nobody waits for it any more.
struct Job<T>(task::JoinHandle<T>);

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

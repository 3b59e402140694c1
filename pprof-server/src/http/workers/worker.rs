//! The threads that answers are made on, so that no caller's thread is: they take snapshots, wait for deltas, and encode.
//!
//! Called by `handler`. A handler may be polled by any executor, on a thread that serves others meanwhile, and
//! with or without a clock. So all that takes time is sent here, where there is one: executors of our own, started by the
//! first job, inside `unsampled`, so that what a profile costs is not in it.
//!
//! A job does not give way to others before it is done. So jobs that take longer by nature have a thread of their own,
//! and nobody who asks for a figure waits while debug information is read for somebody else.
//!
//! Path: *read path*. In each lane one job runs at a time; those that wait cost no time.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hyper::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::executor::{Executor, Remote};
use crate::http::refusal::Refusal;

/// What a job needs, which decides how long it may take: each lane is a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Snapshots, figures and clocks: milliseconds.
    Figures,
    /// Addresses, by symbol tables or bare: up to some tenths of a second in a program of hundreds of megabytes.
    Addresses,
    /// Names by debug information: up to seconds, when they are looked up for the first time.
    Names,
}

impl Lane {
    const ALL: [Lane; 3] = [Lane::Figures, Lane::Addresses, Lane::Names];

    fn thread_name(self) -> &'static str {
        match self {
            Lane::Figures => "pprof-worker",
            Lane::Addresses => "pprof-addresses",
            Lane::Names => "pprof-names",
        }
    }

    /// Jobs that may be under way at once, those that wait included. A wait of `Addresses` holds the addresses that were
    /// asked for, up to a megabyte of them.
    pub(crate) const fn max_jobs(self) -> usize {
        match self {
            Lane::Addresses => 16,
            Lane::Figures | Lane::Names => 64,
        }
    }
}

/// Starts its threads when the first is needed, all together: later, the program may be in a sandbox that allows none.
/// Dropped, it ends the threads and all jobs.
#[derive(Debug)]
pub(crate) struct Worker {
    state: Mutex<State>,
    /// By lane.
    places: [Semaphore; Lane::ALL.len()],
}

#[derive(Debug)]
enum State {
    Idle,
    /// By lane.
    Running(Vec<Executor>),
    Stopped(Vec<JoinHandle<()>>),
}

impl Worker {
    pub(crate) fn new() -> Worker {
        let places = Lane::ALL.map(|lane| Semaphore::new(lane.max_jobs()));
        Worker { state: Mutex::new(State::Idle), places }
    }

    /// Does `work` in `lane`. Dropping the future that is returned ends the work at its next `await`; a panic of the work
    /// is one here.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.place(lane)?;
        self.run_in(&place, lane, work).await
    }

    /// A job's place in `lane`, for as long as it takes; or 429.
    pub(crate) fn place(&self, lane: Lane) -> Result<SemaphorePermit<'_>, Refusal> {
        let place = self.places[lane as usize].try_acquire();
        place.map_err(|_| {
            let text = "too many profiles are being taken; try again later";
            Refusal { retry_after: Some("1"), ..refusal(StatusCode::TOO_MANY_REQUESTS, text) }
        })
    }

    /// As [`run`](Self::run), for a job that takes several steps, perhaps in several lanes, and has its place already.
    pub(crate) async fn run_in<T: Send + 'static>(
        &self,
        _place: &SemaphorePermit<'_>,
        lane: Lane,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.lane(lane)?.spawn(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_ended) => Err(stopping()),
        }
    }

    /// Does `work` in `lane`, whose thread starts if need be, until it is done or the worker is dropped. It is not among
    /// the jobs that are counted.
    pub(crate) fn spawn(
        &self,
        lane: Lane,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Refusal> {
        self.lane(lane)?.spawn(work).detach();
        Ok(())
    }

    fn lane(&self, lane: Lane) -> Result<Remote, Refusal> {
        let mut state = self.state();
        if matches!(*state, State::Idle) {
            // Those that were started end where another cannot be.
            let start = |lane: Lane| Executor::start(lane.thread_name(), give_memory_back_once);
            let threads = Lane::ALL.map(start).into_iter().collect::<io::Result<_>>();
            *state = State::Running(threads.map_err(|_| {
                refusal(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the profiler cannot start its threads; try again later",
                )
            })?);
        }
        match &*state {
            State::Running(threads) => Ok(threads[lane as usize].remote().clone()),
            State::Idle | State::Stopped(_) => Err(stopping()),
        }
    }

    /// Ends all jobs, and refuses later ones. Returns at once.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        *state = match std::mem::replace(&mut *state, State::Stopped(Vec::new())) {
            State::Idle => State::Stopped(Vec::new()),
            State::Running(threads) => {
                State::Stopped(threads.into_iter().filter_map(Executor::stop).collect())
            }
            State::Stopped(threads) => State::Stopped(threads),
        };
    }

    /// Waits for the threads of a stopped worker: as long as one profile is being encoded.
    pub(crate) fn join(&self) {
        let threads = match &mut *self.state() {
            State::Stopped(threads) => std::mem::take(threads),
            State::Idle | State::Running(_) => Vec::new(),
        };
        for thread in threads {
            // A panic of the thread has been printed by the panic hook; it is not the host's.
            let _ = thread.join();
        }
    }

    /// Nothing under the lock can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has glibc do here what it does when a thread other than the first gives memory back for the first time in a process's
/// life: it opens `/proc/sys/vm/overcommit_memory`, and the program may be in a sandbox when that comes to pass otherwise.
fn give_memory_back_once() {
    // Below what has a mapping of its own, and together above what is kept.
    const BLOCK_BYTES: usize = 100_000;
    let blocks: [Vec<u8>; 5] = std::array::from_fn(|_| Vec::with_capacity(BLOCK_BYTES));
    drop(std::hint::black_box(blocks));
}

fn stopping() -> Refusal {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the profile server is shutting down")
}

fn refusal(status: StatusCode, text: &'static str) -> Refusal {
    Refusal::new(status, text)
}

//! Answers are made on these threads: they take snapshots, wait for deltas, and encode.
//!
//! `handler` sends work here. A handler may be polled by any executor, on a thread that serves others meanwhile, and with
//! or without a clock. So all that takes time is done on threads of our own. The first job starts them; they run inside
//! `unsampled`, so that what a profile costs is not in it.
//!
//! A job does not give way to others before it is done. So jobs that take longer by nature have a thread of their own,
//! and nobody who asks for a figure waits while debug information is read for somebody else.
//!
//! Path: *read path*. In each lane one job runs at a time; those that wait cost no time.

pub(super) mod executor;
pub(super) mod waiters;

use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hyper::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::refusal::Refusal;
use crate::kept_files;
use crate::process;
use executor::{Executor, Remote};

/// What a job needs, which decides how long it may take: each lane is a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Snapshots, figures and clocks take milliseconds.
    Figures,
    /// Addresses, bare or named by symbol tables, take up to some tenths of a second in a program of hundreds of megabytes.
    Addresses,
    /// Names by debug information take up to seconds, when they are looked up for the first time.
    Names,
    /// Searches of all memory take up to half a minute. Their thread stands back behind the program's.
    Searches,
}

impl Lane {
    const ALL: [Lane; 4] = [Lane::Figures, Lane::Addresses, Lane::Names, Lane::Searches];

    fn thread_name(self) -> &'static str {
        match self {
            Lane::Figures => "pprof-worker",
            Lane::Addresses => "pprof-addresses",
            Lane::Names => "pprof-names",
            Lane::Searches => "pprof-searches",
        }
    }

    /// Returns the function that the lane's thread runs before its first job.
    fn first(self) -> fn() {
        match self {
            Lane::Searches => || {
                give_memory_back_once();
                // Filters that services are told to have kill whoever asks for that: systemd's `~@resources` is one.
                if !kept_files::may_be_filtered() {
                    // mutant: H31 a search competes with the program's threads
                    capture::stand_back();
                }
            },
            Lane::Figures | Lane::Addresses | Lane::Names => give_memory_back_once,
        }
    }

    /// Jobs that may be under way at once, those that wait included. A job that waits in `Addresses` holds the addresses
    /// that were asked for, up to a megabyte of them. Of searches, whoever comes later would wait for too long.
    pub(super) const fn max_jobs(self) -> usize {
        match self {
            Lane::Searches => 4,
            Lane::Addresses => 16,
            Lane::Figures | Lane::Names => 64,
        }
    }
}

/// Keeps the threads of all lanes. They start together when the first is needed, since later the program may be in a
/// sandbox that allows no new thread. When this is dropped, the threads and all jobs end.
#[derive(Debug)]
pub(super) struct Workers {
    state: Mutex<State>,
    /// What is free of each lane's jobs, by lane.
    slots: [Semaphore; Lane::ALL.len()],
}

#[derive(Debug)]
enum State {
    Idle,
    /// There is one executor for each lane.
    Running(Vec<Executor>),
    Stopped(Vec<JoinHandle<()>>),
}

impl Workers {
    pub(super) fn new() -> Workers {
        let slots = Lane::ALL.map(|lane| Semaphore::new(lane.max_jobs()));
        Workers { state: Mutex::new(State::Idle), slots }
    }

    /// Does `work` in `lane`. Dropping the future that is returned ends the work at its next `await`; a panic of the work
    /// is one here.
    ///
    /// # Errors
    ///
    /// 429 if the lane has too many jobs, 503 if the workers have stopped or cannot be started, or where memory is short.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let slot = self.slot(lane)?;
        self.run_in(&slot, lane, work).await
    }

    /// Takes a slot for a job in `lane`, for as long as the job takes.
    ///
    /// # Errors
    ///
    /// 429 if the lane has too many jobs, 503 where memory is too short for one.
    pub(super) fn slot(&self, lane: Lane) -> Result<SemaphorePermit<'_>, Refusal> {
        // mutant: D13 a job begins without memory
        if !process::can_work() {
            let text = "memory is too short for a profile: the program has nearly reached its limit (ulimit -v, \
                        or that of its container); try again later";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).with_retry_after("5"));
        }
        self.slots[lane as usize].try_acquire().map_err(|_| {
            let text = "too many profiles are being taken; try again later";
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).with_retry_after("1")
        })
    }

    /// As [`run`](Self::run), for a job that takes several steps, perhaps in several lanes, and has its slot already.
    pub(super) async fn run_in<T: Send + 'static>(
        &self,
        _slot: &SemaphorePermit<'_>,
        lane: Lane,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.lane(lane)?.spawn(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_ended) => Err(stopping()),
        }
    }

    /// Does `work` in `lane`, whose thread starts if need be, until the work is done or the workers are dropped. It is not
    /// among the jobs that are counted.
    pub(super) fn spawn(
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
            // If one cannot be started, those that were started end here.
            let start = |lane: Lane| Executor::start(lane.thread_name(), lane.first());
            let threads = Lane::ALL.map(start).into_iter().collect::<io::Result<_>>();
            *state = State::Running(threads.map_err(|_| {
                Refusal::new(
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
    pub(super) fn stop(&self) {
        let mut state = self.state();
        *state = match std::mem::replace(&mut *state, State::Stopped(Vec::new())) {
            State::Idle => State::Stopped(Vec::new()),
            State::Running(threads) => {
                State::Stopped(threads.into_iter().filter_map(Executor::stop).collect())
            }
            State::Stopped(threads) => State::Stopped(threads),
        };
    }

    /// Waits for the threads of stopped workers: as long as one profile is being encoded.
    pub(super) fn join(&self) {
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
/// life: it opens `/proc/sys/vm/overcommit_memory`. Otherwise it would do so later, when the program may be in a sandbox.
fn give_memory_back_once() {
    // Each block is below the size that has a mapping of its own, and together they are above what is kept.
    const BLOCK_BYTES: usize = 100_000;
    let mut blocks: [Vec<u8>; 5] = Default::default();
    for block in &mut blocks {
        // Where memory is too short for them, the program goes on without.
        let _ = block.try_reserve_exact(BLOCK_BYTES);
    }
    drop(std::hint::black_box(blocks));
}

fn stopping() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the profile server is shutting down")
}

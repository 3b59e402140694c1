//! The threads of one handler share this state, in one process.
//!
//! Path: *read path*.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dump::Dumps;
use crate::http::options::Options;
use crate::http::refusal::Refusal;
use crate::http::snapshots::{Snapshots, Source};
use crate::http::workers::executor::{sleep, sleep_until};
use crate::http::workers::waiters::Waiters;
use crate::http::workers::{Lane, Workers};
use crate::sources::goroutine::IndexWatch;

/// What threads share. A child of `fork` begins with another one: no history, nobody who waits, and no thread.
#[derive(Debug)]
pub(super) struct State {
    pub(super) snapshots: Snapshots,
    pub(super) waiters: Waiters,
    pub(super) workers: Workers,
    is_recording: AtomicBool,
    /// Where dumps were asked for, and no other handler of this process writes them.
    dumps: Mutex<Option<Dumps>>,
}

impl State {
    pub(super) fn new(source: Source, record_period: Option<Duration>) -> State {
        State {
            snapshots: Snapshots::new(source, record_period),
            waiters: Waiters::default(),
            workers: Workers::new(),
            is_recording: AtomicBool::new(false),
            dumps: Mutex::new(None),
        }
    }

    /// Begins to keep snapshots, the first at once, unless that has begun already. Without a period this only starts the
    /// threads. Where no thread can be started, the history stays empty.
    ///
    /// Dumps begin here too.
    pub(super) fn record(&self, options: &Options) {
        if self.is_recording.swap(true, Relaxed) {
            return;
        }
        *self.dumps() = Dumps::start(&options.dump, self.snapshots.for_dumps());
        if options.record_period.is_none() {
            let _ = self.workers.spawn(Lane::Figures, async {});
            return;
        }
        let snapshots = self.snapshots.clone();
        let _ = self.workers.spawn(Lane::Figures, again_and_again(move || snapshots.record()));
        let snapshots = self.snapshots.clone();
        let _ = self.workers.spawn(Lane::Figures, again_and_again(move || Some(snapshots.add_point())));
    }

    /// Ends all work; whoever waits for an answer is told so. Returns at once.
    pub(super) fn stop(&self) {
        self.dumps().as_ref().map(Dumps::stop);
        self.workers.stop();
    }

    /// Waits for the threads after `stop`.
    pub(super) fn join(&self) {
        let dumps = self.dumps().take();
        self.workers.join();
        dumps.as_ref().map(Dumps::join);
    }

    /// Nothing under the lock can panic half-way.
    fn dumps(&self) -> MutexGuard<'_, Option<Dumps>> {
        self.dumps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work` as often as it says itself, by the time from one beginning to the next, until it returns `None`.
async fn again_and_again(work: impl Fn() -> Option<Duration>) {
    let mut next = Instant::now();
    while let Some(pause) = work() {
        // Where the machine slept or was busy, once is enough for what was missed.
        next = Instant::now().max(next + pause);
        sleep_until(next).await;
    }
}

/// Has the index of the tasks' types kept until nobody has used it for a while.
pub(super) fn keep_index(workers: &Workers) -> Result<(), Refusal> {
    let Some(watch) = IndexWatch::begin() else { return Ok(()) };
    let watch = async move {
        loop {
            sleep(IndexWatch::LOOKS_EVERY).await;
            if watch.is_unused() {
                break;
            }
        }
    };
    workers.spawn(Lane::Figures, watch)
}

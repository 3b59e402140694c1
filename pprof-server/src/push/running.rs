//! The end of the program waits for the last profiles, for a bounded time.
//!
//! Path: *read path*, and *at exit*: [`wait_at_exit`] runs on the thread that exits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use alloc_profiler::internal::{self, bell};

use crate::standard_error::warn;

/// How long the end of the program, or that of a [`Push`](crate::Push), waits for the last profiles.
pub(super) const LONGEST_END: Duration = Duration::from_secs(5);
/// How often it looks whether they are done.
const PAUSE: Duration = Duration::from_millis(1);

/// How many threads push, in the low 16 bits, and the process that they are in, as one more than `internal::forks` counts, in the
/// others. What a parent of `fork` has written there is of no account in the child.
static RUNNING: AtomicU64 = AtomicU64::new(0);
/// That the program exits, and waits.
static IS_EXITING: AtomicBool = AtomicBool::new(false);

const COUNT_BITS: u32 = 16;

/// Stands for one thread that pushes.
#[derive(Debug)]
pub(super) struct Running(u64);

impl Running {
    pub(super) fn begin() -> Running {
        static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
        let process = this_process();
        if change(|running| (count(running, process) + 1) | process) == 0 {
            IS_EXITING.store(false, SeqCst);
        }
        // A child of `fork` inherits what is registered.
        if !IS_REGISTERED.swap(true, SeqCst) && !bell::at_exit(wait_at_exit) {
            warn("no profiles will be pushed at exit: the system has no room for one more exit handler");
        }
        Running(process)
    }

    pub(super) fn is_exiting() -> bool {
        IS_EXITING.load(SeqCst)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        change(|running| count(running, self.0).saturating_sub(1) | self.0);
    }
}

fn this_process() -> u64 {
    (internal::forks() + 1) << COUNT_BITS
}

/// Changes the number, and returns how many threads of this process pushed before.
fn change(change: impl Fn(u64) -> u64) -> u64 {
    let before = RUNNING.fetch_update(SeqCst, SeqCst, |running| Some(change(running)));
    count(before.unwrap_or_else(|running| running), this_process())
}

fn count(running: u64, process: u64) -> u64 {
    if running >> COUNT_BITS == process >> COUNT_BITS { running & ((1 << COUNT_BITS) - 1) } else { 0 }
}

/// Waits until `is_done`, and no longer than [`LONGEST_END`]. It uses no lock and no thread-local value, which may be gone.
pub(super) fn wait_until(is_done: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_done() && start.elapsed() < LONGEST_END {
        std::thread::sleep(PAUSE);
    }
}

extern "C" fn wait_at_exit() {
    let is_done = || count(RUNNING.load(SeqCst), this_process()) == 0;
    if is_done() {
        return;
    }
    IS_EXITING.store(true, SeqCst);
    bell::ring();
    wait_until(is_done);
}

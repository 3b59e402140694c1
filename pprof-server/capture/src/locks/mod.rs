//! Waits for locks: who waited, and who made others wait.
//!
//! The standard library and `parking_lot` wait and wake by the C library's function `syscall`, as nearly all of Rust's code does. The
//! program defines a function of that name ([`define_syscall!`](crate::define_syscall)), which does the same and tells us of waits and
//! wakes while somebody wants to know.
//!
//! ```text
//! syscall ─▶ a wait or a wake? is it on? ─▶ hook: waiters ─▶ kernel ─▶ a wait: its own stack   ─▶ events ─▶ samples
//!                                             └─────────────────────▶ a wake: the waker's stack ─┘
//!                                                                                    and one by one ─▶ log, while somebody traces
//! ```
//!
//! Path: *the program's waits for locks*. Nothing here allocates or waits for a lock without a bound.

mod clock;
mod events;
mod fork;
mod hook;
mod kind;
mod log;
mod mapping;
mod sums;
mod trace;
mod waiters;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};
use std::time::Duration;

use crate::{LockSamples, StartError};
#[doc(hidden)]
pub use hook::{RATE, errno_place, on_futex};
pub use trace::LockTrace;

/// The rate while somebody watches, unless another one was set: 1 ms. It makes a thousand samples in each second of one thread's
/// waiting at most.
pub const USUAL_BLOCK_RATE: Duration = Duration::from_millis(1);

/// The rate that was set for good, in nanoseconds; 0: none.
static SET_RATE: AtomicU64 = AtomicU64::new(0);
/// Counts those who watch for a while.
static WATCHERS: AtomicU32 = AtomicU32::new(0);
/// Whether waits were ever measured.
static WAS_ON: AtomicBool = AtomicBool::new(false);
/// The lowest and the highest rate that there was, in nanoseconds.
static RATES: [AtomicU64; 2] = [AtomicU64::new(u64::MAX), AtomicU64::new(0)];
/// A rate at which no wait is sampled.
const NEVER: u64 = u64::MAX;

/// Has waits be measured from now on: on average one sample is taken in each `rate` of a thread's waiting, and every wait that is
/// longer than that is one. `None` switches it off, but for those who [watch](LockWatch).
///
/// # Errors
///
/// [`StartError::Refused`] if there is no memory for samples (5 MiB), and [`StartError::NotOnThisPlatform`].
pub fn set_block_rate(rate: Option<Duration>) -> Result<(), StartError> {
    prepare()?;
    let nanoseconds = rate.map_or(0, |rate| u64::try_from(rate.as_nanos()).unwrap_or(u64::MAX).max(1));
    SET_RATE.store(nanoseconds, SeqCst);
    apply();
    Ok(())
}

/// Returns what lies between two samples; `None` if waits are not measured at present.
#[must_use]
pub fn block_rate() -> Option<Duration> {
    let nanoseconds = RATE.load(Relaxed);
    (nanoseconds > 0).then_some(Duration::from_nanos(nanoseconds))
}

/// While it exists, waits are measured, at [`USUAL_BLOCK_RATE`] unless another rate was set.
#[derive(Debug)]
pub struct LockWatch(());

impl LockWatch {
    /// Begins to measure waits, if they are not measured yet.
    ///
    /// # Errors
    ///
    /// See [`set_block_rate`].
    pub fn start() -> Result<LockWatch, StartError> {
        prepare()?;
        WATCHERS.fetch_add(1, SeqCst);
        apply();
        Ok(LockWatch(()))
    }
}

impl Drop for LockWatch {
    fn drop(&mut self) {
        // In a child of `fork` those of the parent do not count.
        let _ = WATCHERS.fetch_update(SeqCst, SeqCst, |watchers| watchers.checked_sub(1));
        apply();
    }
}

fn prepare() -> Result<(), StartError> {
    unwinder::prepare();
    if !unwinder::is_ready() {
        return Err(StartError::NotOnThisPlatform);
    }
    fork::prepare();
    let refused = |source| StartError::Refused { what: "memory for samples of waits", source };
    events::map().map_err(refused)?;
    WAS_ON.store(true, Relaxed);
    Ok(())
}

/// Puts into force what was asked for.
fn apply() {
    let wanted = || match (SET_RATE.load(SeqCst), WATCHERS.load(SeqCst)) {
        (0, 0) => 0,
        (0, _) => USUAL_BLOCK_RATE.as_nanos() as u64,
        (rate, _) => rate,
    };
    // Somebody else may ask for something at the same time. The last one sees what all want.
    loop {
        let rate = wanted();
        if (1..NEVER).contains(&rate) {
            RATES[0].fetch_min(rate, Relaxed);
            RATES[1].fetch_max(rate, Relaxed);
        }
        RATE.store(rate, SeqCst);
        if wanted() == rate {
            return;
        }
    }
}

/// Who waits on a word at present, as far as waits are measured.
pub(crate) fn waiting_on(address: usize) -> Option<waiters::WaitingOn> {
    waiters::waiting_on(address, clock::now)
}

/// Returns what was found since the process began.
#[must_use]
pub fn lock_samples() -> LockSamples {
    let mut samples = events::all();
    samples.untracked = waiters::untracked();
    samples.was_on = WAS_ON.load(Relaxed);
    let [lowest, highest] = RATES.each_ref().map(|rate| rate.load(Relaxed));
    samples.rates =
        (lowest <= highest).then_some((Duration::from_nanos(lowest), Duration::from_nanos(highest)));
    samples
}

/// Whether the standard library's waits come to us: the program has a definition of `syscall` that is ours, and no other one is
/// before it.
///
/// Cost: the first time, a wait of a microsecond.
#[must_use]
pub fn sees_locks() -> bool {
    static IS_KNOWN: AtomicBool = AtomicBool::new(false);
    if !IS_KNOWN.load(Relaxed) {
        let before = SET_RATE.load(SeqCst);
        if before == 0 && RATE.load(SeqCst) == 0 {
            // So seldom is as good as never, but the hook is called.
            SET_RATE.store(NEVER, SeqCst);
            apply();
        }
        std::thread::park_timeout(Duration::from_micros(1));
        let _ = SET_RATE.compare_exchange(NEVER, before, SeqCst, SeqCst);
        apply();
        IS_KNOWN.store(true, Relaxed);
    }
    hook::was_called()
}

/// Forgets the waits of the parent of a fork, and who asked for them: the child measures nothing until it is asked to.
fn begin_anew() {
    WATCHERS.store(0, Relaxed);
    SET_RATE.store(0, Relaxed);
    WAS_ON.store(false, Relaxed);
    RATES[0].store(u64::MAX, Relaxed);
    RATES[1].store(0, Relaxed);
    waiters::begin_anew();
    events::begin_anew();
    log::begin_anew();
    apply();
}

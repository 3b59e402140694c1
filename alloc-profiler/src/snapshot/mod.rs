//! A frozen copy of the profile: the one type that crosses from the profiler to its readers.
//!
//! Path: *read path*. Plain owned data; nothing here refers to the live tables.

mod copy;
mod difference;

use std::time::{Duration, Instant, SystemTime};

use crate::drops::Dropped;
use crate::totals::{Births, Totals};
pub(crate) use copy::begun;
use unwinder::CodeAddress;

/// What the program has allocated, by stack and size class, at one moment or between two.
///
/// Made by [`snapshot`](crate::snapshot) and [`Snapshot::since`]. All objects and bytes are estimates of the
/// whole program's, already scaled up from the samples; the variances beside them say how far to trust them: see
/// [`Totals`] and [`Snapshot::inuse_standard_error`]. What was sampled at an interval of 1 is exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The how manyth of this process it is, from 1 on (for a difference: the later one): [`Births`] refer to it.
    pub number: u32,
    /// When the copy was taken, as people tell time (for a difference: the later one). Somebody may set that clock, so
    /// this is a stamp and nothing to reckon with.
    pub taken_at: SystemTime,
    /// The same moment by a clock that nobody sets: durations and order are by it. It stands still while the machine
    /// sleeps.
    pub taken_at_monotonic: Instant,
    /// The time between the two snapshots of a difference; `None` for a snapshot.
    pub duration: Option<Duration>,
    /// Mean bytes between samples at `taken_at`; 1 = every allocation, 0 = off. Earlier samples may have been
    /// taken at another interval: each was weighed with its own.
    pub sampling_interval: u64,
    /// One entry for each distinct stack, in no particular order.
    pub stacks: Vec<StackTotals>,
    /// What was recorded after the limit on distinct stacks was reached: counted, but no longer kept apart.
    pub overflow: Vec<SizeTotals>,
    /// Samples lost or cut, by reason, since the program started (a difference: in between).
    pub dropped: Dropped,
    /// Memory that the profiler itself holds.
    pub own_memory: OwnMemory,
}

/// All that one stack allocated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackTotals {
    /// The number of the stack: no other has it as long as the process runs, and it is below 2^32 - 1.
    pub id: u32,
    /// Where.
    pub trace: StackTrace,
    /// How much, one entry for each size class seen, ascending.
    pub by_size: Vec<SizeTotals>,
}

/// A call stack, leaf first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackTrace {
    /// One address for each frame: see [`CodeAddress`]. Empty if the stack could not be read.
    pub frames: Box<[CodeAddress]>,
    /// True if outer frames were left out: the stack was deeper than
    /// [`MAX_STACK_DEPTH`](crate::MAX_STACK_DEPTH).
    pub is_truncated: bool,
}

impl StackTrace {
    /// A stack of these return addresses, leaf first, that another unwinder has found.
    pub fn of_return_addresses(addresses: impl IntoIterator<Item = usize>) -> StackTrace {
        let frames = addresses.into_iter().map(CodeAddress::returning_to).collect();
        StackTrace { frames, is_truncated: false }
    }
}

/// What one stack allocated in one size class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SizeTotals {
    /// Upper bound of the size class in bytes: see [`size_class`](crate::size_class).
    pub size_class: u64,
    /// How much.
    pub totals: Totals,
    /// The uncertain part of what is in use, by when it was allocated, in order: the sums are
    /// `totals.inuse_*_variance`, but for the last digits. Empty in a difference.
    pub births: Vec<Births>,
    /// What is in use, by age, youngest first: their sums are `totals.inuse_*`, but for the last digits. Empty unless
    /// [`snapshot_with_ages`] was asked. Of a difference, the ages of all that is in use at its end.
    pub ages: Vec<AgeTotals>,
}

/// What is in use of one age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgeTotals {
    /// Time since the blocks were allocated, or last moved or resized by `realloc`: in sixteenths of a second, and as
    /// long as the machine was awake.
    pub age: Duration,
    /// Estimated objects.
    pub objects: f64,
    /// Estimated bytes.
    pub bytes: f64,
    /// Samples behind them.
    pub samples: i64,
    /// Variance of `objects`: see [`Totals`].
    pub objects_variance: f64,
    /// Variance of `bytes`.
    pub bytes_variance: f64,
}

/// Memory that the profiler holds for itself, in bytes. None of it is in the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnMemory {
    /// Mapped for stacks, totals and live samples together, at most `limit_bytes`; and up to 512 KiB for what is known of
    /// [images](crate::images) that may be unloaded.
    pub mapped_bytes: u64,
    /// The cap: see [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    pub limit_bytes: u64,
    /// Distinct stacks kept.
    pub stacks: u64,
    /// Live samples kept.
    pub live_samples: u64,
}

/// Copies the profile.
///
/// Threads go on allocating meanwhile: only one that samples or frees a sampled block waits, for as long as a
/// 256th of the live samples takes to copy. So the copy is not of one instant; each stack's `inuse_*` is of an
/// instant no later than its `alloc_*`. What this allocates is not in the profile.
///
/// It never waits for long: where a thread was stopped while it held a lock, the copy is made without the lock
/// after a second, and the one record that the thread was moving may be there twice or not at all.
///
/// In a child of `fork` counts start at zero, with no stacks and nothing in use, if its parent had called any
/// function of this crate.
///
/// # Cost
///
/// Time and memory in proportion to stacks and live samples: half a microsecond for each stack, 20 ns for each
/// live sample.
#[must_use]
pub fn snapshot() -> Snapshot {
    copy::copy(false)
}

/// As [`snapshot`], with [`SizeTotals::ages`].
///
/// # Cost
///
/// That of [`snapshot`], and for each live sample 80 ns, and up to 80 bytes while it runs.
#[must_use]
pub fn snapshot_with_ages() -> Snapshot {
    copy::copy(true)
}

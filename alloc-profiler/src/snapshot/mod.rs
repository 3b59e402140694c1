//! A snapshot is a frozen copy of the profile. It is the one type that crosses from the profiler to its readers, and
//! plain owned data: nothing in it refers to the tables.
//!
//! Path: *read path*.

mod copy;
mod difference;
mod live_blocks;

use std::time::{Duration, Instant, SystemTime};

use crate::estimate::totals::{Births, Totals};
use crate::tables::drops::Dropped;
pub(crate) use copy::begun;
pub use live_blocks::{LiveBlock, LiveBlocks, live_blocks};
use unwinder::CodeAddress;

/// What the program has allocated, by stack and size class, at one moment or between two.
///
/// [`snapshot`](crate::snapshot) and [`Snapshot::since`] make one. All objects and bytes are estimates for the whole
/// program, already scaled up from the samples. The variances beside them say how far to trust them: see [`Totals`] and
/// [`Snapshot::inuse_standard_error`]. What was sampled at an interval of 1 is exact.
///
/// Later versions may add fields to this type and to those that it is made of. So code outside this crate makes a snapshot by
/// assigning to the fields of another, or of [`Snapshot::empty`]. [`StackTotals`], [`SizeTotals`], [`Totals`] and the others have
/// a `Default` to begin with.
///
/// ```
/// use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace};
/// # use std::time::{Instant, SystemTime};
///
/// let mut size = SizeTotals::default();
/// size.size_class = 64;
/// size.totals.inuse_bytes = 4096.0;
/// let mut stack = StackTotals::default();
/// stack.trace = StackTrace::of_return_addresses([0x1000, 0x2000]);
/// stack.by_size.push(size);
/// let mut snapshot = Snapshot::empty(SystemTime::now(), Instant::now());
/// snapshot.stacks.push(stack);
/// assert_eq!(snapshot.totals().inuse_bytes, 4096.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of the snapshot in this process, which counts from 1. [`Births`] refer to it. A difference has that of the
    /// later snapshot.
    pub number: u32,
    /// When the copy was taken, as people tell time. A difference has the time of the later snapshot. Somebody may set that
    /// clock, so this is a stamp and nothing to reckon with.
    pub taken_at: SystemTime,
    /// The same moment by a clock that nobody sets, which stands still while the machine sleeps. Durations and order are
    /// reckoned by it.
    pub taken_at_monotonic: Instant,
    /// Tells how long the time between the two snapshots of a difference was. A snapshot has `None`.
    pub duration: Option<Duration>,
    /// The sampling interval at `taken_at`, in bytes, where 1 samples every allocation and 0 turns sampling off. Earlier
    /// samples may have been taken at another interval: each was weighed with its own.
    pub sampling_interval: u64,
    /// One entry for each distinct stack, in no particular order.
    pub stacks: Vec<StackTotals>,
    /// This holds what was recorded after the limit on distinct stacks was reached. An entry is for one size class, and for Rust or for C
    /// as the one that asked. Stacks are no longer kept apart there.
    pub overflow: Vec<SizeTotals>,
    /// How many samples were lost or cut, by reason, since the program started. A difference has those in between.
    pub dropped: Dropped,
    /// How much memory the profiler itself holds.
    pub own_memory: OwnMemory,
}

impl Snapshot {
    /// Returns a snapshot of this moment in which nothing was allocated and nothing lost. Its number and its sampling interval
    /// are 0.
    #[must_use]
    pub fn empty(taken_at: SystemTime, taken_at_monotonic: Instant) -> Snapshot {
        Snapshot {
            number: 0,
            taken_at,
            taken_at_monotonic,
            duration: None,
            sampling_interval: 0,
            stacks: Vec::new(),
            overflow: Vec::new(),
            dropped: Dropped::default(),
            own_memory: OwnMemory::default(),
        }
    }
}

/// Sums up what one stack allocated, in all size classes.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StackTotals {
    /// Numbers the stack. No other has it as long as the process runs, and it is below 2^32 - 1.
    pub id: u32,
    /// The stack that allocated.
    pub trace: StackTrace,
    /// How much it allocated, with one entry for each size class and label that was seen, in ascending order.
    pub by_size: Vec<SizeTotals>,
}

/// Holds the return addresses of one call stack. Its leaf comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct StackTrace {
    /// One address for each frame: see [`CodeAddress`]. There are none if the stack could not be read.
    pub frames: Box<[CodeAddress]>,
    /// Whether outer frames were left out because the stack was deeper than
    /// [`MAX_STACK_DEPTH`](crate::MAX_STACK_DEPTH).
    pub is_truncated: bool,
}

impl StackTrace {
    /// Makes a stack of its frames, of which the leaf comes first. `is_truncated` tells whether outer frames were left out.
    #[must_use]
    pub fn new(frames: impl Into<Box<[CodeAddress]>>, is_truncated: bool) -> StackTrace {
        StackTrace { frames: frames.into(), is_truncated }
    }

    /// Makes a stack of return addresses that another unwinder has found, of which the leaf's comes first.
    pub fn of_return_addresses(addresses: impl IntoIterator<Item = usize>) -> StackTrace {
        let frames: Box<[CodeAddress]> = addresses.into_iter().map(CodeAddress::returning_to).collect();
        StackTrace::new(frames, false)
    }
}

/// Sums up what one stack allocated in one size class under one label.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SizeTotals {
    /// The upper bound of the size class, in bytes: see [`size_class`](crate::size_class).
    pub size_class: u64,
    /// This says what the threads worked for: it is a number that `pprof-server` gives a set of labels. It is 0 where there was no label, and where
    /// labels are not kept apart ([`keep_labels`](crate::keep_labels)). A size class has an entry for each label.
    pub label: u32,
    /// Whether C's `malloc`, or a function beside it, was asked for the blocks ([`define_malloc!`](crate::define_malloc)), and not
    /// Rust's global allocator. A size class has an entry for each of the two.
    pub is_by_c: bool,
    /// How much it allocated.
    pub totals: Totals,
    /// How uncertain what is in use is, by when it was allocated, in order. The sums are `totals.inuse_*_variance`, but for
    /// the last digits. A difference has none.
    pub births: Vec<Births>,
    /// What is in use, by age, of which the youngest comes first. The sums are `totals.inuse_*`, but for the last digits.
    /// There are none unless [`snapshot_with_ages`] was asked. A difference has the ages of all that is in use at its end.
    pub ages: Vec<AgeTotals>,
}

/// What is in use of one age.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AgeTotals {
    /// How long ago the blocks were allocated, or last moved or resized by `realloc`, in steps of a sixteenth of a second. The
    /// time in which the machine sleeps does not count.
    pub age: Duration,
    /// How many objects that are, as estimated.
    pub objects: f64,
    /// How many bytes that are, as estimated.
    pub bytes: f64,
    /// How many samples the estimates rest on.
    pub samples: i64,
    /// The variance of `objects`: see [`Totals`].
    pub objects_variance: f64,
    /// Tells the variance of `bytes`, in square bytes.
    pub bytes_variance: f64,
}

/// Memory that the profiler holds for itself, in bytes. None of it is in the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnMemory {
    /// Mapped for stacks, totals and live samples together, at most `limit_bytes`; and up to 512 KiB for what is known of
    /// [images](crate::images) that may be unloaded.
    pub mapped_bytes: u64,
    /// The cap: see [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    pub limit_bytes: u64,
    /// How many distinct stacks are kept.
    pub stacks: u64,
    /// How many live samples are kept.
    pub live_samples: u64,
}

/// Copies the profile.
///
/// Threads go on allocating meanwhile. Only a thread that samples or frees a sampled block waits, for as long as a
/// 256th of the live samples takes to copy. So the copy is not of one instant; each stack's `inuse_*` is of an
/// instant no later than its `alloc_*`. What the copy allocates is not in the profile.
///
/// It never waits for long. Where a thread was stopped while it held a lock, the copy is made without the lock
/// after a second, and the one record that the thread was moving may be there twice or not at all.
///
/// In a child of `fork` counts start at zero, with no stacks and nothing in use, if its parent had called any
/// function of this crate.
///
/// # Cost
///
/// It takes time and memory in proportion to stacks and live samples: half a microsecond for each stack, and 20 ns for each
/// live sample.
#[must_use]
pub fn snapshot() -> Snapshot {
    copy::copy(false)
}

/// Copies the profile as [`snapshot`] does, with [`SizeTotals::ages`].
///
/// # Cost
///
/// That of [`snapshot`], and for each live sample 80 ns, and up to 80 bytes while it runs.
#[must_use]
pub fn snapshot_with_ages() -> Snapshot {
    copy::copy(true)
}

/// Returns the totals of the whole program: what [`Snapshot::totals`] of a [`snapshot`] would tell now, but for the last
/// digits. It returns `None` if they cannot be known, because a thread was stopped while it held a lock of the profiler's.
///
/// Threads go on allocating meanwhile, as during a snapshot.
///
/// # Cost
///
/// It takes some 10 µs, however many stacks and live samples there are.
#[must_use]
pub fn totals() -> Option<Totals> {
    copy::totals()
}

//! Why nothing can be measured.

use std::fmt;

use crate::tables::measured::{DEPTH, MAX_EPOCH, MAX_NUMBER, MAX_SLOT};

/// Why nothing was measured. Its text says what to do about it. [`Debug`](fmt::Debug) shows the same text, so `unwrap` and
/// `expect` do.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotMeasure {
    /// The program's global allocator is no [`SamplingAllocator`](crate::SamplingAllocator).
    NotInstalled,
    /// The thread is inside [`unsampled`](crate::unsampled), where nothing is counted.
    Unsampled,
    /// As many measurements of this thread run as can, each within the one before.
    TooDeep,
    /// As many threads measure as can at a time.
    TooManyThreads,
    /// Another measurement of the process runs.
    OfProcessRuns,
    /// Each of so many earlier measurements left blocks in use that the numbers of measurements are used up.
    NoNumberLeft,
    /// The process was forked while it was measured, and this is the child, which has no figures.
    Forked,
}

impl fmt::Display for CannotMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotMeasure::NotInstalled => f.write_str(
                "nothing can be measured: the global allocator is no `SamplingAllocator`. Write `#[global_allocator] static \
                 ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();` in the test or \
                 benchmark itself: each file in `tests/` and `benches/` is a program of its own",
            ),
            CannotMeasure::Unsampled => f.write_str(
                "nothing can be measured: the thread is inside `alloc_profiler::unsampled`, where allocations do not count. \
                 Measure outside of it",
            ),
            CannotMeasure::TooDeep => write!(
                f,
                "nothing can be measured: {DEPTH} measurements of this thread run already, which is the most. End one of them"
            ),
            CannotMeasure::TooManyThreads => write!(
                f,
                "nothing can be measured: {MAX_SLOT} threads measure already, which is the most. Run fewer at a time, as by \
                 `cargo test -- --test-threads=8`"
            ),
            CannotMeasure::OfProcessRuns => f.write_str(
                "the process cannot be measured: another thread measures it. Run such tests one at a time, as by `cargo test \
                 -- --test-threads=1`, or measure threads",
            ),
            CannotMeasure::NoNumberLeft => write!(
                f,
                "nothing can be measured: so many earlier measurements left blocks in use that no number is left ({MAX_NUMBER} \
                 in a thread, {MAX_EPOCH} of the process). Free what they allocated"
            ),
            CannotMeasure::Forked => f.write_str(
                "the measurement has no figures: the process was forked meanwhile, and this is the child. End it in the parent",
            ),
        }
    }
}

impl fmt::Debug for CannotMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for CannotMeasure {}

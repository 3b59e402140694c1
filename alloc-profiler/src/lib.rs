//! A sampling global allocator: which stack allocated what, and what of it is still live.
//!
//! [`SamplingAllocator`] wraps any allocator, takes the stack of one allocation in 512 KiB on average, and
//! keeps it while the block lives. [`snapshot`] tells at any time what the program has allocated and what is
//! in use, by stack and size class, scaled up to the whole program. `pprof-server` turns that into profiles
//! for `go tool pprof` and serves them.
//!
//! ```text
//! GlobalAlloc call ─▶ sampler ─▶ stack ─▶ stacks, live ─▶ snapshot
//! (every call)        (1 in 512 KiB on average)           (on request)
//! ```
//!
//! # What it costs
//!
//! An unsampled allocation pays a thread-local subtraction and a branch, an unsampled free one load and a
//! branch. A sampled allocation pays for its stack, a few microseconds. Memory is capped
//! ([`Limits`]), mapped straight from the system, and reported in every snapshot.
//!
//! # How exact it is
//!
//! Estimates are unbiased for any mix of block sizes: each sample is weighed with the reciprocal of its
//! probability when it is taken. How far an estimate may be off follows from these weights too, and stands beside it
//! ([`Totals`]): 100 samples of small blocks (some 50 MiB at the default interval) mean ±10 %, a block much larger than
//! the interval is sampled with certainty and has no error, and at an interval of 1 every allocation is.
//!
//! # What it cannot see
//!
//! Memory that does not pass through the global allocator: `malloc` called by C code, `mmap`, thread stacks,
//! and what the allocator itself wastes. Allocations of a thread inside [`unsampled`].

// No panic may start on the allocation path, so what could start one is not written there.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod allocator;
mod sampler;

mod recorder;
mod stack;

mod filter;
mod libraries;
mod live;
mod size_class;
mod stacks;
mod variance;

#[allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, reason = "read path")]
mod snapshot;
#[allow(clippy::arithmetic_side_effects, reason = "read path")]
mod totals;

mod alone;
mod c_library;
mod control;
mod copies;
#[cfg(unix)]
mod descriptors;
mod drops;
mod fork;
mod interval;
mod limits;
mod malloc_stats;
mod memory;
mod release;
mod sync;
mod threads;

pub use allocator::SamplingAllocator;
pub use control::{INTERVAL_VARIABLE, init_from_env, set_sampling_interval};
pub use copies::{ProfilerCopy, other_copies};
#[cfg(unix)]
#[doc(hidden)]
pub use descriptors::{ClosedInChildren, Descriptor};
pub use drops::Dropped;
#[doc(hidden)]
pub use fork::forks;
pub use interval::{DEFAULT_SAMPLING_INTERVAL, sampling_interval};
pub use libraries::{Library, libraries, page_fingerprint, program_entry, untagged};
pub use limits::{Limits, limits, set_limits};
pub use malloc_stats::{MallocStats, malloc_stats};
pub use release::release_free_memory;
pub use size_class::size_class;
pub use snapshot::{
    AgeTotals, OwnMemory, SizeTotals, Snapshot, StackTotals, StackTrace, snapshot, snapshot_with_ages,
};
pub use stack::MAX_STACK_DEPTH;
#[doc(hidden)]
pub use threads::spawn_without_signals;
pub use totals::{Births, Totals};

/// True once a `SamplingAllocator` has served an allocation, which in a program that has one as its global
/// allocator is before `main`.
#[must_use]
pub fn is_installed() -> bool {
    sampler::is_installed()
}

/// Runs `f` with what this thread allocates left out of the profile. Frees are noticed as ever.
///
/// For code whose memory is not the program's own, such as the profiler's server. Calls nest, and a panic in
/// `f` ends the pause too. The pause is over where `f` returns, so that none can be held across an `await`, after
/// which another thread may go on:
///
/// ```compile_fail,E0728
/// # async fn answer(request: impl Future<Output = String>) {
/// alloc_profiler::unsampled(|| request.await.clone());
/// # }
/// ```
///
/// ```
/// # async fn answer(request: impl Future<Output = String>) {
/// let request = request.await;
/// alloc_profiler::unsampled(|| request.clone());
/// # }
/// ```
///
/// # Cost
///
/// A few instructions.
pub fn unsampled<R>(f: impl FnOnce() -> R) -> R {
    let _pause = sampler::Pause::begin();
    f()
}

/// What the fuzzer calls with unwind tables of its own.
#[cfg(all(fuzzing, target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[doc(hidden)]
pub fn fuzz_unwind_tables(bytes: &[u8]) {
    stack::fuzz_tables(bytes);
}

/// For tests of this workspace; not part of the interface.
#[doc(hidden)]
pub mod testing {
    /// Makes the choice of samples repeatable: see `sampler::seed`.
    pub fn seed(seed: u64) {
        crate::sampler::seed(seed);
    }

    /// The stack from this function's caller outwards, as return addresses: by the unwind tables (empty where
    /// that unwinder does not exist), and by the platform's unwinder.
    #[inline(never)]
    pub fn unwind_both() -> [Vec<usize>; 2] {
        let mut rooms = [[std::mem::MaybeUninit::uninit(); crate::MAX_STACK_DEPTH]; 2];
        let [mut ours, mut platforms] = rooms.each_mut().map(crate::stack::Frames::new);
        crate::stack::capture_both(&mut ours, &mut platforms);
        let untagged = |address: &usize| crate::untagged(*address);
        [ours, platforms].map(|frames| frames.return_addresses().iter().rev().map(untagged).collect())
    }

    /// Whether a free of the block at `address` has to look for its record: it is sampled, or the filter cannot tell it
    /// from one that is.
    #[must_use]
    pub fn may_be_sampled(address: usize) -> bool {
        !crate::filter::rules_out(address)
    }

    /// Runs `work` while this thread holds every lock that threads wait for on the allocation path.
    pub fn with_locks_held<R>(work: impl FnOnce() -> R) -> R {
        crate::live::with_locks_held(work)
    }

    /// Blocks recorded at an address that already had a record. Always zero, or a free was missed.
    pub fn duplicate_inserts() -> u64 {
        crate::drops::DUPLICATE_INSERTS.get()
    }
}

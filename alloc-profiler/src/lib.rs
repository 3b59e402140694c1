//! A sampling global allocator: it tells which stack allocated what, and what of that is still in use.
//!
//! [`SamplingAllocator`] wraps any allocator. It takes the stack of one allocation in 512 KiB of allocated bytes on average, and
//! keeps it while the block lives. [`snapshot`] tells at any time what the program has allocated and what is in use, by
//! stack and size class, as estimates for the whole program. `pprof-server` makes profiles for `go tool pprof` of that, and
//! serves them; use that crate unless you want the figures themselves.
//!
//! # Quick start
//!
//! ```
//! use alloc_profiler::SamplingAllocator;
//!
//! #[global_allocator]
//! static ALLOCATOR: SamplingAllocator = SamplingAllocator::new(); // or `with_allocator(MiMalloc)`
//!
//! fn main() {
//!     alloc_profiler::init_from_env();
//!     let kept: Vec<Vec<u8>> = (0..64).map(|_| vec![0; 1 << 20]).collect();
//!     let snapshot = alloc_profiler::snapshot();
//!     let totals = snapshot.totals();
//!     println!("{:.0} bytes in use on {} stacks", totals.inuse_bytes, snapshot.stacks.len());
//!     # assert!(totals.inuse_bytes > 32.0 * 1048576.0 && totals.inuse_bytes < 128.0 * 1048576.0);
//!     drop(kept);
//! }
//! ```
//!
//! ```text
//! GlobalAlloc call ─▶ sampler ─▶ unwinder ─▶ stacks, live ─▶ snapshot
//! (every call)        (1 in 512 KiB on average)              (on request)
//! ```
//!
//! | you want | call |
//! |---|---|
//! | another interval, also while the program runs | [`set_sampling_interval`]; 1 samples every allocation, 0 turns sampling off |
//! | the interval from the environment (`ALLOC_PROFILER_INTERVAL`) | [`init_from_env`] |
//! | what changed between two moments | [`Snapshot::since`] |
//! | what is in use and at least so old | [`snapshot_with_ages`] and [`Snapshot::older_than`] |
//! | to know in a test what some code allocates, exactly | [`measure`] |
//! | samples apart by what their threads work for | [`keep_labels`] |
//! | a cap on the profiler's own memory | [`set_limits`] |
//! | the figures of the whole program alone, at no cost to speak of | [`totals`] |
//! | what C and C++ code allocates sampled too | [`define_malloc!`] |
//! | code whose allocations are left out | [`unsampled`] |
//! | free pages given back to the system | [`release_free_memory`] |
//!
//! # What it costs
//!
//! An allocation that is not sampled pays for a thread-local subtraction and a branch, and its free for a load and a branch.
//! Together these are 6 instructions, counted in a loop. They make no call, take no lock and write no memory that threads share.
//! A sampled allocation 40 frames deep and its free take 63 ns more in a loop on an AMD EPYC, where its stack repeats, and 4 to
//! 5 µs where samples are so rare that nothing of the profiler's is in the caches.
//! Memory is capped ([`Limits`], 64 MiB by default), mapped straight from the system, and reported in every snapshot.
//!
//! # How exact it is
//!
//! Estimates are unbiased for any mix of block sizes, because each sample is weighed with the reciprocal of its probability when it is
//! taken. How far an estimate may be off follows from these weights too, and stands beside it ([`Totals`]). For small blocks,
//! 100 samples (some 50 MiB at the default interval) have a standard error of 10 %. A block much larger than the interval is
//! sampled with certainty and has no error. At an interval of 1 every allocation is sampled, and all figures are exact.
//!
//! # What it cannot see
//!
//! It does not see memory that does not pass through the global allocator: `malloc` called by C code (unless the program has
//! [`define_malloc!`]), `mmap`, thread stacks, and what the allocator itself wastes. It leaves out what a thread allocates inside [`unsampled`]. A stack of more than
//! [`MAX_STACK_DEPTH`] frames is cut. Each loss is counted by its reason ([`Dropped`]).
//!
//! # Safety
//!
//! Blocks have the addresses, sizes and alignment that the inner allocator gives them, and fail where it fails. No call of the
//! allocator panics, and none waits for a lock of this crate for more than about a millisecond and one turn of the
//! scheduler. A thread may allocate in destructors, before and after `main`, and in signal handlers if the inner allocator
//! allows that. A child of `fork` begins with an empty profile. The page `docs/reliability.md` of the repository has all
//! promises, the tests that hold them, and the limits.
//!
//! It is built, tested and measured on Linux x86-64 with glibc, and was run on Linux x86-64 with musl. Elsewhere only units
//! were run, by an emulator of aarch64: there, with glibc or musl, it takes stacks by its own unwinder too. On macOS, FreeBSD and
//! Android it takes them by the platform's unwinder, which was not run, and on Windows by `RtlVirtualUnwind`, which was run by Wine.

// `copies` has a static that AddressSanitizer leaves as it is.
#![cfg_attr(address_sanitizer, feature(sanitize))]
// No panic may start on the allocation path, so what could start one is not written there. That is also why the code has
// `wrapping_*` where an operator would never overflow: a plain operator is checked in debug builds, and the check can panic.
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

use unwinder::hash;

// In the order of the data's way: an allocation is counted down and perhaps sampled, its stack and its block go into the tables, and a
// snapshot copies these out.
mod allocator;
mod c_allocations;
mod sampling;

mod recorder;
mod tables;

#[allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, reason = "read path")]
mod snapshot;

#[allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, reason = "read path")]
mod measure;

// What these stand on.
mod c_allocators;
mod estimate;
mod memory;
mod process;

// What the program and a child of `fork` set.
mod control;
mod fork;

// How the other crates of this workspace write what a snapshot holds.
mod literal;

pub use allocator::SamplingAllocator;
pub use c_allocations::{CAllocations, c_allocations};
pub use c_allocators::{CAllocator, CLibrary, Jemalloc, MiMalloc};
pub use control::{INTERVAL_VARIABLE, are_labels_kept, init_from_env, keep_labels, set_sampling_interval};
pub use estimate::size_class::size_class;
pub use estimate::totals::{Births, Totals};
pub use measure::{CannotMeasure, Measured, MeasuredStack, Measurement, measure, measure_process};
pub use memory::limits::{Limits, limits, set_limits};
pub use process::copies::{ProfilerCopy, other_copies};
pub use process::malloc_stats::{MallocStats, malloc_stats};
pub use process::release::release_free_memory;
pub use sampling::interval::{DEFAULT_SAMPLING_INTERVAL, sampling_interval};
pub use snapshot::{
    AgeTotals, OwnMemory, SizeTotals, Snapshot, StackTotals, StackTrace, snapshot, snapshot_with_ages, totals,
};
pub use tables::drops::Dropped;
pub use unwinder::{CodeAddress, Image, ImageId, MAX_STACK_DEPTH, images, page_fingerprint, program_entry};

/// Whether a `SamplingAllocator` has served an allocation. In a program that has one as its global allocator, that is so
/// before `main`.
#[must_use]
pub fn is_installed() -> bool {
    sampling::sampler::is_installed()
}

/// Runs `f` and leaves what this thread allocates meanwhile out of the profile. Frees are noticed as ever.
///
/// This is for code whose memory is not the program's own, such as the profiler's server. Calls nest, and a panic in
/// `f` ends the pause too. The pause ends when `f` returns. So it cannot be held across an `await`, after which the task may go
/// on in another thread:
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
/// It costs a few instructions.
pub fn unsampled<R>(f: impl FnOnce() -> R) -> R {
    let _pause = sampling::pause::Pause::begin();
    f()
}

/// `pprof-server` needs this beside the interface. It is not part of the interface, and may change in any version.
#[doc(hidden)]
pub mod internal {
    /// It wakes a thread that waits.
    pub mod bell {
        pub use crate::process::bell::{SignalTaker, at_exit, ring, ring_on_signal, rings, signals, wait};
    }
    pub use crate::__literal as literal;
    /// `define_malloc!` calls these.
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    pub mod c_allocations {
        pub use crate::c_allocations::{functions, prepare};
    }
    pub use crate::fork::forks;
    pub use crate::memory::{for_each_mapping, is_there};
    #[cfg(target_os = "linux")]
    pub use crate::process::descriptors::look_away;
    #[cfg(unix)]
    pub use crate::process::descriptors::{ClosedInChildren, Descriptor};
    pub use crate::process::threads::{cpu_time, spawn_without_signals};
    /// Sampled blocks one by one, for readers that look at what is in them.
    pub use crate::snapshot::{LiveBlock, LiveBlocks, live_blocks};
    pub use unwinder::hash;
    /// This module tells what a thread works for.
    pub use unwinder::label;
}

/// The tests of this workspace need this. It is not part of the interface, and may change in any version.
#[doc(hidden)]
pub mod testing {
    /// Makes the choice of samples repeatable: see `thread::seed`.
    pub fn seed(seed: u64) {
        crate::sampling::thread::seed(seed);
    }

    /// Whether what the calling thread allocates now is left out, as within `unsampled`.
    #[must_use]
    pub fn is_paused() -> bool {
        crate::sampling::pause::is_open()
    }

    /// Whether a free of the block at `address` has to look for its record: it is sampled, or the filter cannot tell it
    /// from one that is.
    #[must_use]
    pub fn may_be_sampled(address: usize) -> bool {
        !crate::tables::filter::rules_out(address)
    }

    /// Runs `work` while this thread holds every lock that threads wait for on the allocation path.
    pub fn with_locks_held<R>(work: impl FnOnce() -> R) -> R {
        crate::tables::live::with_locks_held(work)
    }

    /// Blocks recorded at an address that already had a record. Always zero, or a free was missed.
    pub fn duplicate_inserts() -> u64 {
        crate::tables::drops::DUPLICATE_INSERTS.get()
    }
}

//! Tests that the profiler does no harm: whatever a profiler inside an allocator could do to its host is tried.
//! `docs/reliability.md` lists the hazards. `scripts/long-torture.sh` runs the long versions, and `scripts/mutants.py`
//! shows that each test fails where what it proves is not so.
//!
//! What needs more than others do says so itself: the processor's trap flag, calls that glibc alone has, libraries that are
//! opened at run time.
#![cfg(all(
    target_os = "linux",
    any(target_env = "gnu", target_env = "musl"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

#[cfg(target_env = "gnu")]
mod call_outs;
mod caps;
mod contract;
mod errno;
mod foreign_code;
mod fork;
mod harness;
#[cfg(target_env = "gnu")]
mod libraries;
mod lifetimes;
mod nested;
mod refusals;
mod signals;
#[cfg(target_arch = "x86_64")]
mod single_step;
mod stack_room;
mod statistics;
mod storm;
mod threads;
mod without_tables;

use alloc_profiler::SamplingAllocator;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

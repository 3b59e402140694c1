//! Tests that the profiler does no harm: whatever a profiler inside an allocator could do to its host is tried.
//! `docs/reliability.md` lists the hazards. `scripts/long-torture.sh` runs the long versions, and `scripts/mutants.py`
//! shows that each test fails where what it proves is not so.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

mod call_outs;
mod caps;
mod contract;
mod foreign_code;
mod fork;
mod harness;
mod libraries;
mod lifetimes;
mod nested;
mod refusals;
mod signals;
mod single_step;
mod stack_room;
mod statistics;
mod storm;
mod threads;
mod without_tables;

use alloc_profiler::SamplingAllocator;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

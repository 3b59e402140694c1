//! What C and C++ code allocates is counted too, in a program that has `define_malloc!`. Each test is a process of its own, into
//! which libraries are loaded that are compiled here, as a user's would be.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

mod contract;
mod estimates;
mod exact;
mod hazards;
mod library;
mod truth;

#[allow(dead_code, reason = "the hazards of Rust's allocations need more of it")]
#[path = "../hazards/harness.rs"]
mod harness;

use alloc_profiler::SamplingAllocator;
use truth::Counting;

alloc_profiler::define_malloc!(Counting);

#[global_allocator]
static ALLOCATOR: SamplingAllocator<Counting> = SamplingAllocator::with_allocator(Counting);

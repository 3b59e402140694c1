//! The workloads over the system's allocator, sampled. `ALLOC_PROFILER_INTERVAL` sets the interval.
mod workloads;

use alloc_profiler::SamplingAllocator;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn main() {
    alloc_profiler::init_from_env();
    workloads::main();
}

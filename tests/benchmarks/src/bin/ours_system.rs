//! Ours over the system's allocator. `ALLOC_PROFILER_INTERVAL` sets the interval, 0 = off.

use alloc_profiler::SamplingAllocator;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn main() {
    alloc_profiler::init_from_env();
    benchmarks::main();
}

//! This program uses our allocator over the system's. `ALLOC_PROFILER_INTERVAL` sets the interval; 0 turns sampling
//! off.

use alloc_profiler::SamplingAllocator;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn main() {
    alloc_profiler::init_from_env();
    benchmarks::main();
}

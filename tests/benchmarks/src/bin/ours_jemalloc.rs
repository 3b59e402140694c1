//! This program uses our allocator over jemalloc. `ALLOC_PROFILER_INTERVAL` sets the interval; 0 turns sampling off.

use alloc_profiler::SamplingAllocator;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: SamplingAllocator<Jemalloc> = SamplingAllocator::with_allocator(Jemalloc);

fn main() {
    alloc_profiler::init_from_env();
    benchmarks::main();
}

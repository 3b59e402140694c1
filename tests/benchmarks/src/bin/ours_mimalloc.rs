//! This program uses our allocator over mimalloc. `ALLOC_PROFILER_INTERVAL` sets the interval; 0 turns sampling off.

use alloc_profiler::SamplingAllocator;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: SamplingAllocator<MiMalloc> = SamplingAllocator::with_allocator(MiMalloc);

fn main() {
    alloc_profiler::init_from_env();
    benchmarks::main();
}

//! This program samples what C code allocates too. `ALLOC_PROFILER_INTERVAL` sets the interval; 0 turns sampling off.

use alloc_profiler::{CLibrary, SamplingAllocator};

alloc_profiler::define_malloc!();

#[global_allocator]
static ALLOCATOR: SamplingAllocator<CLibrary> = SamplingAllocator::with_allocator(CLibrary);

fn main() {
    alloc_profiler::init_from_env();
    benchmarks::main();
}

//! A plugin that has a profiler of its own, for `two_copies`.

use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();

/// Allocates a block of so many bytes for good, and tells what this copy has in use then.
#[unsafe(no_mangle)]
pub extern "C" fn keep(bytes: usize) -> f64 {
    alloc_profiler::set_sampling_interval(1);
    std::mem::forget(black_box(vec![1_u8; bytes]));
    alloc_profiler::snapshot().totals().inuse_bytes
}

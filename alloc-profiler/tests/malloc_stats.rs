//! What the system's allocator says it holds: in a process where nobody else allocates or frees meanwhile.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use alloc_profiler::{SamplingAllocator, malloc_stats};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[test]
fn blocks_are_counted_and_the_parts_make_the_whole() {
    let before = malloc_stats().expect("glibc 2.33 or later");
    let blocks: Vec<Vec<u8>> = (0..1000).map(|_| vec![1; 20_000]).collect();
    let after = malloc_stats().expect("as before");
    assert!(after.inuse_bytes >= before.inuse_bytes + 15_000_000, "{before:?} {after:?}");
    assert_eq!(after.held_bytes, after.inuse_bytes + after.free_bytes);
    drop(blocks);
}

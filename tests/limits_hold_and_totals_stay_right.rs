//! More distinct stacks, or more live samples, than the caps allow: the profiler's memory stays under its cap,
//! what was allocated is still counted to the last byte, and what is missing is counted too.

use std::hint::black_box;

use alloc_profiler::{Limits, SamplingAllocator, set_limits, set_sampling_interval, snapshot, unsampled};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const LIMITS: Limits =
    Limits::DEFAULT.with_memory_bytes(6 << 20).with_stacks(2000).with_live_samples(256 * 20);

/// A call tree with 2^`depth` paths; each leaf allocates.
#[inline(never)]
fn left(path: u32, depth: u32, kept: &mut Vec<Vec<u64>>) {
    black_box(path);
    step(path, depth, kept);
    black_box(depth);
}

#[inline(never)]
fn right(path: u32, depth: u32, kept: &mut Vec<Vec<u64>>) {
    black_box(depth);
    step(path, depth, kept);
    black_box(path);
}

#[inline(never)]
fn step(path: u32, depth: u32, kept: &mut Vec<Vec<u64>>) {
    match depth {
        0 => kept.push(black_box(vec![0_u64])),
        _ if path & 1 == 0 => left(path >> 1, depth - 1, kept),
        _ => right(path >> 1, depth - 1, kept),
    }
    black_box(path);
}

#[test]
fn limits_hold_and_totals_stay_right() {
    const PATHS: usize = 1 << 14;
    set_limits(LIMITS);
    set_sampling_interval(1);
    let mut kept = unsampled(|| Vec::with_capacity(PATHS));
    let before = snapshot();
    (0..PATHS as u32).for_each(|path| left(path, 14, &mut kept));
    let after = snapshot();
    let growth = after.since(&before);

    let totals = growth.totals();
    assert_eq!((totals.alloc_objects, totals.alloc_bytes), (PATHS as f64, 8.0 * PATHS as f64));
    assert!(growth.dropped.stacks_full > 10_000, "{:?}", growth.dropped);
    let overflowed: f64 = growth.overflow.iter().map(|size| size.totals.alloc_objects).sum();
    assert_eq!(overflowed, growth.dropped.stacks_full as f64, "each overflow is one sample here");
    assert!(after.own_memory.stacks <= LIMITS.stacks as u64);

    assert!(growth.dropped.live_full > 5_000, "{:?}", growth.dropped);
    assert_eq!(totals.inuse_objects, PATHS as f64 - growth.dropped.live_full as f64);
    assert!(after.own_memory.live_samples <= LIMITS.live_samples as u64);
    assert!(after.own_memory.mapped_bytes <= LIMITS.memory_bytes as u64, "{:?}", after.own_memory);

    // Its own blocks were sampled where the table had room, which depends on the addresses that the allocator gives.
    drop(growth);
    drop(kept);
    let totals = snapshot().since(&before).totals();
    assert_eq!(totals.inuse_objects, 0.0, "what overflowed is noticed when it is freed");

    // Memory at its cap, the other limits out of reach.
    set_limits(LIMITS.with_memory_bytes(4 << 20).with_stacks(usize::MAX).with_live_samples(usize::MAX));
    let before = snapshot();
    let mut kept = unsampled(|| Vec::with_capacity(4 * PATHS));
    (0..4 * PATHS as u32).for_each(|path| left(path, 16, &mut kept));
    let after = snapshot();
    let growth = after.since(&before);
    assert_eq!(growth.totals().alloc_objects, 4.0 * PATHS as f64);
    assert_eq!(growth.totals().inuse_objects, 4.0 * PATHS as f64 - growth.dropped.live_full as f64);
    assert!(growth.dropped.stacks_full > 0 && growth.dropped.live_full > 0, "{:?}", growth.dropped);
    assert!(after.own_memory.mapped_bytes <= LIMITS.memory_bytes as u64, "{:?}", after.own_memory);
}

//! A new interval holds in a running thread within one old gap or 1 MiB of its allocations, whichever is smaller, and
//! in the calling thread at once. 0 switches sampling off, and frees are noticed all the same.

use std::hint::black_box;
use std::sync::Barrier;

use alloc_profiler::{SamplingAllocator, Totals, set_sampling_interval, snapshot, unsampled};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const BLOCK_BYTES: usize = 1000;

#[inline(never)]
fn blocks(count: usize) -> Vec<Vec<u8>> {
    let mut blocks = unsampled(|| Vec::with_capacity(count));
    (0..count).for_each(|_| blocks.push(black_box(vec![1; BLOCK_BYTES])));
    blocks
}

/// Counts blocks of one size class alone, so that other threads' strings do not count.
fn growth_of_blocks(work: impl FnOnce()) -> Totals {
    let before = snapshot();
    work();
    let mut sum = Totals::default();
    let growth = snapshot().since(&before);
    for size in growth.stacks.iter().flat_map(|stack| &stack.by_size) {
        if size.size_class == alloc_profiler::size_class(BLOCK_BYTES) {
            sum += size.totals;
        }
    }
    sum
}

#[test]
fn a_new_interval_reaches_running_threads() {
    // This gap is so long that only a new interval can end it.
    set_sampling_interval(1 << 50);
    let turn = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(blocks(1));
            turn.wait();
            turn.wait();
            // This is 1 MiB, the most that may pass unnoticed.
            drop(blocks((1 << 20) / BLOCK_BYTES + 1));
            let growth = growth_of_blocks(|| drop(blocks(500)));
            assert_eq!(growth.alloc_objects, 500.0, "sampled in the running thread");
            turn.wait();
            turn.wait();
            // The old gap is one block.
            drop(blocks(1));
            let growth = growth_of_blocks(|| drop(blocks(5000)));
            assert_eq!(growth.alloc_objects, 0.0, "off in the running thread");
        });
        turn.wait();
        set_sampling_interval(1);
        let growth = growth_of_blocks(|| drop(blocks(1)));
        assert_eq!(growth.alloc_objects, 1.0, "at once in the calling thread");
        turn.wait();
        turn.wait();

        let kept = blocks(100);
        set_sampling_interval(0);
        let growth = growth_of_blocks(|| drop(blocks(5000)));
        assert_eq!(growth.alloc_objects, 0.0, "off in the calling thread at once");
        let growth = growth_of_blocks(|| drop(kept));
        assert_eq!((growth.inuse_objects, growth.inuse_bytes), (-100.0, -100_000.0), "frees count when off");
        turn.wait();
    });

    set_sampling_interval(1);
    let growth = growth_of_blocks(|| unsampled(|| drop(blocks(50))));
    assert_eq!(growth.alloc_objects, 0.0, "left out");
    let growth = growth_of_blocks(|| drop(blocks(50)));
    assert_eq!(growth.alloc_objects, 50.0, "and counted again after the pause");
    let kept = blocks(10);
    let growth = growth_of_blocks(|| unsampled(|| drop(kept)));
    assert_eq!(growth.inuse_objects, -10.0, "frees count in a pause");
}

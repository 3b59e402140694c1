//! At an interval of 1 every figure is exact: live and cumulative, objects and bytes, through all four methods
//! of the allocator, frees on other threads and reallocation.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashSet;
use std::hint::black_box;

use alloc_profiler::{SamplingAllocator, Snapshot, Totals, set_sampling_interval, snapshot, testing};
use workspace_tests::oracle::{CountingAllocator, Counts};

#[global_allocator]
static ALLOCATOR: SamplingAllocator<CountingAllocator> = SamplingAllocator::with_allocator(CountingAllocator);

/// Allocates at depths that go up and down, beyond what is kept of a stack, for so many `steps`.
#[inline(never)]
fn wander(random: &mut u64, steps: &mut u32, depth: usize) {
    while *steps > 0 {
        *steps -= 1;
        black_box(Box::new(depth));
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        // It goes down more often than up.
        match *random >> 61 {
            0..5 if depth < 200 => wander(random, steps, depth + 1),
            5 => _ = black_box(vec![depth]),
            _ if depth > 0 => return,
            _ => {}
        }
    }
}

/// Runs `work` between two snapshots and demands that the profile agrees with the counts to the last byte.
fn exactly(what: &str, work: impl FnOnce()) -> Snapshot {
    let before = snapshot();
    let counts_before = Counts::now();
    work();
    let counts = Counts::now().since(counts_before);
    let growth = snapshot().since(&before);
    let totals = growth.totals();
    let Totals {
        alloc_objects, alloc_bytes, alloc_samples, inuse_objects, inuse_bytes, inuse_samples, ..
    } = totals;
    assert_eq!(totals.alloc_bytes_variance, 0.0, "{what}: no error");
    assert_eq!(totals.inuse_bytes_variance, 0.0, "{what}: no error");
    let expected = (counts.allocated_objects as f64, counts.allocated_bytes as f64);
    assert_eq!((alloc_objects, alloc_bytes), expected, "{what}: allocated");
    assert_eq!(
        (alloc_samples as f64, inuse_samples as f64),
        (alloc_objects, inuse_objects),
        "{what}: samples"
    );
    let expected = (counts.live_objects as f64, counts.live_bytes as f64);
    if growth.dropped.live_busy == 0 {
        assert_eq!((inuse_objects, inuse_bytes), expected, "{what}: in use");
    } else {
        // A busy machine did not let a thread run on that had a lock. So many samples may be missing, and no more.
        let missing = expected.0 - inuse_objects;
        assert!((0.0..=growth.dropped.live_busy as f64).contains(&missing), "{what}: {missing} are missing");
    }
    growth
}

#[test]
fn every_allocation_is_exact() {
    set_sampling_interval(1);
    // The test harness's threads allocate now and then: let this thread's own start be over, and keep results
    // of assertions out of the counts by allocating nothing between the two readings.
    exactly("nothing", || {});
    boxes_are_counted();
    reallocations_are_counted();
    all_methods_are_counted();
    threads_that_hand_blocks_over_are_counted();

    assert_eq!(testing::duplicate_inserts(), 0);
    let end = snapshot();
    assert_eq!(end.dropped.live_full + end.dropped.missed_removals, 0);
    assert!(end.dropped.live_busy < 20, "{:?}", end.dropped);
    assert!(end.overflow.is_empty(), "{:?}", end.overflow);
    each_stack_is_kept_once();
}

fn boxes_are_counted() {
    let mut kept: Vec<Box<[u8]>> = Vec::with_capacity(3000);
    exactly("kept boxes of many sizes", || {
        for size in 1..=3000 {
            kept.push(black_box(vec![1_u8; size].into_boxed_slice()));
        }
    });
    exactly("half of them freed, on another thread", || {
        let half = kept.split_off(1500);
        std::thread::spawn(move || drop(half)).join().expect("no panic");
    });
    exactly("all of them freed", || drop(kept));
}

fn reallocations_are_counted() {
    exactly("a vector that grows by realloc", || {
        let mut grown: Vec<u64> = Vec::new();
        for n in 0..100_000 {
            grown.push(black_box(n));
        }
        grown.shrink_to_fit();
        std::mem::forget(grown);
    });
}

fn all_methods_are_counted() {
    exactly("zeroed and aligned blocks", || {
        for align in [1, 8, 64, 4096, 1 << 21] {
            for size in [1, 100, 5000, 1 << 20] {
                let layout = Layout::from_size_align(size, align).expect("a valid layout");
                // SAFETY: the layout is not empty; both blocks are freed with the layout they have then.
                unsafe {
                    let zeroed = ALLOCATOR.alloc_zeroed(layout);
                    assert!(zeroed.addr() != 0 && zeroed.addr().is_multiple_of(align));
                    assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|&byte| byte == 0));
                    let larger = ALLOCATOR.realloc(zeroed, layout, size * 2);
                    let kept = ALLOCATOR.alloc(layout);
                    black_box(kept);
                    ALLOCATOR.dealloc(larger, Layout::from_size_align(size * 2, align).expect("valid"));
                }
            }
        }
    });

    exactly("an allocation that fails", || {
        let layout = Layout::from_size_align(isize::MAX as usize - 4096, 1).expect("a valid layout");
        let small = Layout::new::<[u8; 100]>();
        // SAFETY: the layouts are not empty; a failed `realloc` leaves the block as it was.
        unsafe {
            assert!(ALLOCATOR.alloc(layout).is_null());
            let block = ALLOCATOR.alloc(small);
            assert!(ALLOCATOR.realloc(block, small, layout.size()).is_null());
            ALLOCATOR.dealloc(block, small);
        }
    });
}

fn threads_that_hand_blocks_over_are_counted() {
    let growth = exactly("two threads handing blocks to each other", || {
        let (to_other, from_here) = std::sync::mpsc::channel::<Vec<u8>>();
        let other = std::thread::spawn(move || from_here.iter().map(|block| block.len()).sum::<usize>());
        for size in 0..20_000 {
            to_other.send(black_box(vec![0; size % 700 + 1])).expect("the other thread listens");
        }
        drop(to_other);
        other.join().expect("no panic");
    });
    assert!(growth.totals().alloc_objects >= 20_000.0);
}

fn each_stack_is_kept_once() {
    // Of so many threads some cannot remember their last stack, and find the same ones all the same.
    std::thread::scope(|scope| {
        for thread in 0..100 {
            scope.spawn(move || {
                wander(&mut (1 + thread % 3), &mut 3000, 0);
            });
        }
    });
    let end = snapshot();
    let distinct: HashSet<_> = end.stacks.iter().map(|stack| &stack.trace).collect();
    assert_eq!(distinct.len(), end.stacks.len(), "each stack is kept once");
    assert!(end.stacks.iter().any(|stack| stack.trace.is_truncated));
    assert!(end.stacks.len() > 200, "{}", end.stacks.len());
}

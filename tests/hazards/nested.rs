//! D15: allocators around one another, of which more than one is ours.

use alloc_profiler::internal::literal;
use std::alloc::{GlobalAlloc, Layout, System};

use alloc_profiler::{
    Dropped, SamplingAllocator, Totals, set_sampling_interval, size_class, snapshot, testing,
};
use workspace_tests::scraper_rules;

use crate::ALLOCATOR;
use crate::harness::isolated;

/// Returns what `work` added to the totals of blocks of `bytes`, and what it lost.
fn growth_of(bytes: usize, work: impl FnOnce()) -> (Totals, Dropped) {
    let before = snapshot();
    work();
    let growth = snapshot().since(&before);
    let mut sum = Totals::default();
    let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size);
    sizes.filter(|size| size.size_class == size_class(bytes)).for_each(|size| sum += size.totals);
    (sum, growth.dropped)
}

static NESTED: SamplingAllocator<SamplingAllocator<System>> =
    SamplingAllocator::with_allocator(SamplingAllocator::new());

/// D15: where one `SamplingAllocator` stands around another, only one counts.
#[test]
fn allocators_around_one_another_count_once() {
    isolated(1, || {
        for (interval, bytes, count) in [(1, 5000, 1000), (8192, 5000, 40_000), (65_536, 300_000, 3000)] {
            set_sampling_interval(interval);
            testing::seed(11);
            let layout = Layout::from_size_align(bytes, 16).expect("valid");
            let mut kept = Vec::with_capacity(count);
            let (totals, dropped) = growth_of(bytes, || {
                // SAFETY: the layout is not empty.
                kept.extend((0..count).map(|_| unsafe { NESTED.alloc(layout) }));
            });
            // This is the probability with which each block is sampled.
            let probability = 1.0 - (-(bytes as f64) / interval as f64).exp();
            let deviation =
                if interval == 1 { 0.0 } else { ((1.0 - probability) / probability * count as f64).sqrt() };
            for objects in [totals.alloc_objects, totals.inuse_objects] {
                let off = objects - count as f64;
                assert!(off.abs() <= 6.0 * deviation, "{objects} of {count} at {interval}, {deviation}");
            }
            assert_eq!(dropped, Dropped::default());
            let (totals, _) = growth_of(bytes, || {
                // SAFETY: each block has this layout, and is freed once.
                kept.iter().for_each(|block| unsafe { NESTED.dealloc(*block, layout) });
            });
            let off = totals.inuse_objects + count as f64;
            assert!(off.abs() <= 6.0 * deviation, "{totals:?}");
            assert_eq!(testing::duplicate_inserts(), 0);
        }
    });
}

/// An allocator that hands out the first part of blocks of the global allocator.
struct Carving;

const CHUNK_BYTES: usize = 10_000;

// SAFETY: a block is a whole one of the global allocator's, of which the rest is not used.
unsafe impl GlobalAlloc for Carving {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let chunk = Layout::from_size_align(CHUNK_BYTES, layout.align()).expect("valid");
        // SAFETY: the layout is not empty.
        unsafe { ALLOCATOR.alloc(chunk) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let chunk = Layout::from_size_align(CHUNK_BYTES, layout.align()).expect("valid");
        // SAFETY: the block has the layout that it was allocated with.
        unsafe { ALLOCATOR.dealloc(ptr, chunk) }
    }
}

static CARVING: SamplingAllocator<Carving> = SamplingAllocator::with_allocator(Carving);

/// D15: the records that the two allocators take from each other are counted.
#[test]
fn a_pool_over_the_global_allocator_is_noticed() {
    isolated(1, || {
        const COUNT: usize = 20;
        set_sampling_interval(1);
        let layout = Layout::from_size_align(100, 16).expect("valid");
        let (chunks, dropped) = growth_of(CHUNK_BYTES, || {
            // SAFETY: the layout is not empty. The blocks stay.
            (0..COUNT).for_each(|_| assert!(!unsafe { CARVING.alloc(layout) }.is_null()));
        });
        assert_eq!((chunks.alloc_objects, chunks.inuse_objects), (COUNT as f64, 0.0));
        assert_eq!(dropped, literal!(Dropped { replaced_records: COUNT as u64, ..Dropped::default() }));
        let profile = pprof_server::heap_profile(&snapshot(), &pprof_server::ProfileOptions::default());
        let profile = scraper_rules(&profile);
        let notes = profile.comment_index.iter().map(|&index| &profile.string_table[index as usize]);
        assert_eq!(notes.filter(|note| note.contains("recorded at the same address")).count(), 1);
    });
}

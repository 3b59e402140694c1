//! A program that labels by what it should not: a million sets of labels are a few thousand, and the totals are right.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pprof_server::alloc_profiler::{self, SamplingAllocator};
use pprof_server::{LabelSet, ProfileOptions, keep_heap_labels, labels};
use workspace_tests::decode;

/// Counts what the program holds, the profiler's labels included.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on, with the caller's own promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: SamplingAllocator<Counting> = SamplingAllocator::with_allocator(Counting);

/// A million, where the test is quick: without optimization, it takes ten times as long.
const SETS: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

#[test]
fn a_million_sets_are_few_and_lose_nothing() {
    alloc_profiler::set_sampling_interval(1);
    keep_heap_labels(true);
    let before = alloc_profiler::snapshot();
    let held = HELD.load(Relaxed);
    let mut allocated = 0;
    for number in 0..SETS {
        let _labels = labels! { "request" => number, "shard" => number % 100, "step" => number / 100 % 100 };
        if number % 7 == 0 {
            allocated += 1;
            std::hint::black_box(vec![1_u8; 77]);
        }
    }
    let grown = HELD.load(Relaxed).saturating_sub(held);
    assert!(grown < 4 << 20, "{grown} bytes for labels");
    let change = alloc_profiler::snapshot().since(&before);
    let of_size: Vec<_> = change
        .stacks
        .iter()
        .flat_map(|stack| &stack.by_size)
        .filter(|size| size.size_class == alloc_profiler::size_class(77))
        .collect();
    let objects: f64 = of_size.iter().map(|size| size.totals.alloc_objects).sum();
    assert_eq!(objects, f64::from(allocated));
    assert!(of_size.iter().all(|size| size.label != 0) && of_size.len() > 1000, "{}", of_size.len());
    let profile = decode(&pprof_server::heap_profile(&change, &ProfileOptions::default()));
    let said = |part: &str| profile.string_table.iter().any(|text| text.contains(part));
    assert!(said("[other]") && said("labels: request has had more than 256 values"));
    assert!(said("more than 4096 different sets"));
    // A set that there was before is there still.
    assert_eq!(LabelSet::EMPTY.with("request", &7).to_string(), "request=7");
    assert_eq!(LabelSet::EMPTY.with("request", &700_000).to_string(), "request=[other]");
}

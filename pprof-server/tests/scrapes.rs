//! A hundred scrapes under load: what was allocated on a stack is never unsaid, and readers' rules hold each time.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;
use workspace_tests::client::get;
use workspace_tests::scraper_rules;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// A stack as a reader knows it from one scrape to the next: its addresses and the size.
type Key = (Vec<u64>, i64);

#[inline(never)]
fn churn(is_over: &AtomicBool, mut size: usize) {
    let mut kept = Vec::new();
    while !is_over.load(Relaxed) {
        size = size * 7 % 10_007 + 1;
        kept.push(black_box(vec![1_u8; size]));
        if size.is_multiple_of(3) {
            kept.push(recurse(size, size % 10));
        }
        if kept.len() > 500 {
            kept.clear();
        }
    }
}

/// Stacks that are new for a while.
#[inline(never)]
fn recurse(size: usize, depth: usize) -> Vec<u8> {
    let deeper = if depth > 0 { recurse(size, depth - 1) } else { vec![1; size] };
    black_box(deeper)
}

#[test]
fn what_was_allocated_is_never_unsaid() {
    pprof_server::alloc_profiler::set_sampling_interval(4096);
    let server = serve("127.0.0.1:0").unwrap();
    let is_over = AtomicBool::new(false);
    let mut before: HashMap<Key, [i64; 2]> = HashMap::new();
    let mut growth = 0;
    std::thread::scope(|scope| {
        for size in [11, 222, 3333] {
            let is_over = &is_over;
            scope.spawn(move || churn(is_over, size));
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 0..100 {
                let query = ["heap", "allocs"][number % 2];
                let reply = get(server.local_addr(), &format!("/debug/pprof/{query}"));
                let profile = scraper_rules(&reply.body);
                let now: HashMap<Key, [i64; 2]> = profile
                    .sample
                    .iter()
                    .map(|sample| {
                        let address = |id: &u64| profile.location[*id as usize - 1].address;
                        let addresses = sample.location_id.iter().map(address).collect();
                        ((addresses, sample.label[0].num), [sample.value[0], sample.value[1]])
                    })
                    .collect();
                for (stack, allocated) in &before {
                    let later =
                        now.get(stack).unwrap_or_else(|| panic!("scrape {number} has lost {stack:x?}"));
                    assert!(later[0] >= allocated[0] && later[1] >= allocated[1], "{allocated:?} {later:?}");
                    growth += i64::from(later[1] > allocated[1]);
                }
                before = now;
            }
        }));
        is_over.store(true, Relaxed);
        result.unwrap();
    });
    // Something went on meanwhile.
    assert!(before.len() > 20 && growth > 500, "{} stacks, grown {growth} times", before.len());
}

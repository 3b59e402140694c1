//! Sampled blocks are listed with their addresses, sizes, weights, ages and stacks. A block that was listed is told from one that
//! came to the same address later.

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloc_profiler::internal::{LiveBlock, LiveBlocks, live_blocks};
use alloc_profiler::{SamplingAllocator, set_sampling_interval, snapshot};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Nothing else here has this size.
const BYTES: usize = 77_777;
/// Ages are in ticks of a sixteenth of a second, by a clock that may be a tick of the system late.
const TOLERANCE: Duration = Duration::from_millis(63 + 11);

#[inline(never)]
fn here() -> Vec<u8> {
    black_box(Vec::with_capacity(BYTES))
}

#[inline(never)]
fn there() -> Vec<u8> {
    black_box(Vec::with_capacity(BYTES))
}

fn listed() -> LiveBlocks {
    live_blocks(|_, size| size == BYTES)
}

fn at<'a>(listed: &'a LiveBlocks, block: &[u8]) -> Option<&'a LiveBlock> {
    listed.blocks.iter().find(|live| live.address == block.as_ptr().addr())
}

#[test]
fn live_blocks_are_those_in_use() {
    set_sampling_interval(1);
    let before = Instant::now();
    let blocks = [here(), here(), there()];
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    let now = listed();
    assert_eq!(now.blocks.len(), 3, "{now:?}");
    let found = blocks.each_ref().map(|block| *at(&now, block).expect("it is in use"));
    for live in found {
        assert_eq!((live.size, live.weight, live.objects_variance), (BYTES, 1.0, 0.0));
        let oldest = before.elapsed() + TOLERANCE;
        let youngest = (asked - before).saturating_sub(TOLERANCE + Duration::from_millis(200));
        assert!((youngest..=oldest).contains(&live.age), "{live:?}");
        assert!(live.is_in_use());
    }
    let [first, second, third] = found.map(|live| live.stack.expect("there is room for the stacks"));
    assert_ne!(second, third, "two functions made them");
    let stacks = snapshot().stacks;
    for index in [first, second, third] {
        let of_snapshot = stacks.iter().find(|stack| stack.trace == now.stacks[index]);
        let objects: f64 = of_snapshot
            .expect("a snapshot has the stack too")
            .by_size
            .iter()
            .map(|size| size.totals.inuse_objects)
            .sum();
        let same = found.iter().filter(|live| live.stack == Some(index)).count();
        assert_eq!(objects, same as f64);
    }
    what_was_freed_is_not_in_use(blocks, found);
    assert_eq!(listed(), LiveBlocks::default());
    chance_is_told();
}

fn what_was_freed_is_not_in_use(blocks: [Vec<u8>; 3], found: [LiveBlock; 3]) {
    let [first, second, third] = blocks;
    drop(first);
    assert_eq!(found.map(|live| live.is_in_use()), [false, true, true]);
    assert_eq!(listed().blocks.len(), 2);
    // Until a block comes to the same address, which most allocators do at once.
    let again =
        std::iter::repeat_with(here).take(1000).find(|block| block.as_ptr().addr() == found[0].address);
    if let Some(again) = again {
        assert!(at(&listed(), &again).expect("it is in use").is_in_use());
        assert!(!found[0].is_in_use(), "another block is at its address");
    }
    drop((second, third));
}

/// A block that is sampled by chance has the weight and the variance of its probability.
fn chance_is_told() {
    let interval = 8 * BYTES as u64;
    set_sampling_interval(interval);
    let blocks: Vec<Vec<u8>> = (0..400).map(|_| here()).collect();
    let now = listed();
    let probability = -(-1.0_f64 / 8.0).exp_m1();
    assert!((10..=150).contains(&now.blocks.len()), "{} of 400 at 1 in 8.5", now.blocks.len());
    for live in &now.blocks {
        assert!((live.weight * probability - 1.0).abs() < 1e-6, "{live:?}");
        assert!((live.objects_variance - live.weight * (live.weight - 1.0)).abs() < 1e-6, "{live:?}");
    }
    drop(blocks);
}

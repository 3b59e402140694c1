//! Every block in use has its age. It is never older nor younger than the program knows it to be, and a `realloc` makes
//! it new. What is older than a limit is exactly what was allocated before.

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloc_profiler::{
    AgeTotals, SamplingAllocator, Snapshot, set_sampling_interval, snapshot, snapshot_with_ages,
};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Ages are in ticks of a sixteenth of a second, by a clock that may be a tick of the system late.
const TOLERANCE: Duration = Duration::from_millis(63 + 11);

/// Returns the ages of the blocks of this size class.
fn ages(snapshot: &Snapshot, size_class: u64) -> Vec<AgeTotals> {
    let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size);
    let mut ages: Vec<AgeTotals> =
        sizes.filter(|size| size.size_class == size_class).flat_map(|size| size.ages.clone()).collect();
    ages.sort_by_key(|ages| ages.age);
    ages
}

#[test]
fn ages_are_those_of_the_blocks() {
    set_sampling_interval(1);
    // Nothing else here has these sizes, 1 MiB and 2 MiB.
    const FIRST: usize = 1 << 20;
    const SECOND: usize = 1 << 21;
    let before_first = Instant::now();
    let mut first: Vec<Vec<u8>> = (0..3).map(|_| black_box(Vec::with_capacity(FIRST))).collect();
    let after_first = Instant::now();
    std::thread::sleep(Duration::from_millis(700));
    let before_second = Instant::now();
    let second: Vec<u8> = black_box(Vec::with_capacity(SECOND));
    // One of the first blocks becomes one of the second size: a new block, which is allocated now.
    first[0].reserve_exact(SECOND);
    let after_second = Instant::now();
    std::thread::sleep(Duration::from_millis(400));

    let asked = Instant::now();
    let now = snapshot_with_ages();
    let answered = Instant::now();
    for (size_class, bytes, objects, born, done) in [
        (FIRST as u64, FIRST, 2.0, before_first, after_first),
        (SECOND as u64, SECOND, 2.0, before_second, after_second),
    ] {
        let ages = ages(&now, size_class);
        let youngest = (asked - done).saturating_sub(TOLERANCE);
        let oldest = answered - born + TOLERANCE;
        assert!(
            !ages.is_empty() && ages.iter().all(|ages| (youngest..=oldest).contains(&ages.age)),
            "{ages:?}"
        );
        assert_eq!(ages.iter().map(|ages| ages.objects).sum::<f64>(), objects, "{ages:?}");
        assert_eq!(ages.iter().map(|ages| ages.bytes).sum::<f64>(), objects * bytes as f64, "{ages:?}");
        assert_eq!(ages.iter().map(|ages| ages.samples).sum::<i64>(), objects as i64, "{ages:?}");
    }
    // The ages of each stack are in order, the youngest first, and make up what is in use.
    for size in now.stacks.iter().flat_map(|stack| &stack.by_size) {
        assert!(size.ages.is_sorted_by(|a, b| a.age < b.age));
        assert_eq!(size.ages.iter().map(|ages| ages.bytes).sum::<f64>(), size.totals.inuse_bytes);
    }

    let between = answered - before_second + TOLERANCE;
    assert!(between < asked - after_first - TOLERANCE, "the machine was too slow to tell the two apart");
    let old = now.clone().older_than(between);
    let in_use = |snapshot: &Snapshot, class: usize| -> f64 {
        let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size);
        sizes.filter(|size| size.size_class == class as u64).map(|size| size.totals.inuse_objects).sum()
    };
    assert_eq!((in_use(&old, FIRST), in_use(&old, SECOND)), (2.0, 0.0));
    assert_eq!(now.clone().older_than(Duration::ZERO).totals(), now.totals());
    assert_eq!(old.totals().alloc_bytes, now.totals().alloc_bytes, "what was allocated stays");
    assert!(ages(&snapshot(), FIRST as u64).is_empty(), "ages are there only if asked for");
    drop((first, second));
}

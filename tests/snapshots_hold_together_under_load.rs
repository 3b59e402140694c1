//! Four threads allocate, hand over and free at an interval of 1 while threads come and go and snapshots are
//! taken: every one is sound, nothing that was allocated is ever unsaid, and at the end nothing is left.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use alloc_profiler::{
    SamplingAllocator, Snapshot, Totals, set_sampling_interval, size_class, snapshot, testing, unsampled,
};
use workspace_tests::oracle::totals_agree;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

static IS_OVER: AtomicBool = AtomicBool::new(false);
/// Blocks of a size class that nothing else here has, allocated by all threads on one stack: as many as there were.
static COUNTED: AtomicU64 = AtomicU64::new(0);
const COUNTED_BYTES: usize = 90_000;

/// Allocates in its destructor, when other thread-locals may be gone.
struct AllocatesLast(Vec<u8>);

impl Drop for AllocatesLast {
    fn drop(&mut self) {
        self.0 = black_box(vec![1; 333]);
    }
}

thread_local! {
    static LAST: AllocatesLast = AllocatesLast(vec![1; 100]);
}

#[inline(never)]
fn churn(to_next: &mpsc::Sender<Vec<u8>>, from_previous: &mpsc::Receiver<Vec<u8>>) {
    let mut size = 1;
    while !IS_OVER.load(Relaxed) {
        drop(black_box(Vec::<u8>::with_capacity(COUNTED_BYTES)));
        COUNTED.fetch_add(1, Relaxed);
        size = size * 7 % 10_007 + 1;
        let mut block = vec![0_u8; size];
        block.extend_from_slice(&[1; 50]);
        // The neighbour may be over already.
        let _ = to_next.send(black_box(block));
        if size % 50 == 0 {
            std::thread::spawn(|| LAST.with(|last| black_box(last.0.len()))).join().expect("no panic");
        }
        from_previous.try_iter().for_each(drop);
    }
}

/// Blocks that are in use all the time, of a size class that nothing else here has.
const KEPT: usize = 5000;
const KEPT_BYTES: usize = 50_000;

/// Of all blocks of the size class of `bytes`.
fn totals(snapshot: &Snapshot, bytes: usize) -> Totals {
    let mut sum = Totals::default();
    let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size);
    sizes.filter(|size| size.size_class == size_class(bytes)).for_each(|size| sum += size.totals);
    sum
}

fn is_sound(snapshot: &Snapshot, earlier: &Snapshot) {
    let kept = totals(snapshot, KEPT_BYTES).inuse_objects;
    assert_eq!(kept, KEPT as f64, "records are missing, or there twice");
    let mut seen = HashMap::new();
    for stack in &snapshot.stacks {
        for size in &stack.by_size {
            let totals = size.totals;
            assert!(
                0.0 <= totals.inuse_objects && totals.inuse_objects <= totals.alloc_objects,
                "{totals:?}"
            );
            assert!(0.0 <= totals.inuse_bytes && totals.inuse_bytes <= totals.alloc_bytes, "{totals:?}");
            assert!(seen.insert((&stack.trace, size.size_class), totals).is_none(), "listed twice");
        }
    }
    for stack in &earlier.stacks {
        for size in &stack.by_size {
            let now = seen.get(&(&stack.trace, size.size_class)).expect("never forgotten");
            assert!(
                now.alloc_objects >= size.totals.alloc_objects && now.alloc_bytes >= size.totals.alloc_bytes
            );
        }
    }
}

#[test]
fn snapshots_hold_together_under_load() {
    set_sampling_interval(1);
    let kept: Vec<Vec<u8>> = (0..KEPT).map(|_| black_box(Vec::with_capacity(KEPT_BYTES))).collect();
    let start = snapshot();
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut taken = 0;
    std::thread::scope(|scope| {
        let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::channel()).unzip();
        receivers.rotate_left(1);
        for (to_next, from_previous) in senders.into_iter().zip(receivers) {
            scope.spawn(move || churn(&to_next, &from_previous));
        }
        let mut earlier = start.clone();
        while Instant::now() < deadline {
            let later = snapshot();
            unsampled(|| is_sound(&later, &earlier));
            earlier = later;
            taken += 1;
        }
        IS_OVER.store(true, Relaxed);
    });
    assert!(taken > 3, "only {taken} snapshots in five seconds");
    totals_agree();

    // What a thread leaves behind for ever is the runtime's and small; blocks of this test are none of it.
    let growth = snapshot().since(&start);
    let left: Vec<_> = growth
        .stacks
        .iter()
        .flat_map(|stack| &stack.by_size)
        .filter(|size| size.totals.inuse_objects != 0.0 && size.size_class > 1024)
        .collect();
    let held_by_locals = start.totals().inuse_bytes;
    assert!(left.is_empty(), "{left:?} beside {held_by_locals} B at the start");
    assert!(growth.totals().alloc_objects > 10_000.0);
    let counted = totals(&growth, COUNTED_BYTES).alloc_objects;
    assert_eq!(counted, COUNTED.load(Relaxed) as f64, "what was added at the same time was lost");
    assert_eq!(testing::duplicate_inserts(), 0);
    assert_eq!(growth.dropped.missed_removals, 0);
    drop(kept);
}

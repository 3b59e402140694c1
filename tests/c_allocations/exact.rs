//! At an interval of 1, every figure is exact, for C and for Rust.

use std::hint::black_box;
use std::thread;

use alloc_profiler::{Limits, SizeTotals, Snapshot, set_limits, set_sampling_interval, snapshot};

use crate::harness::{assert_consistent, isolated};
use crate::library::Library;
use crate::truth::{self, Counts};

/// Goes through all of C's functions, and keeps some blocks: those that are there at the end.
const CHURN: &str = r#"
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 200 };

static unsigned next(unsigned *random) {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random;
}

void *allocate_somehow(unsigned *random, void *old) {
    size_t size = next(random) % 3000;
    void *block = NULL;
    switch (next(random) % 12) {
    case 0: return realloc(old, size + 1);
    case 1: return reallocarray(old, size + 1, 3);
    case 2: free(old); return calloc(size, 5);
    case 3: free(old); return posix_memalign(&block, 64, size) == 0 ? block : NULL;
    case 4: free(old); return aligned_alloc(256, size);
    case 5: free(old); return memalign(4096, size);
    case 6: free(old); return valloc(size);
    case 7: free(old); return pvalloc(size);
    case 8: free(old); return strdup("a text that is copied");
    case 9: return old == NULL ? NULL : realloc(old, 0);
    case 10: { void *kept = realloc(old, (size_t)1 << 60); return kept == NULL ? old : kept; }
    default: free(old); return malloc(size);
    }
}

void churn(unsigned random, int steps) {
    static __thread void *slots[SLOTS];
    while (steps-- > 0) {
        void **slot = &slots[next(&random) % SLOTS];
        *slot = allocate_somehow(&random, *slot);
    }
}

void *give(size_t size) { return malloc(size); }
void *grow(void *block, size_t size) { return realloc(block, size); }
"#;

type Churn = extern "C" fn(u32, i32);
type Give = extern "C" fn(usize) -> *mut libc::c_void;
type Grow = extern "C" fn(*mut libc::c_void, usize) -> *mut libc::c_void;

/// Returns what a profile says of Rust, or of C.
fn told(snapshot: &Snapshot, by_c: bool) -> Counts {
    let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size).chain(&snapshot.overflow);
    let mut counts = Counts::default();
    for SizeTotals { totals, .. } in sizes.filter(|size| size.is_by_c == by_c) {
        counts.allocated_objects += totals.alloc_objects;
        counts.allocated_bytes += totals.alloc_bytes;
        counts.live_objects += totals.inuse_objects;
        counts.live_bytes += totals.inuse_bytes;
    }
    counts
}

fn difference(now: Counts, before: Counts) -> Counts {
    Counts {
        allocated_objects: now.allocated_objects - before.allocated_objects,
        allocated_bytes: now.allocated_bytes - before.allocated_bytes,
        live_objects: now.live_objects - before.live_objects,
        live_bytes: now.live_bytes - before.live_bytes,
    }
}

/// Runs `work` between two snapshots, and demands that they agree with the truth to the last byte. Returns what C allocated.
fn exactly(what: &str, work: impl FnOnce()) -> Counts {
    let before = snapshot();
    let counts_before = truth::counts();
    work();
    let counts = truth::counts();
    let growth = snapshot().since(&before);
    assert_consistent(&growth);
    let [of_rust, of_c] = [0, 1].map(|index| difference(counts[index], counts_before[index]));
    for (whose, of_whom, mut counts) in [("C", true, of_c), ("Rust", false, of_rust)] {
        let told = told(&growth, of_whom);
        if growth.dropped.live_busy > 0 {
            // A busy machine did not let a thread run on that had a lock. So many samples may be missing of what is in use.
            let missing = counts.live_objects - told.live_objects;
            assert!(
                (0.0..=growth.dropped.live_busy as f64).contains(&missing),
                "{what}: {missing} are missing"
            );
            (counts.live_objects, counts.live_bytes) = (told.live_objects, told.live_bytes);
        }
        assert_eq!(told, counts, "{what}: {whose}");
    }
    of_c
}

#[test]
fn c_and_rust_are_exact_side_by_side() {
    isolated(1, || {
        let library = Library::of("churn", CHURN);
        let churn: Churn = library.function("churn");
        let (give, grow): (Give, Grow) = (library.function("give"), library.function("grow"));
        set_sampling_interval(1);
        truth::begin();
        exactly("nothing", || {});
        let of_c = exactly("all of C's functions", || churn(7, 20_000));
        assert!(of_c.allocated_objects > 10_000.0 && of_c.live_objects > 50.0, "{of_c:?}");
        exactly("C's threads beside Rust's", || {
            let in_rust = || (0..5_000).for_each(|size| drop(black_box(vec![1_u8; size % 900 + 1])));
            let threads =
                (1..4).flat_map(|seed| [thread::spawn(move || churn(seed, 5_000)), thread::spawn(in_rust)]);
            // A thread frees until it has ended, which a scope does not wait for.
            threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        });
        let handed = exactly("C's blocks are freed by Rust, and grown there", || {
            for size in 1..2_000 {
                let block = grow(give(size), 2 * size);
                // SAFETY: it is C's block, and nobody else's.
                unsafe { libc::free(if size % 2 == 0 { block } else { libc::realloc(block, 3 * size) }) };
            }
        });
        assert_eq!((handed.allocated_objects, handed.live_objects), (1999.0 * 2.0 + 1000.0, 0.0));
        let (_, measured) = alloc_profiler::measure(|| {
            // SAFETY: the block is freed in the same breath.
            unsafe { libc::free(give(black_box(100))) };
            drop(black_box(vec![1_u8; 50]));
        })
        .unwrap();
        assert_eq!((measured.alloc_objects, measured.alloc_bytes), (2, 150), "measurements have both");
    });
}

/// Where there is no room for one more stack, nobody can say where a block came from, but still who asked for it.
#[test]
fn beyond_the_limit_on_stacks_c_and_rust_are_told_apart() {
    isolated(1, || {
        let churn: Churn = Library::of("churn", CHURN).function("churn");
        set_sampling_interval(1);
        truth::begin();
        set_limits(Limits::DEFAULT.with_stacks(0));
        let before = snapshot();
        let of_c = exactly("all of C's functions", || {
            churn(7, 20_000);
            (0..5_000).for_each(|size| drop(black_box(vec![1_u8; size % 900 + 1])));
        });
        let growth = snapshot().since(&before);
        assert!(
            growth.dropped.stacks_full as f64 >= of_c.allocated_objects + 5_000.0,
            "{:?}",
            growth.dropped
        );
        let [by_c, by_rust] =
            [true, false].map(|by_c| growth.overflow.iter().any(|size| size.is_by_c == by_c));
        assert!(by_c && by_rust, "{:?}", growth.overflow);
    });
}

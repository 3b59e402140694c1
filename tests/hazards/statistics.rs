//! B3: chance alone chooses what is sampled, whatever came before. Seeds are fixed, so a test that passes passes again.
//! A right sampler would exceed the bounds at the rates that are stated.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::thread;

use alloc_profiler::{set_sampling_interval, size_class, snapshot, testing, unsampled};

use crate::ALLOCATOR;
use crate::harness::{isolated, pick};

const INTERVAL: u64 = 8192;

#[inline(never)]
fn allocate(bytes: usize) {
    let layout = Layout::from_size_align(bytes, 8).expect("valid");
    // SAFETY: the layout is not empty, and the block is freed with it.
    unsafe {
        let block = ALLOCATOR.alloc(layout);
        ALLOCATOR.dealloc(black_box(block), layout);
    }
}

/// Returns how many blocks of each of `sizes` that `work` allocates are sampled.
fn samples<const N: usize>(sizes: [usize; N], work: impl FnOnce()) -> [f64; N] {
    let before = snapshot();
    work();
    let growth = snapshot().since(&before);
    let all = || growth.stacks.iter().flat_map(|stack| &stack.by_size);
    sizes.map(|size| {
        let same = all().filter(|other| other.size_class == size_class(size));
        same.map(|size| size.totals.alloc_samples as f64).sum()
    })
}

fn probability(size: usize) -> f64 {
    1.0 - (-(size as f64) / INTERVAL as f64).exp()
}

/// Returns how many standard deviations `samples` of `count` blocks are off.
fn deviations(samples: f64, count: f64, probability: f64) -> f64 {
    (samples - count * probability) / (count * probability * (1.0 - probability)).sqrt()
}

/// The bound is six standard deviations, which 2 in 10^9 exceed for each of the four checks.
#[test]
fn a_pause_favours_nobody() {
    isolated(1, || {
        set_sampling_interval(INTERVAL);
        testing::seed(11);
        const SIZES: [usize; 2] = [1000, 1500];
        let count = pick(100_000, 2_000_000);
        // One kind always comes right after a pause, in which much is allocated; the other one never does.
        let after_a_pause = samples(SIZES, || {
            for _ in 0..count {
                unsampled(|| allocate(5000));
                allocate(SIZES[0]);
                allocate(SIZES[1]);
            }
        });
        // One kind always comes right after a large block, which is nearly always sampled.
        let after_a_sample = samples(SIZES, || {
            for _ in 0..count / 4 {
                allocate(1 << 17);
                allocate(SIZES[0]);
                allocate(SIZES[1]);
            }
        });
        for (samples, count) in [(after_a_pause, count), (after_a_sample, count / 4)] {
            for (samples, size) in samples.into_iter().zip(SIZES) {
                let off = deviations(samples, f64::from(count), probability(size));
                assert!(off.abs() < 6.0, "{samples} samples of {size} bytes, {off} standard deviations");
            }
        }
    });
}

/// The test is chi-square over the first sixteen blocks of each thread: 16 degrees of freedom, of which 1 in 10^6
/// exceeds 56.
#[test]
fn threads_start_anywhere() {
    isolated(1, || {
        set_sampling_interval(INTERVAL);
        testing::seed(12);
        // Each block of a thread has a size of its own, so that it can be told apart.
        const SIZES: [usize; 16] =
            [4096, 640, 1280, 2560, 5120, 768, 1536, 3072, 6144, 896, 1792, 3584, 7168, 1024, 2048, 8192];
        let threads = pick(1000, 10_000);
        let samples = samples(SIZES, || {
            for _ in 0..threads {
                thread::spawn(|| SIZES.map(allocate)).join().expect("no panic");
            }
        });
        let chi_square: f64 = samples
            .iter()
            .zip(SIZES)
            .map(|(&samples, size)| deviations(samples, f64::from(threads), probability(size)).powi(2))
            .sum();
        assert!(chi_square < 56.0, "chi-square {chi_square}: {samples:?}");
        assert!(chi_square > 1.5, "chi-square {chi_square} is too good to be true: {samples:?}");
    });
}

/// The test is Kolmogorov-Smirnov on the distances between sampled blocks, whose bound is exceeded at a rate of 1.3 in
/// 10^4.
#[test]
fn distances_are_geometric() {
    isolated(1, || {
        set_sampling_interval(INTERVAL);
        testing::seed(13);
        const SIZE: usize = 2048;
        let mut distances = Vec::new();
        let mut last = 0;
        let mut before = snapshot().totals().alloc_samples;
        unsampled(|| distances.reserve(100_000));
        for n in 1..pick(4000, 100_000) {
            // Every third block is suppressed by force.
            if n % 3 == 0 {
                unsampled(|| allocate(SIZE));
            }
            allocate(SIZE);
            let now = snapshot().totals().alloc_samples;
            if now != before {
                unsampled(|| distances.push(n - last));
                (before, last) = (now, n);
            }
        }
        let (count, probability) = (distances.len() as f64, probability(SIZE));
        assert!(count > 500.0, "{count}");
        let worst = (1..50)
            .map(|bound| {
                let found = distances.iter().filter(|&&distance| distance <= bound).count() as f64 / count;
                (found - (1.0 - (1.0 - probability).powi(bound))).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 2.2 / count.sqrt(), "off by {worst} in {count}");
    });
}

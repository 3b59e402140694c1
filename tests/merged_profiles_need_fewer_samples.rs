//! How sure the merged profile of a fleet is: docs/continuous-profiling.md has the formula, and this test holds it against
//! exact counts.
//!
//! Each pod allocates 256 blocks of 4 KiB with a seed of its own. A fleet of `N` pods is sampled at `N` times the interval of
//! one pod, and its merged profile should be as sure as that of the one. Of 300 fleets of each size the root of the mean
//! square of the errors is compared with the formula. It varies by 1/sqrt(600) = 4.1 %, so the bound of 20 % is exceeded by
//! chance less than once in 100 000 looks. Seeds are fixed, so an outcome repeats. (Without optimization there are fewer
//! fleets, and the bound is as much wider as chance is.)

use std::hint::black_box;

use alloc_profiler::{SamplingAllocator, set_sampling_interval, snapshot, testing, unsampled};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const BLOCKS: usize = 256;
const BLOCK_BYTES: usize = 4096;
const POD_BYTES: f64 = (BLOCKS * BLOCK_BYTES) as f64;
/// What one pod alone is sampled at.
const INTERVAL: u64 = 64 << 10;
const FLEETS: u64 = if cfg!(debug_assertions) { 40 } else { 300 };
const BOUND: f64 = if cfg!(debug_assertions) { 0.55 } else { 0.2 };

/// Returns the estimate of what one pod has in use.
fn estimate(seed: u64, interval: u64) -> f64 {
    let mut kept: Vec<Box<[u8; BLOCK_BYTES]>> = unsampled(|| Vec::with_capacity(BLOCKS));
    let before = unsampled(snapshot);
    set_sampling_interval(interval);
    testing::seed(seed);
    kept.extend((0..BLOCKS).map(|_| black_box(Box::new([0; BLOCK_BYTES]))));
    let now = unsampled(snapshot);
    now.totals().inuse_bytes - before.totals().inuse_bytes
}

#[test]
fn a_fleet_at_a_longer_interval_is_as_sure_as_one_pod_at_a_short_one() {
    for pods in [1, 16] {
        let interval = INTERVAL * pods;
        let bytes = POD_BYTES * pods as f64;
        let squares = (0..FLEETS).map(|fleet| {
            let merged: f64 = (0..pods).map(|pod| estimate(1 + fleet * pods + pod, interval)).sum();
            ((merged - bytes) / bytes).powi(2)
        });
        let measured = (squares.sum::<f64>() / FLEETS as f64).sqrt();
        // sqrt(R / (N b)), where blocks are small beside the interval.
        let formula = (interval as f64 / bytes).sqrt();
        println!("{pods} pods at {} KiB: ± {measured:.3}, by the formula ± {formula:.3}", interval >> 10);
        assert!(
            (measured / formula - 1.0).abs() < BOUND,
            "{pods} pods: {measured}, by the formula {formula}"
        );
    }
}

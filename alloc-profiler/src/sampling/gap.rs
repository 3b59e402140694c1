//! The number of bytes from one sample to the next, and what a sample then stands for.
//!
//! The gap to the next sampled byte is `floor(X)` with `X` exponential of mean `sampling_interval`, so that a
//! block of `size` bytes is sampled with probability `1 - exp(-size / interval)` wherever it stands (the
//! geometric distribution has no memory). A sample weighs the reciprocal of this probability, so summed weights are
//! unbiased for any mix of sizes. At 512 KiB, a block of 64 bytes is sampled once in 8192.5 times and stands for 8192.5
//! objects; one of 1 MiB is sampled with probability 0.865 and stands for 1.157 objects.
//!
//! Path: *allocation path*, where an allocation is sampled.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Exp1};

use crate::process::c_library;

/// The gap in bytes when sampling is off, and the upper clamp of all gaps: more than any thread will ever allocate.
pub(super) const NEVER: i64 = i64::MAX / 4;

/// Returns the number of objects that a sampled block of `size` bytes stands for: the reciprocal of its probability.
///
/// It is `1 / (1 - exp(-size / interval))`, which is at least 1. It is exactly 1 at the intervals 1 and 0 (at 0 nothing is
/// sampled, so its weight is never asked for).
pub(super) fn weight(size: usize, interval: u64) -> f64 {
    if interval <= 1 { 1.0 } else { -1.0 / (-(size.max(1) as f64) / interval as f64).exp_m1() }
}

/// Draws the number of bytes to let pass before the next sampled one.
pub(super) fn draw(generator: &mut Option<SmallRng>, interval: u64) -> i64 {
    match (interval, generator) {
        (0, _) | (_, None) => NEVER,
        (1, _) => 0,
        (interval, Some(generator)) => {
            let unit: f64 = Exp1.sample(generator);
            // mutant: D15 bytes that are counted twice are half as many
            let mean = interval as f64 * levels() as f64;
            // `as` saturates, so no gap is negative or out of range.
            ((unit * mean) as i64).min(NEVER)
        }
    }
}

/// How many times each allocation is counted down: once by each of the `SamplingAllocator`s that are around one another.
static LEVELS: AtomicU64 = AtomicU64::new(1);

fn levels() -> u64 {
    LEVELS.load(Relaxed)
}

/// Makes gaps longer by the factor `levels`, so that as many allocators as count each allocation down take together as many samples as
/// one would.
pub(super) fn count_levels(levels: u64) {
    if LEVELS.load(Relaxed) < levels {
        LEVELS.store(levels, Relaxed);
    }
}

/// The process's own seed, or 0 if there is none yet.
static SEED: AtomicU64 = AtomicU64::new(0);
static THREADS_SEEDED: AtomicU64 = AtomicU64::new(0);

/// Returns a generator for each thread, of a seed of its own. It takes no randomness from the system, which may block or forbid that; nobody's
/// secret depends on which allocations are sampled.
pub(super) fn next_generator() -> SmallRng {
    if SEED.load(Relaxed) == 0 {
        let address_space_layout = (&raw const SEED).addr() as u64;
        let seed = c_library::nanos()
            ^ address_space_layout.rotate_left(32)
            ^ u64::from(std::process::id()).rotate_left(16);
        let _ = SEED.compare_exchange(0, seed | 1, Relaxed, Relaxed);
    }
    let thread_number = THREADS_SEEDED.fetch_add(1, Relaxed);
    // mutant: B3 threads are seeded alike
    // This is not the constant that `seed_from_u64` itself steps by: with that one, neighbours would share most of their
    // state.
    let seed = SEED.load(Relaxed).wrapping_add(thread_number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    SmallRng::seed_from_u64(seed)
}

/// Has the generators from here on be those of another seed than before, which the process chooses by itself.
pub(super) fn forget_seed() {
    SEED.store(0, Relaxed);
}

/// Fixes the generators from here on, in the order in which they are asked for.
pub(super) fn fix_seed(seed: u64) {
    SEED.store(seed.wrapping_shl(1) | 1, Relaxed);
    THREADS_SEEDED.store(0, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_the_reciprocal_of_the_probability() {
        for (size, interval) in [(1, 2), (64, 524_288), (4096, 524_288), (1 << 20, 524_288), (1 << 40, 3)] {
            let probability = 1.0 - (-(size as f64) / interval as f64).exp();
            let product = weight(size, interval) * probability;
            assert!((product - 1.0).abs() < 1e-9, "{size} at {interval}: {product}");
        }
        assert_eq!(weight(64, 1), 1.0);
        assert_eq!(weight(64, 0), 1.0);
        assert!(weight(0, 512).is_finite());
        assert!((weight(64, 524_288) - 8192.5).abs() < 0.01);
        assert!(weight(1, u64::MAX).is_finite());
    }

    #[test]
    fn gaps_have_the_exponential_distribution() {
        // This is the test of Kolmogorov and Smirnov on 100 000 gaps of a fixed seed. A right generator exceeds the bound
        // 2.2 / sqrt(n) with probability 2 exp(-2 * 2.2^2) = 1.3e-4. The seed makes the outcome repeatable.
        const COUNT: usize = 100_000;
        let interval = 524_288;
        let mut generator = Some(SmallRng::seed_from_u64(7));
        let mut gaps: Vec<i64> = (0..COUNT).map(|_| draw(&mut generator, interval)).collect();
        gaps.sort_unstable();
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(rank, &gap)| {
                let expected = 1.0 - (-(gap as f64 + 0.5) / interval as f64).exp();
                (expected - (rank as f64 + 0.5) / COUNT as f64).abs()
            })
            .fold(0.0, f64::max);
        assert!(distance < 2.2 / (COUNT as f64).sqrt(), "Kolmogorov-Smirnov distance {distance}");
    }

    #[test]
    fn extreme_intervals_keep_gaps_in_range() {
        let mut generator = Some(SmallRng::seed_from_u64(1));
        assert_eq!(draw(&mut generator, 0), NEVER);
        assert_eq!(draw(&mut generator, 1), 0);
        for _ in 0..1000 {
            assert!((0..=NEVER).contains(&draw(&mut generator, u64::MAX)));
            assert!(draw(&mut generator, 2) >= 0);
        }
    }
}

//! Sums of estimates that threads add to at the same time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::LockSums;

/// Holds the sums of one stack, as the bits of floating-point numbers.
#[derive(Default)]
pub(super) struct AtomicSums {
    samples: AtomicU64,
    contentions: AtomicU64,
    nanoseconds: AtomicU64,
    contentions_variance: AtomicU64,
    nanoseconds_variance: AtomicU64,
}

fn add(sum: &AtomicU64, part: f64) {
    let add = |bits| Some((f64::from_bits(bits) + part).to_bits());
    let _ = sum.fetch_update(Relaxed, Relaxed, add);
}

fn get(sum: &AtomicU64) -> f64 {
    f64::from_bits(sum.load(Relaxed))
}

impl AtomicSums {
    pub(super) fn add(&self, one: LockSums) {
        self.samples.fetch_add(one.samples, Relaxed);
        add(&self.contentions, one.contentions);
        add(&self.nanoseconds, one.nanoseconds);
        add(&self.contentions_variance, one.contentions_variance);
        add(&self.nanoseconds_variance, one.nanoseconds_variance);
    }

    pub(super) fn get(&self) -> LockSums {
        LockSums {
            samples: self.samples.load(Relaxed),
            contentions: get(&self.contentions),
            nanoseconds: get(&self.nanoseconds),
            contentions_variance: get(&self.contentions_variance),
            nanoseconds_variance: get(&self.nanoseconds_variance),
        }
    }
}

/// Returns what an event of so many nanoseconds stands for, if it is sampled.
///
/// It is sampled with the probability `p = nanoseconds / rate`, or surely if it is longer than the rate, and `uniform` is a random
/// number in [0, 1) that decides. It then stands for `1 / p` events, as Go has it. One that was not sure adds
/// `(1 - p) / p²` to the variance of the number of events, and `(1 - p) · rate²` to that of the time.
pub(super) fn weigh(nanoseconds: u64, rate: u64, uniform: f64) -> Option<LockSums> {
    let (time, rate) = (nanoseconds as f64, rate as f64);
    let probability = (time / rate).min(1.0);
    // mutant: E43 long waits and short ones weigh the same
    let contentions = 1.0 / probability;
    (uniform < probability).then_some(LockSums {
        samples: 1,
        contentions,
        nanoseconds: time * contentions,
        contentions_variance: (1.0 - probability) * contentions * contentions,
        nanoseconds_variance: (1.0 - probability) * (time * contentions) * (time * contentions),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn what_is_longer_than_the_rate_is_exact() {
        let sums = weigh(2_000_000, 1_000_000, 0.999).unwrap();
        assert_eq!((sums.contentions, sums.nanoseconds, sums.nanoseconds_variance), (1.0, 2e6, 0.0));
        assert_eq!(weigh(1, 1, 0.999).unwrap().contentions, 1.0);
        assert!(weigh(0, 1, 0.0).is_none());
    }

    /// A million waits of 10 to 1000 µs, at rates from 1 ns to 1 ms: the sums are within six standard errors, which are those that
    /// the sums tell. The seed is fixed, so the outcome is the same each time.
    #[test]
    fn sums_are_unbiased_at_every_rate() {
        for rate in [1, 1000, 30_000, 1_000_000] {
            let mut generator = SmallRng::seed_from_u64(rate);
            let (mut truth, found) = ([0.0; 2], AtomicSums::default());
            for _ in 0..1_000_000 {
                let nanoseconds = generator.random_range(10_000..1_000_000_u64);
                truth = [truth[0] + 1.0, truth[1] + nanoseconds as f64];
                weigh(nanoseconds, rate, generator.random()).into_iter().for_each(|one| found.add(one));
            }
            let found = found.get();
            let off = [found.contentions - truth[0], found.nanoseconds - truth[1]];
            let errors = [found.contentions_variance.sqrt(), found.nanoseconds_variance.sqrt()];
            let is_unbiased = |index: usize| off[index].abs() <= 6.0 * errors[index] + 1e-9 * truth[index];
            assert!(is_unbiased(0) && is_unbiased(1), "{rate}: {off:?}, {errors:?}");
            assert_eq!(rate < 10_000, found.samples == 1_000_000);
        }
    }
}

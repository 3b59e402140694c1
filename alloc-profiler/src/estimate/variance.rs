//! One formula tells how uncertain an estimate is, and every error that is shown follows from it.
//!
//! A block that is sampled with probability `p` stands for `w = 1 / p` objects of `s` bytes each. Blocks are sampled
//! independently of each other, so that the estimate `Σ w s` has the variance `Σ (1 - p) / p s²` over all blocks
//! (Horvitz and Thompson, 1952; for independent draws, Hájek, 1964). Of that, the sum over the samples of
//!
//! ```text
//! (1 - p) (s / p)² = (w² - w) s²
//! ```
//!
//! is an unbiased estimate, as each block is among the samples with probability `p`. It takes nothing but what each
//! sample knows of itself: the weight that it was given when it was taken, whatever the interval is now. A block that is
//! sampled with certainty has `w = 1` and adds nothing. The standard error is the square root of the sum.
//! docs/sampling.md has the derivation for sums, parts and differences, and how it was held against the truth.
//!
//! Path: *allocation path*, sampled allocations only.

/// Returns what one sample of this weight adds to the variance of a number of objects. Multiplied by the square of the
/// sample's size in bytes, it is what the sample adds to the variance of a number of bytes. It is never negative, and 0 if
/// the sample was taken with certainty.
#[inline(always)]
pub(crate) fn of_objects(weight: f64) -> f64 {
    // mutant: D7 the error is that of chance alone
    // The difference is taken first: it is exact for weights near 1, where `weight * weight - weight` would cancel out.
    weight * (weight - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_probability() {
        for probability in [1.0, 0.999, 0.5, 1e-6] {
            let expected = (1.0 - probability) / (probability * probability);
            let difference = of_objects(1.0 / probability) - expected;
            assert!(difference.abs() <= 1e-9 * expected, "{probability}: off by {difference}");
        }
        assert_eq!(of_objects(1.0), 0.0);
    }
}

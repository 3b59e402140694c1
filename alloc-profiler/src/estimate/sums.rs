//! Sums of samples are exact, so that the difference between those that came and those that went is what is there.
//!
//! Path: *allocation path*, sampled blocks only.

use super::totals::Totals;
use super::variance;

/// Sums of estimates. They are integers, which add up to the same in whatever order: where nothing changed, two snapshots agree
/// to the bit. All arithmetic wraps, so that a difference is right although the sums were too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// How many samples stand for themselves alone, as all do at the interval 1. They are apart because they are added up in
    /// two instructions.
    single_samples: u64,
    /// How many bytes these have.
    single_bytes: u64,
    weighted: Weighted,
}

/// The other samples. Estimates are in units of 2^-32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weighted {
    samples: u64,
    objects: u128,
    bytes: u128,
    objects_variance: u128,
    bytes_variance: u128,
}

impl Sums {
    pub(crate) const NOTHING: Sums = Sums {
        single_samples: 0,
        single_bytes: 0,
        weighted: Weighted { samples: 0, objects: 0, bytes: 0, objects_variance: 0, bytes_variance: 0 },
    };

    /// Adds a sampled block of `size` bytes that stands for `weight` objects.
    #[inline(always)]
    pub(crate) fn add(&mut self, size: usize, weight: f64) {
        if weight == 1.0 {
            self.single_samples = self.single_samples.wrapping_add(1);
            self.single_bytes = self.single_bytes.wrapping_add(size as u64);
        } else {
            self.add_weighted(size, weight);
        }
    }

    /// This is a function of its own, so that it takes no registers where samples stand for themselves.
    #[inline(never)]
    fn add_weighted(&mut self, size: usize, weight: f64) {
        self.weighted.add(&Weighted::of(size, weight));
    }

    pub(crate) fn add_all(&mut self, other: &Sums) {
        self.single_samples = self.single_samples.wrapping_add(other.single_samples);
        self.single_bytes = self.single_bytes.wrapping_add(other.single_bytes);
        self.weighted.add(&other.weighted);
    }

    /// Returns what is left without `part`.
    pub(crate) fn without(&self, part: &Sums) -> Sums {
        Sums {
            single_samples: self.single_samples.wrapping_sub(part.single_samples),
            single_bytes: self.single_bytes.wrapping_sub(part.single_bytes),
            weighted: self.weighted.without(&part.weighted),
        }
    }

    /// Returns the sums as what is in use.
    pub(crate) fn in_use(&self) -> Totals {
        let Weighted { samples, objects, bytes, objects_variance, bytes_variance } = self.weighted;
        let sum = |units: u128, singles: u64| units as f64 / UNITS + singles as f64;
        Totals {
            inuse_objects: sum(objects, self.single_samples),
            inuse_bytes: sum(bytes, self.single_bytes),
            inuse_samples: samples.wrapping_add(self.single_samples) as i64,
            inuse_objects_variance: sum(objects_variance, 0),
            inuse_bytes_variance: sum(bytes_variance, 0),
            ..Totals::default()
        }
    }

    /// Returns the sums as what was allocated.
    pub(crate) fn allocated(&self) -> Totals {
        let of_samples = self.in_use();
        Totals {
            alloc_objects: of_samples.inuse_objects,
            alloc_bytes: of_samples.inuse_bytes,
            alloc_samples: of_samples.inuse_samples,
            alloc_objects_variance: of_samples.inuse_objects_variance,
            alloc_bytes_variance: of_samples.inuse_bytes_variance,
            ..Totals::default()
        }
    }
}

const UNITS: f64 = (1_u64 << 32) as f64;

impl Weighted {
    /// Returns what one block contributes.
    fn of(size: usize, weight: f64) -> Weighted {
        let size = size as u128;
        let (objects, bytes) = times(weight, size);
        let variance = variance::of_objects(weight);
        let (objects_variance, bytes_variance) = times(variance, size.saturating_mul(size));
        Weighted { samples: 1, objects, bytes, objects_variance, bytes_variance }
    }

    fn add(&mut self, other: &Weighted) {
        self.samples = self.samples.wrapping_add(other.samples);
        self.objects = self.objects.wrapping_add(other.objects);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.objects_variance = self.objects_variance.wrapping_add(other.objects_variance);
        self.bytes_variance = self.bytes_variance.wrapping_add(other.bytes_variance);
    }

    fn without(&self, part: &Weighted) -> Weighted {
        Weighted {
            samples: self.samples.wrapping_sub(part.samples),
            objects: self.objects.wrapping_sub(part.objects),
            bytes: self.bytes.wrapping_sub(part.bytes),
            objects_variance: self.objects_variance.wrapping_sub(part.objects_variance),
            bytes_variance: self.bytes_variance.wrapping_sub(part.bytes_variance),
        }
    }
}

/// Returns `value`, and `factor` times it, in units of 2^-32.
#[inline(always)]
fn times(value: f64, factor: u128) -> (u128, u128) {
    let units = value * UNITS;
    // All but absurd intervals take the first way, which is one multiplication and cannot overflow.
    if units < u64::MAX as f64 && factor <= u128::from(u64::MAX) {
        let units = u128::from(units as u64);
        (units, units.wrapping_mul(factor))
    } else {
        let units = units as u128;
        (units, units.saturating_mul(factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_went_leaves_nothing_behind() {
        let blocks = [
            (64, 8192.5),
            (1 << 20, 1.157),
            (100, 1.0),
            (0, 524_288.0),
            (1 << 40, 1e18),
            (usize::MAX, f64::from(f32::MAX)),
        ];
        let (mut came, mut went) = (Sums::NOTHING, Sums::NOTHING);
        came.add(77, 1.0);
        let left = came;
        for _ in 0..1000 {
            blocks.iter().for_each(|&(size, weight)| came.add(size, weight));
        }
        for _ in 0..1000 {
            blocks.iter().rev().for_each(|&(size, weight)| went.add(size, weight));
        }
        assert_eq!(came.without(&went), left);
    }

    #[test]
    fn sums_are_those_of_weights() {
        let mut sums = Sums::NOTHING;
        (0..3).for_each(|_| sums.add(64, 8192.5));
        sums.add(1000, 1.0);
        let in_use = sums.in_use();
        assert_eq!((in_use.inuse_samples, in_use.inuse_objects), (4, 3.0 * 8192.5 + 1.0));
        assert_eq!(in_use.inuse_bytes, 3.0 * 8192.5 * 64.0 + 1000.0);
        assert_eq!(in_use.inuse_objects_variance, 3.0 * 8192.5 * 8191.5);
        assert_eq!(in_use.inuse_bytes_variance, 3.0 * 8192.5 * 8191.5 * 64.0 * 64.0);
        let allocated = sums.allocated();
        assert_eq!((allocated.alloc_bytes, allocated.inuse_bytes), (in_use.inuse_bytes, 0.0));
    }
}

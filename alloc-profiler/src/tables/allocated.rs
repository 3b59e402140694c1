//! This sums up what was ever allocated, while threads go on allocating. The sums never fall.
//!
//! Path: *allocation path*, sampled allocations only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::estimate::totals::Totals;
use crate::estimate::variance;
use crate::process::alone::Alone;

/// What was allocated, of a site or of any other part.
pub(crate) struct Allocated {
    /// How many samples stand for themselves alone, as all do at the interval 1.
    single_samples: AtomicU64,
    /// How many bytes these have.
    single_bytes: AtomicU64,
    /// How many other samples there are.
    samples: AtomicU64,
    /// How many objects those stand for.
    objects: Sum,
    /// How many bytes those stand for.
    bytes: Sum,
    /// The variance of `objects`: see `variance`.
    objects_variance: Sum,
    /// Sums up the variance of `bytes`, in square bytes.
    bytes_variance: Sum,
}

/// What was allocated in samples that the live table never saw, since a lock could not be had in time.
pub(crate) static UNSEEN: Allocated = Allocated::nothing();

impl Allocated {
    pub(crate) const fn nothing() -> Self {
        Allocated {
            single_samples: AtomicU64::new(0),
            single_bytes: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            objects: Sum::zero(),
            bytes: Sum::zero(),
            objects_variance: Sum::zero(),
            bytes_variance: Sum::zero(),
        }
    }

    /// Counts a sampled block of `size` bytes that stands for `weight` objects.
    #[inline(always)]
    pub(crate) fn add(&self, size: usize, weight: f64) {
        if weight == 1.0 {
            // mutant: B4 what is added meanwhile is lost
            self.single_samples.fetch_add(1, Relaxed);
            self.single_bytes.fetch_add(size as u64, Relaxed);
        } else {
            self.add_weighted(size, weight);
        }
    }

    fn add_weighted(&self, size: usize, weight: f64) {
        let size = size as f64;
        let variance = variance::of_objects(weight);
        self.objects.add(weight);
        self.bytes.add(weight * size);
        self.objects_variance.add(variance);
        self.bytes_variance.add(variance * size * size);
        self.samples.fetch_add(1, Relaxed);
    }

    /// Returns what was counted. It says nothing about what is in use.
    pub(crate) fn totals(&self) -> Totals {
        let singles = self.single_samples.load(Relaxed);
        let single_bytes = self.single_bytes.load(Relaxed);
        Totals {
            alloc_objects: self.objects.get() + singles as f64,
            alloc_bytes: self.bytes.get() + single_bytes as f64,
            alloc_samples: self.samples.load(Relaxed).wrapping_add(singles) as i64,
            alloc_objects_variance: self.objects_variance.get(),
            alloc_bytes_variance: self.bytes_variance.get(),
            ..Totals::default()
        }
    }

    /// Whether anything was counted.
    pub(crate) fn is_some(&self) -> bool {
        self.single_samples.load(Relaxed) > 0 || self.samples.load(Relaxed) > 0
    }

    /// Forgets what the parent of a fork counted.
    pub(crate) fn begin_anew(&self, _: &Alone) {
        let sums = [&self.objects, &self.bytes, &self.objects_variance, &self.bytes_variance];
        let counts = [&self.single_samples, &self.single_bytes, &self.samples];
        sums.map(|sum| &sum.0).into_iter().chain(counts).for_each(|sum| sum.store(0, Relaxed));
    }
}

/// Adds up positive numbers. The sum never falls, and integers up to 2^53 add up exactly.
struct Sum(AtomicU64);

impl Sum {
    const fn zero() -> Self {
        Sum(AtomicU64::new(0))
    }

    fn add(&self, addend: f64) {
        let add = |bits: u64| Some((f64::from_bits(bits) + addend).to_bits());
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

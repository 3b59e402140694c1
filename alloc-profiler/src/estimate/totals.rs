//! These are the estimated sums that readers get. Each tells how far it may be off, and sums are added and subtracted
//! here.
//!
//! Path: *read path*. These are plain numbers.

/// Estimated objects and bytes, the number of samples that they rest on, and how far they may be off.
///
/// In a snapshot nothing is negative, `alloc_*` never falls from one snapshot to the next, and `inuse_*` is at most
/// `alloc_*`. In a difference `inuse_*` may be negative; variances never are.
///
/// Each variance is that of the estimate beside it and follows from the weights of its samples. In a snapshot it is the
/// variance of the sum, and in a difference that of the change. It is 0 where every sample was taken with certainty. The
/// methods return its square root, the standard error. docs/sampling.md derives the formulas.
///
/// Code outside this crate makes one by assigning to the fields of another, for later versions may add fields:
///
/// ```
/// let mut totals = alloc_profiler::Totals::default();
/// totals.inuse_bytes = 4096.0;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// How many objects were ever allocated, whether they have been freed or not.
    pub alloc_objects: f64,
    /// How many bytes were ever allocated, whether they have been freed or not.
    pub alloc_bytes: f64,
    /// How many samples `alloc_*` rests on.
    pub alloc_samples: i64,
    /// How many objects were allocated and have not been freed.
    pub inuse_objects: f64,
    /// How many bytes were allocated and have not been freed.
    pub inuse_bytes: f64,
    /// How many samples `inuse_*` rests on.
    pub inuse_samples: i64,
    /// Tells the variance of `alloc_objects`.
    pub alloc_objects_variance: f64,
    /// Tells the variance of `alloc_bytes`, in square bytes.
    pub alloc_bytes_variance: f64,
    /// Tells the variance of `inuse_objects`.
    pub inuse_objects_variance: f64,
    /// Tells the variance of `inuse_bytes`, in square bytes.
    pub inuse_bytes_variance: f64,
}

/// How uncertain what is in use is, by the snapshots between which it was allocated. It tells which samples are in both
/// of two snapshots, and so how uncertain their difference is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Births {
    /// The [`number`](crate::Snapshot::number) of the last snapshot that had begun before, or 0 if none had.
    pub after_snapshot: u32,
    /// What the blocks that were allocated then, or last moved or resized by `realloc`, contribute to
    /// [`Totals::inuse_objects_variance`].
    pub objects_variance: f64,
    /// What the same blocks contribute to [`Totals::inuse_bytes_variance`].
    pub bytes_variance: f64,
}

impl Totals {
    /// Returns one standard error of `alloc_objects`, or `None` where no sample says anything about them.
    #[must_use]
    pub fn alloc_objects_standard_error(&self) -> Option<f64> {
        self.has_allocated().then(|| self.alloc_objects_variance.max(0.0).sqrt())
    }

    /// Returns one standard error of `alloc_bytes`, in bytes, or `None` where no sample says anything about them.
    #[must_use]
    pub fn alloc_bytes_standard_error(&self) -> Option<f64> {
        self.has_allocated().then(|| self.alloc_bytes_variance.max(0.0).sqrt())
    }

    /// Returns one standard error of `inuse_objects`, or `None` where no sample says anything about them.
    #[must_use]
    pub fn inuse_objects_standard_error(&self) -> Option<f64> {
        self.has_in_use().then(|| self.inuse_objects_variance.max(0.0).sqrt())
    }

    /// Returns one standard error of `inuse_bytes`, in bytes, or `None` where no sample says anything about them.
    ///
    /// `Some(0.0)` means that each sample behind the figure was taken with certainty. That is so for all samples at a sampling
    /// interval of 1, and at any interval for blocks that are much larger than it. `None` is no certainty: memory of which no
    /// block happened to be sampled may be in use, usually less than one sampling interval of it.
    #[must_use]
    pub fn inuse_bytes_standard_error(&self) -> Option<f64> {
        self.has_in_use().then(|| self.inuse_bytes_variance.max(0.0).sqrt())
    }

    /// Whether `alloc_*` rests on any sample.
    fn has_allocated(&self) -> bool {
        self.alloc_samples != 0 || self.alloc_bytes_variance > 0.0
    }

    /// Whether `inuse_*` rests on any sample. In a difference the numbers of samples may cancel out.
    fn has_in_use(&self) -> bool {
        self.inuse_samples != 0 || self.inuse_bytes != 0.0 || self.inuse_bytes_variance > 0.0
    }

    /// Returns what is left of `self` without `part`, whose samples must all be among its own. (This is not what changed
    /// between two snapshots, where variances add up: see [`Snapshot::since`](crate::Snapshot::since).)
    #[must_use]
    pub fn without(self, part: Totals) -> Totals {
        let left = |whole: f64, part: f64| rounded(whole - part, whole);
        Totals {
            alloc_objects: self.alloc_objects - part.alloc_objects,
            alloc_bytes: self.alloc_bytes - part.alloc_bytes,
            alloc_samples: self.alloc_samples - part.alloc_samples,
            inuse_objects: self.inuse_objects - part.inuse_objects,
            inuse_bytes: self.inuse_bytes - part.inuse_bytes,
            inuse_samples: self.inuse_samples - part.inuse_samples,
            alloc_objects_variance: left(self.alloc_objects_variance, part.alloc_objects_variance),
            alloc_bytes_variance: left(self.alloc_bytes_variance, part.alloc_bytes_variance),
            inuse_objects_variance: left(self.inuse_objects_variance, part.inuse_objects_variance),
            inuse_bytes_variance: left(self.inuse_bytes_variance, part.inuse_bytes_variance),
        }
    }

    /// Returns the figures of `self` with the variances of `other`.
    pub(crate) fn with_variances_of(self, other: Totals) -> Totals {
        Totals {
            alloc_objects_variance: other.alloc_objects_variance,
            alloc_bytes_variance: other.alloc_bytes_variance,
            inuse_objects_variance: other.inuse_objects_variance,
            inuse_bytes_variance: other.inuse_bytes_variance,
            ..self
        }
    }

    /// Returns what is in use of `self`, with what was allocated by `allocated`.
    pub(crate) fn with_allocated(self, allocated: Totals) -> Totals {
        Totals {
            alloc_objects: allocated.alloc_objects,
            alloc_bytes: allocated.alloc_bytes,
            alloc_samples: allocated.alloc_samples,
            alloc_objects_variance: allocated.alloc_objects_variance,
            alloc_bytes_variance: allocated.alloc_bytes_variance,
            ..self
        }
    }

    /// Returns what changed since `earlier`, the totals of the same stack and sizes in snapshot `number`. `births` are those
    /// of `self`.
    ///
    /// Allocations of two stretches of time are sampled independently, so what was allocated in between has the
    /// difference of the variances. What is in use changed by the blocks that were allocated in between and by those that
    /// were freed. Both make the change uncertain. Blocks that were in use at both moments are the same samples in both, and
    /// cancel out.
    pub(crate) fn since(self, earlier: Totals, births: &[Births], number: u32) -> Totals {
        // mutant: D7 what lives on makes a change uncertain
        let born = births.iter().filter(|births| births.after_snapshot >= number);
        let change = |now: f64, before: f64, born: f64| {
            let survived = now - born;
            // mutant: D7 what died is forgotten
            born + rounded(before - survived, before)
        };
        Totals {
            inuse_objects_variance: change(
                self.inuse_objects_variance,
                earlier.inuse_objects_variance,
                born.clone().map(|births| births.objects_variance).sum(),
            ),
            inuse_bytes_variance: change(
                self.inuse_bytes_variance,
                earlier.inuse_bytes_variance,
                born.map(|births| births.bytes_variance).sum(),
            ),
            ..self.without(earlier)
        }
    }
}

/// Rounds a difference of two sums, which were rounded differently themselves. It becomes 0 where it is negative or no more
/// than a rounding error of `whole`.
fn rounded(difference: f64, whole: f64) -> f64 {
    if difference <= whole.abs() * 1e-9 { 0.0 } else { difference }
}

impl std::ops::AddAssign for Totals {
    /// Adds the totals of other blocks. They are sampled independently of these, so variances add up.
    fn add_assign(&mut self, other: Totals) {
        self.alloc_objects += other.alloc_objects;
        self.alloc_bytes += other.alloc_bytes;
        self.alloc_samples += other.alloc_samples;
        self.inuse_objects += other.inuse_objects;
        self.inuse_bytes += other.inuse_bytes;
        self.inuse_samples += other.inuse_samples;
        self.alloc_objects_variance += other.alloc_objects_variance;
        self.alloc_bytes_variance += other.alloc_bytes_variance;
        self.inuse_objects_variance += other.inuse_objects_variance;
        self.inuse_bytes_variance += other.inuse_bytes_variance;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(samples: i64) -> Totals {
        let n = samples as f64;
        Totals {
            alloc_samples: samples,
            inuse_samples: samples,
            alloc_bytes: 10.0 * n,
            inuse_bytes: 10.0 * n,
            alloc_bytes_variance: 90.0 * n,
            inuse_bytes_variance: 90.0 * n,
            ..Totals::default()
        }
    }

    /// Births of `samples` samples after a snapshot.
    fn births(after_snapshot: u32, samples: f64) -> Births {
        Births { after_snapshot, objects_variance: 0.0, bytes_variance: 90.0 * samples }
    }

    #[test]
    fn what_was_born_and_what_died_make_a_change_uncertain_and_what_lives_on_does_not() {
        // Snapshot 5 saw 100 samples, of which 70 live on and 20 have come.
        let births = [births(2, 30.0), births(4, 40.0), births(5, 15.0), births(6, 5.0)];
        let now = Totals { alloc_samples: 150, alloc_bytes_variance: 90.0 * 150.0, ..totals(90) };
        let change = now.since(totals(100), &births, 5);
        assert_eq!((change.inuse_samples, change.inuse_bytes), (-10, -100.0));
        assert!((change.inuse_bytes_variance - 90.0 * (20.0 + 30.0)).abs() < 1e-6, "{change:?}");
        assert!((change.alloc_bytes_variance - 90.0 * 50.0).abs() < 1e-6, "{change:?}");
        assert_eq!(totals(100).since(totals(100), &[self::births(4, 100.0)], 5), Totals::default());
    }

    #[test]
    fn no_sample_is_no_certainty() {
        assert_eq!(Totals::default().inuse_bytes_standard_error(), None);
        assert_eq!(Totals::default().alloc_objects_standard_error(), None);
        let certain = Totals { inuse_bytes_variance: 0.0, ..totals(1) };
        assert_eq!(certain.inuse_bytes_standard_error(), Some(0.0));
        // In a difference the samples may be as many as before, and others.
        let replaced = Totals { inuse_samples: 0, inuse_bytes: 0.0, ..totals(4) };
        assert_eq!(replaced.inuse_bytes_standard_error(), Some(360.0_f64.sqrt()));
    }
}

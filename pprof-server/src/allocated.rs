//! This keeps what had been allocated by a moment, so that a later profile tells what came since.
//!
//! Readers of `delta_heap` and the engines that profiles are pushed to each have such a moment. Of a snapshot only the sums are
//! kept, 48 bytes for each stack and size class.
//!
//! Path: *read path*. It costs a look-up for each stack and size class.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use alloc_profiler::internal::literal;
use alloc_profiler::{SizeTotals, Snapshot, StackTrace, Totals};

/// What had been allocated by a moment.
#[derive(Debug)]
pub(crate) struct Allocated {
    at: Instant,
    /// They are sorted by ascending site.
    sums: Box<[Sum]>,
}

/// Sums up one site: a stack and a size class, or for what overflowed a size class alone.
#[derive(Clone, Copy, Debug)]
struct Sum {
    /// Identifies the site by a hash of 64 bits. With 100 000 sites, two of them are the same in one of four thousand
    /// million cases.
    site: u64,
    objects: f64,
    bytes: f64,
    samples: i64,
    objects_variance: f64,
    bytes_variance: f64,
}

impl Sum {
    fn totals(&self) -> Totals {
        literal!(Totals {
            alloc_objects: self.objects,
            alloc_bytes: self.bytes,
            alloc_samples: self.samples,
            alloc_objects_variance: self.objects_variance,
            alloc_bytes_variance: self.bytes_variance,
            ..Totals::default()
        })
    }
}

impl Allocated {
    /// Leaves in `now` what was allocated since `before`, and `inuse_*` as it is, and returns what had been allocated by
    /// then. Without `before`, it is counted since the start of the process, `age` ago. One reader has one `hasher`.
    pub(crate) fn leave_new(
        now: &mut Snapshot,
        before: Option<&Allocated>,
        hasher: &RandomState,
        age: Duration,
    ) -> Allocated {
        let had = before.map_or(&[][..], |before| &before.sums);
        let mut sums = Vec::new();
        let mut since = |trace: Option<&StackTrace>, sizes: &mut Vec<SizeTotals>| {
            for size in sizes {
                let sum = Sum {
                    site: hasher.hash_one((trace, size.size_class, size.label, size.is_by_c)),
                    objects: size.totals.alloc_objects,
                    bytes: size.totals.alloc_bytes,
                    samples: size.totals.alloc_samples,
                    objects_variance: size.totals.alloc_objects_variance,
                    bytes_variance: size.totals.alloc_bytes_variance,
                };
                if let Ok(index) = had.binary_search_by_key(&sum.site, |sum| sum.site) {
                    size.totals = size.totals.without(had[index].totals());
                }
                sums.push(sum);
            }
        };
        for stack in &mut now.stacks {
            since(Some(&stack.trace), &mut stack.by_size);
        }
        since(None, &mut now.overflow);
        let at = now.taken_at_monotonic;
        now.duration = Some(before.map_or(age, |before| at.saturating_duration_since(before.at)));
        sums.sort_unstable_by_key(|sum| sum.site);
        Allocated { at, sums: sums.into() }
    }
}

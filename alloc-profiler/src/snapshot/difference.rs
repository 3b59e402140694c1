//! This tells what changed between two snapshots, and which part of a snapshot is old.
//!
//! Path: *read path*. It is plain owned data.

use std::collections::HashMap;
use std::time::Duration;

use super::{SizeTotals, Snapshot, StackTotals, StackTrace};
use crate::estimate::totals::Totals;
use unwinder::CodeAddress;

impl Snapshot {
    /// Returns what changed between `earlier` and `self`: each value of this snapshot minus its earlier one.
    ///
    /// `alloc_*` becomes what was allocated in between, and `inuse_*` the net growth, which is negative where memory
    /// shrank. Variances become those of the changes. Stacks on which nothing changed are left out. `duration` is the time
    /// between the two by a clock that nobody sets and that stands still while the machine sleeps. If `earlier` is the later
    /// one, `duration` is zero, and values have the other sign.
    #[must_use]
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let numbers = [self.number, earlier.number];
        let before: HashMap<Key<'_>, &[SizeTotals]> =
            earlier.stacks.iter().map(|stack| (key(&stack.trace), &stack.by_size[..])).collect();
        // In a program at rest nearly all stacks stay as they were. So only what is shown is copied.
        let changed = |stack: &StackTotals| {
            let before = before.get(&key(&stack.trace)).copied().unwrap_or(&[]);
            let by_size = sizes_since(&stack.by_size, before, numbers);
            (!by_size.is_empty()).then(|| StackTotals { id: stack.id, trace: stack.trace.clone(), by_size })
        };
        let stacks: Vec<StackTotals> = self.stacks.iter().filter_map(changed).collect();
        Snapshot {
            number: self.number,
            taken_at: self.taken_at,
            taken_at_monotonic: self.taken_at_monotonic,
            // mutant: D9 time that passed is by the clock that is set
            duration: Some(self.taken_at_monotonic.saturating_duration_since(earlier.taken_at_monotonic)),
            sampling_interval: self.sampling_interval,
            stacks,
            overflow: sizes_since(&self.overflow, &earlier.overflow, numbers),
            dropped: self.dropped.since(&earlier.dropped),
            own_memory: self.own_memory,
        }
    }

    /// Returns a snapshot in which only what is at least `min_age` old counts as in use. `alloc_*` stays.
    ///
    /// `self` must come from [`snapshot_with_ages`](crate::snapshot_with_ages): without ages, nothing is old.
    #[must_use]
    pub fn older_than(mut self, min_age: Duration) -> Snapshot {
        for size in self.stacks.iter_mut().flat_map(|stack| &mut stack.by_size).chain(&mut self.overflow) {
            size.ages.retain(|ages| ages.age >= min_age);
            // Which of these are part of the old ones is not known any more.
            size.births.clear();
            let mut totals = Totals {
                inuse_objects: 0.0,
                inuse_bytes: 0.0,
                inuse_samples: 0,
                inuse_objects_variance: 0.0,
                inuse_bytes_variance: 0.0,
                ..size.totals
            };
            for ages in &size.ages {
                totals.inuse_objects += ages.objects;
                totals.inuse_bytes += ages.bytes;
                totals.inuse_samples += ages.samples;
                totals.inuse_objects_variance += ages.objects_variance;
                totals.inuse_bytes_variance += ages.bytes_variance;
            }
            size.totals = totals;
        }
        self
    }

    /// Returns the sum over all stacks and size classes, which includes the overflow.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for size in self.stacks.iter().flat_map(|stack| &stack.by_size).chain(&self.overflow) {
            sum += size.totals;
        }
        sum
    }

    /// Returns one standard error of all bytes in use, or of their change in a difference: see
    /// [`Totals::inuse_bytes_standard_error`]. In about two of three snapshots the truth is no farther than this from
    /// the estimate, and in 19 of 20 no farther than twice this, if the estimate rests on some ten samples or more.
    #[must_use]
    pub fn inuse_standard_error(&self) -> Option<f64> {
        self.totals().inuse_bytes_standard_error()
    }
}

/// A stack as it is looked up: by words, which are hashed and compared all at once.
type Key<'a> = (&'a [usize], bool);

fn key(trace: &StackTrace) -> Key<'_> {
    (CodeAddress::slice_to_bits(&trace.frames), trace.is_truncated)
}

/// Up to so many entries of a stack, looking through all is quicker than an index.
const FEW: usize = 32;

/// Returns `now` minus `before`, by size class, label and who asked. What has not changed is left out. Stacks never lose a class or a label,
/// so all of `before` is in `now`.
fn sizes_since(
    now: &[SizeTotals],
    before: &[SizeTotals],
    [number, number_before]: [u32; 2],
) -> Vec<SizeTotals> {
    let key = |size: &SizeTotals| (size.size_class, size.label, size.is_by_c);
    let index: HashMap<(u64, u32, bool), &SizeTotals> = match before.len() > FEW {
        true => before.iter().map(|size| (key(size), size)).collect(),
        false => HashMap::new(),
    };
    now.iter()
        .map(|size| {
            let earlier = match index.is_empty() {
                true => before.iter().find(|earlier| key(earlier) == key(size)),
                false => index.get(&key(size)).copied(),
            };
            let (earlier, earlier_births) =
                earlier.map_or((Totals::default(), &[][..]), |earlier| (earlier.totals, &earlier.births));
            let totals = if number >= number_before {
                size.totals.since(earlier, &size.births, number_before)
            } else {
                // `before` is the later one. The change is as uncertain as the other way round, and has the other sign.
                let change = earlier.since(size.totals, earlier_births, number);
                Totals::default().without(change).with_variances_of(change)
            };
            let SizeTotals { size_class, label, is_by_c, .. } = *size;
            SizeTotals { size_class, label, is_by_c, totals, births: Vec::new(), ages: size.ages.clone() }
        })
        .filter(|size| size.totals != Totals::default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::OwnMemory;
    use crate::{Births, Dropped};
    use std::time::{Instant, SystemTime};

    #[test]
    fn a_change_is_as_uncertain_in_either_direction() {
        let snapshot = |number: u32, births: &[(u32, f64)]| {
            let variance = births.iter().map(|birth| birth.1).sum();
            let totals = Totals {
                inuse_bytes: 10.0 * variance,
                alloc_bytes: 100.0 * f64::from(number),
                inuse_bytes_variance: variance,
                alloc_bytes_variance: 100.0 * f64::from(number),
                ..Totals::default()
            };
            let births = births.iter().map(|&(after_snapshot, bytes_variance)| Births {
                after_snapshot,
                objects_variance: 0.0,
                bytes_variance,
            });
            let size =
                SizeTotals { size_class: 8, totals, births: births.collect(), ..SizeTotals::default() };
            // Not by `crate::snapshot()`, which holds locks of the live table for a moment, and that table has a test of its
            // own in this process.
            Snapshot {
                number,
                taken_at: SystemTime::UNIX_EPOCH,
                taken_at_monotonic: Instant::now(),
                duration: None,
                sampling_interval: 1,
                stacks: Vec::new(),
                overflow: vec![size],
                dropped: Dropped::default(),
                own_memory: OwnMemory::default(),
            }
        };
        let (before, after) =
            (snapshot(3, &[(0, 5.0), (2, 4.0)]), snapshot(7, &[(0, 5.0), (2, 1.0), (4, 2.0)]));
        let (forward, backward) = (after.since(&before).totals(), before.since(&after).totals());
        assert_eq!((forward.inuse_bytes, forward.inuse_bytes_variance), (-10.0, 5.0));
        assert_eq!((backward.inuse_bytes, backward.inuse_bytes_variance), (10.0, 5.0));
        assert_eq!((forward.alloc_bytes, forward.alloc_bytes_variance), (400.0, 400.0));
        assert_eq!((backward.alloc_bytes, backward.alloc_bytes_variance), (-400.0, 400.0));
    }
}

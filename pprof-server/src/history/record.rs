//! A record is one moment of the past: it keeps the totals of every stack, packed.
//!
//! It takes some 10 bytes a stack instead of 400. The frames of a stack are not in it: the profiler never forgets a stack, so
//! a later snapshot has them. The totals of all sizes are added up.
//!
//! Path: *read path*.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use alloc_profiler::internal::literal;
use alloc_profiler::{Births, Dropped, OwnMemory, SizeTotals, Snapshot, StackTotals, Totals};

use super::packed::{StackSums, kept, pack, unpack};
use crate::process::Memory;

/// The number that stands for what overflowed. No stack has it.
pub(crate) const OVERFLOW: u32 = u32::MAX;

/// A snapshot as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) summary: Summary,
    /// The number of the snapshot, to which births in later ones refer.
    pub(crate) number: u32,
    /// The moment, by a clock that nobody sets.
    pub(super) at: Instant,
    dropped: Dropped,
    own_memory: OwnMemory,
    packed: Box<[u8]>,
}

/// What a time line shows of a moment.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) taken_at: SystemTime,
    pub(crate) totals: Totals,
    pub(crate) memory: Memory,
    pub(crate) sampling_interval: u64,
}

impl Summary {
    pub(crate) fn of(snapshot: &Snapshot, memory: Memory) -> Summary {
        Summary {
            taken_at: snapshot.taken_at,
            totals: snapshot.totals(),
            memory,
            sampling_interval: snapshot.sampling_interval,
        }
    }
}

impl Record {
    pub(super) fn of(snapshot: &Snapshot, memory: Memory, at: Instant) -> Record {
        Record {
            summary: Summary::of(snapshot, memory),
            number: snapshot.number,
            at,
            dropped: snapshot.dropped,
            own_memory: snapshot.own_memory,
            packed: pack(&sums(snapshot)).into(),
        }
    }

    /// How long ago it was.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Record>() + self.packed.len()
    }

    /// The sums of each stack that had any, by ascending number.
    pub(crate) fn sums(&self) -> Vec<StackSums> {
        unpack(&self.packed)
    }

    /// The snapshot that this was made of, as [`collapsed`]: `now` tells what its stacks are.
    pub(crate) fn restored(&self, now: &Snapshot) -> Snapshot {
        let mut sums: HashMap<u32, SizeTotals> =
            self.sums().into_iter().map(|sums| (sums.id, size(sums))).collect();
        let overflow = sums.remove(&OVERFLOW).into_iter().collect();
        let stacks = now.stacks.iter().filter_map(|stack| {
            let by_size = vec![sums.remove(&stack.id)?];
            Some(literal!(StackTotals {
                id: stack.id,
                trace: stack.trace.clone(),
                by_size,
                ..StackTotals::default()
            }))
        });
        literal!(Snapshot {
            number: self.number,
            sampling_interval: self.summary.sampling_interval,
            stacks: stacks.collect(),
            overflow,
            dropped: self.dropped,
            own_memory: self.own_memory,
            ..Snapshot::empty(self.summary.taken_at, self.at)
        })
    }
}

/// The snapshot with all sizes of a stack in one, as far as a record keeps them, so that it compares with what was recorded.
pub(crate) fn collapsed(mut snapshot: Snapshot) -> Snapshot {
    let collapse = |sizes: &mut Vec<SizeTotals>| {
        let sums = sum(0, sizes);
        let ages = sizes.iter_mut().flat_map(|size| std::mem::take(&mut size.ages)).collect();
        *sizes = vec![literal!(SizeTotals { ages, ..size(sums) })];
    };
    snapshot.stacks.iter_mut().for_each(|stack| collapse(&mut stack.by_size));
    if !snapshot.overflow.is_empty() {
        collapse(&mut snapshot.overflow);
    }
    snapshot
}

/// The totals under size class 0, which stands for a size that is not known.
fn size(StackSums { totals, births, .. }: StackSums) -> SizeTotals {
    literal!(SizeTotals { totals, births, ..SizeTotals::default() })
}

/// Returns the sums of one stack over all its sizes.
fn sum(id: u32, sizes: &[SizeTotals]) -> StackSums {
    let mut totals = Totals::default();
    let mut births: Vec<Births> = Vec::new();
    for size in sizes {
        totals += size.totals;
        births.extend(&size.births);
    }
    births.sort_unstable_by_key(|births| births.after_snapshot);
    births.dedup_by(|later, first| {
        let is_same = later.after_snapshot == first.after_snapshot;
        if is_same {
            first.objects_variance += later.objects_variance;
            first.bytes_variance += later.bytes_variance;
        }
        is_same
    });
    StackSums { id, totals: kept(totals), births }
}

/// Returns the sums of each stack, by ascending number.
pub(crate) fn sums(snapshot: &Snapshot) -> Vec<StackSums> {
    let mut sums: Vec<_> = snapshot.stacks.iter().map(|stack| sum(stack.id, &stack.by_size)).collect();
    if !snapshot.overflow.is_empty() {
        sums.push(sum(OVERFLOW, &snapshot.overflow));
    }
    sums.sort_unstable_by_key(|sums| sums.id);
    sums
}

#[cfg(test)]
mod tests {
    use super::super::testing::{snapshot, totals};
    use super::*;

    #[test]
    fn what_was_recorded_comes_back_with_its_stacks() {
        let mut then = snapshot(&[(3, totals(10, 2)), (0, totals(7, 7)), (70_000, totals(1 << 40, 0))]);
        then.overflow = vec![literal!(SizeTotals { totals: totals(5, 4), ..SizeTotals::default() })];
        then.sampling_interval = 77;
        let record = Record::of(&then, Memory::default(), Instant::now());
        let now = snapshot(&[
            (0, totals(90, 0)),
            (1, totals(1, 1)),
            (3, totals(11, 3)),
            (70_000, totals(1 << 41, 9)),
        ]);
        let restored = record.restored(&now);
        let mut expected = literal!(Snapshot { taken_at_monotonic: record.at, ..collapsed(then) });
        expected.stacks.sort_by_key(|stack| stack.id);
        assert_eq!(restored, expected);
        // 128 stacks of 40 frames are 40 KiB in a snapshot.
        let many: Vec<_> = (0..128).map(|id| (id, totals(1000 + u64::from(id) * 7919, 50))).collect();
        let bytes = Record::of(&snapshot(&many), Memory::default(), Instant::now()).packed.len();
        assert!(bytes < 128 * 24, "{bytes}");
    }

    /// What is in both of two records cancels out; what was born and what died does not.
    #[test]
    fn a_difference_of_records_is_as_uncertain_as_that_of_their_snapshots() {
        // Samples of 64 bytes at the default interval.
        let weight = -1.0 / (-64.0 / 524_288.0_f64).exp_m1();
        let (objects_variance, bytes_variance) =
            (weight * (weight - 1.0), weight * (weight - 1.0) * 64.0 * 64.0);
        let at = |number: u32, allocated: i64, births: &[(u32, i64)]| {
            let samples: i64 = births.iter().map(|birth| birth.1).sum();
            let (allocated_samples, in_use) = (allocated as f64, samples as f64);
            let totals = literal!(Totals {
                alloc_objects: allocated_samples * weight,
                alloc_bytes: allocated_samples * weight * 64.0,
                alloc_samples: allocated,
                alloc_objects_variance: allocated_samples * objects_variance,
                alloc_bytes_variance: allocated_samples * bytes_variance,
                inuse_objects: in_use * weight,
                inuse_bytes: in_use * weight * 64.0,
                inuse_samples: samples,
                inuse_objects_variance: in_use * objects_variance,
                inuse_bytes_variance: in_use * bytes_variance,
                ..Totals::default()
            });
            let mut snapshot = snapshot(&[(0, totals)]);
            snapshot.number = number;
            let births = births.iter().map(|&(after_snapshot, samples)| {
                literal!(Births {
                    after_snapshot,
                    objects_variance: samples as f64 * objects_variance,
                    bytes_variance: samples as f64 * bytes_variance,
                    ..Births::default()
                })
            });
            snapshot.stacks[0].by_size[0].births = births.collect();
            snapshot
        };
        let (before, after) =
            (at(5, 1000, &[(2, 300), (4, 200)]), at(9, 1700, &[(2, 250), (4, 100), (5, 30), (8, 7)]));
        let exact = after.since(&before).totals();
        // 37 were born and 150 died.
        assert!((exact.inuse_bytes_variance / bytes_variance - 187.0).abs() < 1e-6);
        let now = at(12, 1800, &[(2, 1)]);
        let restored =
            |snapshot: &Snapshot| Record::of(snapshot, Memory::default(), Instant::now()).restored(&now);
        let kept = restored(&after).since(&restored(&before)).totals();
        for (kept, exact) in [
            (kept.inuse_bytes_standard_error(), exact.inuse_bytes_standard_error()),
            (kept.inuse_objects_standard_error(), exact.inuse_objects_standard_error()),
            (kept.alloc_bytes_standard_error(), exact.alloc_bytes_standard_error()),
        ] {
            let (kept, exact) = (kept.unwrap(), exact.unwrap());
            assert!((kept / exact - 1.0).abs() < 0.01, "{kept} for {exact}");
        }
    }

    #[test]
    fn sizes_are_added_before_they_are_rounded() {
        let half = literal!(Totals { inuse_bytes: 10.4, ..Totals::default() });
        let mut then = snapshot(&[(1, half)]);
        then.stacks[0].by_size.push(literal!(SizeTotals { totals: half, ..SizeTotals::default() }));
        assert_eq!(sums(&then)[0].totals.inuse_bytes, 21.0);
        assert_eq!(collapsed(then).stacks[0].by_size[0].totals.inuse_bytes, 21.0);
    }
}

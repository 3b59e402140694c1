//! One moment of the past: the totals of every stack, packed.
//!
//! Whole numbers in LEB128, stacks by ascending number, then deflated: some 10 bytes a stack instead of 400. Where a
//! stack goes is not in it: the profiler never forgets a stack, so a later snapshot tells. Sizes are added up.
//!
//! Path: *read path*.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::{Instant, SystemTime};

use alloc_profiler::{Dropped, OwnMemory, SizeTotals, Snapshot, StackTotals, Totals};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::process::Memory;

/// Stands for what overflowed. No stack has this number.
pub(crate) const OVERFLOW: u32 = u32::MAX;

/// A snapshot as it is kept.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) summary: Summary,
    /// When, by a clock that nobody sets.
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
    /// One standard error of `totals.inuse_bytes`.
    pub(crate) inuse_error_bytes: f64,
    pub(crate) memory: Memory,
    pub(crate) sampling_interval: u64,
}

impl Summary {
    pub(crate) fn of(snapshot: &Snapshot, memory: Memory) -> Summary {
        Summary {
            taken_at: snapshot.taken_at,
            totals: snapshot.totals(),
            inuse_error_bytes: inuse_error_bytes(snapshot),
            memory,
            sampling_interval: snapshot.sampling_interval,
        }
    }
}

impl Record {
    pub(super) fn of(snapshot: &Snapshot, memory: Memory, at: Instant) -> Record {
        Record {
            summary: Summary::of(snapshot, memory),
            at,
            dropped: snapshot.dropped,
            own_memory: snapshot.own_memory,
            packed: pack(&sums(snapshot)).into(),
        }
    }

    /// How long ago it was.
    pub(crate) fn age(&self, now: Instant) -> std::time::Duration {
        now.saturating_duration_since(self.at)
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Record>() + self.packed.len()
    }

    /// The totals of each stack that had any, by ascending number.
    pub(crate) fn sums(&self) -> Vec<(u32, Totals)> {
        unpack(&self.packed)
    }

    /// The snapshot that this was made of, as [`collapsed`]: `now` tells what its stacks are.
    pub(crate) fn restored(&self, now: &Snapshot) -> Snapshot {
        let mut sums: HashMap<u32, Totals> = self.sums().into_iter().collect();
        let overflow = sums.remove(&OVERFLOW).map(size).into_iter().collect();
        let stacks = now.stacks.iter().filter_map(|stack| {
            let by_size = vec![size(sums.remove(&stack.id)?)];
            Some(StackTotals { id: stack.id, trace: stack.trace.clone(), by_size })
        });
        Snapshot {
            taken_at: self.summary.taken_at,
            duration: None,
            sampling_interval: self.summary.sampling_interval,
            stacks: stacks.collect(),
            overflow,
            dropped: self.dropped,
            own_memory: self.own_memory,
        }
    }
}

/// The snapshot with all sizes of a stack in one, in whole numbers: so that it compares with what was recorded.
pub(crate) fn collapsed(mut snapshot: Snapshot) -> Snapshot {
    let collapse = |sizes: &mut Vec<SizeTotals>| {
        let totals = sum(sizes);
        let ages = sizes.iter_mut().flat_map(|size| std::mem::take(&mut size.ages)).collect();
        *sizes = vec![SizeTotals { ages, ..size(totals) }];
    };
    snapshot.stacks.iter_mut().for_each(|stack| collapse(&mut stack.by_size));
    if !snapshot.overflow.is_empty() {
        collapse(&mut snapshot.overflow);
    }
    snapshot
}

/// Size class 0: not known.
fn size(totals: Totals) -> SizeTotals {
    SizeTotals { size_class: 0, totals, ages: Vec::new() }
}

/// In whole objects and bytes.
fn sum(sizes: &[SizeTotals]) -> Totals {
    let mut sum = Totals::default();
    sizes.iter().for_each(|size| sum += size.totals);
    Totals {
        alloc_objects: sum.alloc_objects.round(),
        alloc_bytes: sum.alloc_bytes.round(),
        inuse_objects: sum.inuse_objects.round(),
        inuse_bytes: sum.inuse_bytes.round(),
        ..sum
    }
}

/// By ascending number.
pub(crate) fn sums(snapshot: &Snapshot) -> Vec<(u32, Totals)> {
    let mut sums: Vec<_> = snapshot.stacks.iter().map(|stack| (stack.id, sum(&stack.by_size))).collect();
    if !snapshot.overflow.is_empty() {
        sums.push((OVERFLOW, sum(&snapshot.overflow)));
    }
    sums.sort_unstable_by_key(|(id, _)| *id);
    sums
}

/// The standard error of all bytes in use. A sample of a block of `s` bytes was taken with probability
/// `p = 1 - exp(-s / interval)` and stands for `s / p` bytes; the variance of their sum (Horvitz and Thompson, 1952) is
/// estimated by the sum of `(1 - p) (s / p)^2`.
fn inuse_error_bytes(snapshot: &Snapshot) -> f64 {
    if snapshot.sampling_interval <= 1 {
        return 0.0;
    }
    let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size).chain(&snapshot.overflow);
    let variance = sizes.filter(|size| size.totals.inuse_samples > 0).map(|size| {
        let Totals { inuse_objects, inuse_bytes, inuse_samples, .. } = size.totals;
        let block_bytes = inuse_bytes / inuse_objects.max(1.0);
        let missed = (-block_bytes / snapshot.sampling_interval as f64).exp();
        missed * inuse_bytes * inuse_bytes / inuse_samples as f64
    });
    variance.sum::<f64>().sqrt()
}

fn pack(sums: &[(u32, Totals)]) -> Vec<u8> {
    let mut numbers = Vec::with_capacity(sums.len() * 16);
    let mut before = 0;
    for (id, totals) in sums {
        for number in fields(*id - before, totals) {
            prost::encoding::encode_varint(number, &mut numbers);
        }
        before = *id;
    }
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(numbers.len() / 2), Compression::fast());
    // Writing to a vector does not fail.
    encoder.write_all(&numbers).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn fields(id_step: u32, totals: &Totals) -> [u64; 7] {
    [
        id_step.into(),
        totals.inuse_samples as u64,
        totals.inuse_objects as u64,
        totals.inuse_bytes as u64,
        totals.alloc_samples as u64,
        totals.alloc_objects as u64,
        totals.alloc_bytes as u64,
    ]
}

fn unpack(packed: &[u8]) -> Vec<(u32, Totals)> {
    let mut numbers = Vec::new();
    // Our own bytes, from memory.
    let _ = DeflateDecoder::new(packed).read_to_end(&mut numbers);
    let mut numbers = &numbers[..];
    let mut sums = Vec::new();
    let mut id = 0_u32;
    while !numbers.is_empty() {
        let mut next = || prost::encoding::decode_varint(&mut numbers).unwrap_or_default();
        id = id.wrapping_add(next() as u32);
        let [inuse_samples, inuse_objects, inuse_bytes] = std::array::from_fn(|_| next());
        let [alloc_samples, alloc_objects, alloc_bytes] = std::array::from_fn(|_| next());
        let totals = Totals {
            alloc_objects: alloc_objects as f64,
            alloc_bytes: alloc_bytes as f64,
            alloc_samples: alloc_samples as i64,
            inuse_objects: inuse_objects as f64,
            inuse_bytes: inuse_bytes as f64,
            inuse_samples: inuse_samples as i64,
        };
        sums.push((id, totals));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::testing::{snapshot, totals};
    use super::*;

    #[test]
    fn what_was_recorded_comes_back_with_its_stacks() {
        let mut then = snapshot(&[(3, totals(10, 2)), (0, totals(7, 7)), (70_000, totals(1 << 40, 0))]);
        then.overflow = vec![size(totals(5, 4))];
        then.sampling_interval = 77;
        let record = Record::of(&then, Memory::default(), Instant::now());
        let now = snapshot(&[
            (0, totals(90, 0)),
            (1, totals(1, 1)),
            (3, totals(11, 3)),
            (70_000, totals(1 << 41, 9)),
        ]);
        let restored = record.restored(&now);
        let mut expected = collapsed(then);
        expected.stacks.sort_by_key(|stack| stack.id);
        assert_eq!(restored, expected);
        // 128 stacks of 40 frames are 40 KiB in a snapshot.
        let many: Vec<_> = (0..128).map(|id| (id, totals(1000 + u64::from(id) * 7919, 50))).collect();
        let bytes = Record::of(&snapshot(&many), Memory::default(), Instant::now()).packed.len();
        assert!(bytes < 128 * 24, "{bytes}");
    }

    #[test]
    fn sizes_are_added_before_they_are_rounded() {
        let half = Totals { inuse_bytes: 10.4, ..Totals::default() };
        let mut then = snapshot(&[(1, half)]);
        then.stacks[0].by_size.push(size(half));
        assert_eq!(sums(&then)[0].1.inuse_bytes, 21.0);
        assert_eq!(collapsed(then).stacks[0].by_size[0].totals.inuse_bytes, 21.0);
    }

    #[test]
    fn the_error_is_that_of_its_formula() {
        let interval = 1000.0_f64;
        // Four samples of 100 bytes, and one of a block so large that it is surely sampled.
        let p = 1.0 - (-100.0 / interval).exp();
        let small =
            Totals { inuse_objects: 4.0 / p, inuse_bytes: 400.0 / p, inuse_samples: 4, ..Totals::default() };
        let large = Totals { inuse_objects: 1.0, inuse_bytes: 1e6, inuse_samples: 1, ..Totals::default() };
        let mut now = snapshot(&[(0, small), (1, large)]);
        now.sampling_interval = 1000;
        let expected = (4.0 * (1.0 - p) * (100.0 / p) * (100.0 / p)).sqrt();
        assert!((inuse_error_bytes(&now) / expected - 1.0).abs() < 1e-9);
        now.sampling_interval = 1;
        assert_eq!(inuse_error_bytes(&now), 0.0);
    }
}

//! The sums of every stack are packed into few bytes: they are whole numbers in LEB128, by ascending number of the stack, then
//! deflated. That is some 10 bytes a stack.
//!
//! Most stacks allocate blocks of one size at one interval, or small ones, and then objects, bytes and samples tell the
//! variances, which take a byte that says so. Otherwise they are kept with the 24 bits of an `f32`.
//!
//! Path: *read path*. Pure.

use std::io::{Read, Write};

use alloc_profiler::internal::literal;
use alloc_profiler::{Births, Totals};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// What is kept of one stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StackSums {
    pub(crate) id: u32,
    /// The totals, as [`kept`] has them.
    pub(crate) totals: Totals,
    /// See `alloc_profiler::SizeTotals`.
    pub(crate) births: Vec<Births>,
}

/// The figures of one quantity from which its variance follows.
#[derive(Clone, Copy)]
struct Sums {
    samples: f64,
    objects: f64,
    bytes: f64,
}

impl Sums {
    fn allocated(totals: &Totals) -> Sums {
        Sums {
            samples: totals.alloc_samples as f64,
            objects: totals.alloc_objects,
            bytes: totals.alloc_bytes,
        }
    }

    fn in_use(totals: &Totals) -> Sums {
        Sums {
            samples: totals.inuse_samples as f64,
            objects: totals.inuse_objects,
            bytes: totals.inuse_bytes,
        }
    }

    /// The variance of objects and that of bytes, if all samples weigh the same and are of one size. It is close to them also
    /// where sizes are mixed but small.
    fn expected(self) -> [f64; 2] {
        let Sums { samples, objects, bytes } = self;
        if samples <= 0.0 || objects <= samples {
            return [0.0; 2];
        }
        let of_objects = objects * (objects / samples - 1.0);
        [of_objects, of_objects * (bytes / objects) * (bytes / objects)]
    }

    /// How a variance is written: 0 if it is what was expected, to a tenth of what one sample contributes.
    fn code(self, index: usize, variance: f64) -> u64 {
        let expected = self.expected()[index];
        if (variance - expected).abs() <= 0.1 * expected / self.samples.max(1.0) {
            0
        } else {
            u64::from((variance as f32).to_bits()) + 1
        }
    }

    fn variance(self, index: usize, code: u64) -> f64 {
        match code.checked_sub(1) {
            None => self.expected()[index],
            Some(bits) => f64::from(f32::from_bits(bits as u32)),
        }
    }
}

/// Makes of `totals` what comes back after packing: objects and bytes in whole numbers, and variances as far as they are kept.
pub(super) fn kept(totals: Totals) -> Totals {
    let whole = literal!(Totals {
        alloc_objects: totals.alloc_objects.round(),
        alloc_bytes: totals.alloc_bytes.round(),
        inuse_objects: totals.inuse_objects.round(),
        inuse_bytes: totals.inuse_bytes.round(),
        ..totals
    });
    with_variances(whole, codes(&whole))
}

fn codes(totals: &Totals) -> [u64; 4] {
    let (in_use, allocated) = (Sums::in_use(totals), Sums::allocated(totals));
    [
        in_use.code(0, totals.inuse_objects_variance),
        in_use.code(1, totals.inuse_bytes_variance),
        allocated.code(0, totals.alloc_objects_variance),
        allocated.code(1, totals.alloc_bytes_variance),
    ]
}

fn with_variances(totals: Totals, codes: [u64; 4]) -> Totals {
    let (in_use, allocated) = (Sums::in_use(&totals), Sums::allocated(&totals));
    literal!(Totals {
        inuse_objects_variance: in_use.variance(0, codes[0]),
        inuse_bytes_variance: in_use.variance(1, codes[1]),
        alloc_objects_variance: allocated.variance(0, codes[2]),
        alloc_bytes_variance: allocated.variance(1, codes[3]),
        ..totals
    })
}

/// Packs the sums, which are by ascending number.
pub(super) fn pack(sums: &[StackSums]) -> Vec<u8> {
    let mut numbers = Vec::with_capacity(sums.len() * 24);
    let mut before = 0;
    for StackSums { id, totals, births } in sums {
        for number in fields(*id - before, totals).into_iter().chain(codes(totals)) {
            prost::encoding::encode_varint(number, &mut numbers);
        }
        pack_births(births, &mut numbers);
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

/// Writes births, the latest first. The oldest one has what is left of the whole. Of the others' variances 6 bits after the
/// first are kept, which makes an error of less than half a percent in the standard error.
fn pack_births(births: &[Births], numbers: &mut Vec<u8>) {
    let mut write = |number: u64| prost::encoding::encode_varint(number, numbers);
    write(births.len() as u64);
    let mut after = u32::MAX;
    for (index, births) in births.iter().enumerate().rev() {
        write((after - births.after_snapshot).into());
        after = births.after_snapshot;
        if index > 0 {
            write(((births.bytes_variance as f32).to_bits() >> BITS_LEFT_OUT).into());
        }
    }
}

/// The bits of an `f32` that are left out, so that the others fit into two bytes of LEB128.
const BITS_LEFT_OUT: u32 = 17;

pub(super) fn unpack(packed: &[u8]) -> Vec<StackSums> {
    let mut numbers = Vec::new();
    // These are our own bytes, from memory, so reading them does not fail.
    let _ = DeflateDecoder::new(packed).read_to_end(&mut numbers);
    let mut numbers = &numbers[..];
    let mut sums = Vec::new();
    let mut id = 0_u32;
    while !numbers.is_empty() {
        let mut next = || prost::encoding::decode_varint(&mut numbers).unwrap_or_default();
        id = id.wrapping_add(next() as u32);
        let [inuse_samples, inuse_objects, inuse_bytes] = std::array::from_fn(|_| next());
        let [alloc_samples, alloc_objects, alloc_bytes] = std::array::from_fn(|_| next());
        let totals = literal!(Totals {
            alloc_objects: alloc_objects as f64,
            alloc_bytes: alloc_bytes as f64,
            alloc_samples: alloc_samples as i64,
            inuse_objects: inuse_objects as f64,
            inuse_bytes: inuse_bytes as f64,
            inuse_samples: inuse_samples as i64,
            ..Totals::default()
        });
        let totals = with_variances(totals, std::array::from_fn(|_| next()));
        sums.push(StackSums { id, totals, births: unpack_births(&totals, next) });
    }
    sums
}

fn unpack_births(totals: &Totals, mut next: impl FnMut() -> u64) -> Vec<Births> {
    let objects_for_bytes = if totals.inuse_bytes_variance > 0.0 {
        totals.inuse_objects_variance / totals.inuse_bytes_variance
    } else {
        0.0
    };
    let mut births = Vec::new();
    let mut left = totals.inuse_bytes_variance;
    let mut after_snapshot = u32::MAX;
    for index in (0..next()).rev() {
        after_snapshot = after_snapshot.wrapping_sub(next() as u32);
        let bytes_variance = match index {
            0 => left.max(0.0),
            // The bits left out are taken to be in the middle of what they may have been.
            _ => f64::from(f32::from_bits((next() as u32) << BITS_LEFT_OUT | 1 << (BITS_LEFT_OUT - 1))),
        };
        left -= bytes_variance;
        let objects_variance = bytes_variance * objects_for_bytes;
        births.push(literal!(Births {
            after_snapshot,
            objects_variance,
            bytes_variance,
            ..Births::default()
        }));
    }
    births.reverse();
    births
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `samples` samples of blocks of `size` bytes, half of which are in use.
    fn totals(size: f64, samples: i64) -> Totals {
        let weight = -1.0 / (-size / 524_288.0).exp_m1();
        let one = literal!(Totals {
            alloc_objects: weight,
            alloc_bytes: weight * size,
            alloc_samples: 1,
            alloc_objects_variance: weight * (weight - 1.0),
            alloc_bytes_variance: weight * (weight - 1.0) * size * size,
            ..Totals::default()
        });
        let in_use = literal!(Totals {
            inuse_objects: one.alloc_objects,
            inuse_bytes: one.alloc_bytes,
            inuse_samples: 1,
            inuse_objects_variance: one.alloc_objects_variance,
            inuse_bytes_variance: one.alloc_bytes_variance,
            ..one
        });
        let mut sum = Totals::default();
        (0..samples).for_each(|sample| sum += if sample % 2 == 0 { in_use } else { one });
        sum
    }

    fn through(sums: &[StackSums]) -> Vec<StackSums> {
        unpack(&pack(sums))
    }

    #[test]
    fn what_is_kept_comes_back_and_is_what_it_was_to_a_tenth_of_a_sample() {
        let mut mixed = totals(16.0, 4000);
        mixed += totals(2e6, 60);
        for (id, totals) in [totals(16.0, 1), totals(100.0, 9999), totals(1e6, 40), totals(6.7e7, 1), mixed]
            .into_iter()
            .enumerate()
        {
            let sums = StackSums { id: id as u32, totals: kept(totals), births: Vec::new() };
            assert_eq!(through(std::slice::from_ref(&sums)), std::slice::from_ref(&sums));
            for (kept, exact, samples) in [
                (sums.totals.inuse_bytes_variance, totals.inuse_bytes_variance, totals.inuse_samples),
                (sums.totals.inuse_objects_variance, totals.inuse_objects_variance, totals.inuse_samples),
                (sums.totals.alloc_bytes_variance, totals.alloc_bytes_variance, totals.alloc_samples),
            ] {
                assert!((kept - exact).abs() <= 0.11 * exact / samples as f64, "{id}: {kept} of {exact}");
            }
        }
    }

    #[test]
    fn births_come_back_in_order_and_make_the_whole() {
        let totals = kept(totals(100.0, 200));
        let whole = totals.inuse_bytes_variance;
        let births =
            [(0, 0.5), (7, 0.001), (8, 0.3), (4_000_000_000, 0.199)].map(|(after_snapshot, share)| {
                literal!(Births {
                    after_snapshot,
                    objects_variance: share * totals.inuse_objects_variance,
                    bytes_variance: share * whole,
                    ..Births::default()
                })
            });
        let back = through(&[StackSums { id: 3, totals, births: births.to_vec() }]).remove(0).births;
        for (back, birth) in back.iter().zip(&births) {
            assert_eq!(back.after_snapshot, birth.after_snapshot);
            assert!((back.bytes_variance / birth.bytes_variance - 1.0).abs() < 0.01, "{back:?}, {birth:?}");
            assert!((back.objects_variance / birth.objects_variance - 1.0).abs() < 0.01);
        }
        let sum: f64 = back.iter().map(|birth| birth.bytes_variance).sum();
        assert!(back.len() == 4 && (sum / whole - 1.0).abs() < 1e-9);
    }

    #[test]
    fn stacks_of_one_size_take_few_bytes() {
        let born = |after_snapshot| {
            literal!(Births {
                after_snapshot,
                objects_variance: 0.0,
                bytes_variance: 1e12,
                ..Births::default()
            })
        };
        let sums = |id: u32| StackSums {
            id,
            totals: kept(totals(f64::from(id % 50 * 16 + 16), 40 + i64::from(id * 7919 % 300))),
            births: vec![born(3 + id % 90), born(99 + id % 2)],
        };
        let bytes = pack(&(0..1000).map(sums).collect::<Vec<_>>()).len();
        assert!(bytes < 1000 * 30, "{bytes}");
    }
}

//! Samples are written as the bytes of the message. They are nearly all of a profile, so they are written without a
//! struct in between.
//!
//! Each is field 2 of `proto::Profile`, a `proto::Sample`. Messages laid end to end are one message. `builder` calls
//! this, and has `prost` encode the rest.
//!
//! Path: *read path*.

use super::proto;
use prost::Message;

/// Holds the field number, with the wire type "bytes of a given length".
const SAMPLE: u8 = 2 << 3 | 2;
const LOCATION_IDS: u8 = 1 << 3 | 2;
const VALUES: u8 = 2 << 3 | 2;
const LABEL: u8 = 3 << 3 | 2;

/// Samples that have been written, and room for the parts of the next one, whose lengths come before them.
#[derive(Default)]
pub(super) struct SampleBytes {
    pub(super) message: Vec<u8>,
    sample: Vec<u8>,
    part: Vec<u8>,
}

impl SampleBytes {
    /// Adds a sample.
    #[inline]
    pub(super) fn push(
        &mut self,
        location_ids: impl Iterator<Item = u64>,
        values: impl Iterator<Item = i64>,
        labels: &[proto::Label],
    ) {
        self.sample.clear();
        self.part(LOCATION_IDS, |part| location_ids.for_each(|id| varint(id, part)));
        self.part(VALUES, |part| values.for_each(|value| varint(value as u64, part)));
        labels.iter().for_each(|label| self.part(LABEL, |part| label.encode_raw(part)));
        append(SAMPLE, &self.sample, &mut self.message);
    }

    #[inline]
    fn part(&mut self, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.part.clear();
        write(&mut self.part);
        append(field, &self.part, &mut self.sample);
    }
}

/// Adds a field of bytes to `message`: the field's number and type, the length, and the bytes.
pub(super) fn append(field: u8, bytes: &[u8], message: &mut Vec<u8>) {
    message.push(field);
    varint(bytes.len() as u64, message);
    message.extend_from_slice(bytes);
}

/// Returns how many bytes [`append`] adds for so many bytes.
pub(super) fn appended_bytes(bytes: usize) -> usize {
    1 + prost::length_delimiter_len(bytes) + bytes
}

/// Appends a number with seven bits to a byte, lowest first; the highest bit says that more follow. It does what
/// `prost`'s does, but is inlined.
#[inline]
fn varint(mut number: u64, message: &mut Vec<u8>) {
    while number >= 1 << 14 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    // Most numbers are those of locations, and have two bytes, which are added at once.
    if number > 0x7f {
        message.extend_from_slice(&[number as u8 | 0x80, (number >> 7) as u8]);
    } else {
        message.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_reads_back() {
        let label = proto::Label { key_index: 1, num: 64, num_unit_index: 2, ..proto::Label::default() };
        let values = [0, 1, -1, i64::MAX];
        let mut samples = SampleBytes::default();
        samples.push([1, 127, 128, 16_383, 16_384, u64::MAX].into_iter(), values.into_iter(), &[label]);
        samples.push([300; 200].into_iter(), values.into_iter(), &[]);
        let sample = |location_id, label| proto::Sample { location_id, value: values.into(), label };
        let expected = vec![
            sample(vec![1, 127, 128, 16_383, 16_384, u64::MAX], vec![label]),
            sample(vec![300; 200], vec![]),
        ];
        assert_eq!(proto::Profile::decode(&samples.message[..]).unwrap().sample, expected);
    }
}

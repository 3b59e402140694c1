//! The beginnings of the units of debug information: the header and the first entry of each, which says what the unit is of.
//!
//! Path: *read path*. Cost: one read of 256 bytes for each unit.

use crate::mappings::files;
use addr2line::gimli::{EndianSlice, Format, Reader, RunTimeEndian};
use object::CompressionFormat;
use object::read::ObjectSection;
use std::path::Path;

/// So many bytes of each unit are read: its header and its first entry have fewer.
const HEAD_BYTES: usize = 256;

/// Reads the beginnings of up to `most` units of the section. Returns them, and whether they are of all units.
pub(super) fn unit_heads<'data>(
    path: &Path,
    section: &impl ObjectSection<'data>,
    endian: RunTimeEndian,
    most: usize,
) -> Option<(Vec<u8>, bool)> {
    let range = section.compressed_file_range().ok()?;
    if range.format != CompressionFormat::None {
        // A section that is too large was refused before.
        let inflated = section.uncompressed_data().ok()?;
        let read_at = |bytes: &mut [u8], offset: u64| {
            let rest = inflated.get(usize::try_from(offset).ok()?..)?;
            let length = rest.len().min(bytes.len());
            bytes[..length].copy_from_slice(&rest[..length]);
            Some(length)
        };
        return heads(inflated.len() as u64, endian, most, read_at);
    }
    let file = files::open(path).ok()?;
    heads(range.uncompressed_size, endian, most, |bytes, offset| {
        file.read_at(bytes, range.offset + offset).ok()
    })
}

/// Reads the beginnings of up to `most` units of a section with this size. Returns them one after another, each with the length
/// that it then has, and whether they are of all units. So the time depends on the number of units and not on what is in them.
fn heads(
    size: u64,
    endian: RunTimeEndian,
    most: usize,
    read_at: impl Fn(&mut [u8], u64) -> Option<usize>,
) -> Option<(Vec<u8>, bool)> {
    let (mut heads, mut at) = (Vec::new(), 0);
    for _ in 0..most {
        if at >= size {
            break;
        }
        let mut head = [0; HEAD_BYTES];
        let wanted = size.saturating_sub(at).min(HEAD_BYTES as u64) as usize;
        let read = read_at(&mut head[..wanted], at)?.min(wanted);
        let Ok((length, format)) = EndianSlice::new(&head[..read], endian).read_initial_length() else {
            return Some((heads, false));
        };
        let length_bytes = usize::from(format.initial_length_size());
        let kept = length.saturating_add(length_bytes).min(read);
        let rest = kept - length_bytes;
        match (format, endian) {
            (Format::Dwarf32, RunTimeEndian::Little) => {
                head[..4].copy_from_slice(&(rest as u32).to_le_bytes())
            }
            (Format::Dwarf32, RunTimeEndian::Big) => head[..4].copy_from_slice(&(rest as u32).to_be_bytes()),
            (Format::Dwarf64, RunTimeEndian::Little) => {
                head[4..12].copy_from_slice(&(rest as u64).to_le_bytes())
            }
            (Format::Dwarf64, RunTimeEndian::Big) => {
                head[4..12].copy_from_slice(&(rest as u64).to_be_bytes())
            }
        }
        heads.try_reserve(kept).ok()?;
        heads.extend_from_slice(&head[..kept]);
        at = at.saturating_add(length.saturating_add(length_bytes) as u64);
    }
    Some((heads, at >= size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit of 20 MiB comes first, and then a small one of 12 bytes.
    #[test]
    fn only_the_beginning_of_a_large_unit_is_read() {
        let large: u64 = 20 << 20;
        let size = 4 + large + 4 + 12;
        let read_at = |bytes: &mut [u8], offset: u64| {
            bytes.fill(7);
            let length: u32 = if offset == 0 { large as u32 } else { 12 };
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            assert!(offset == 0 || offset == 4 + large, "{offset}");
            Some(bytes.len())
        };
        let (found, is_whole) = heads(size, RunTimeEndian::Little, 2, read_at).unwrap();
        assert!(is_whole);
        assert_eq!(found.len(), HEAD_BYTES + 16);
        assert_eq!(found[..4], (HEAD_BYTES as u32 - 4).to_le_bytes());
        assert_eq!(found[HEAD_BYTES..HEAD_BYTES + 4], 12_u32.to_le_bytes());
        // Of one unit alone the rest is not known.
        assert!(!heads(size, RunTimeEndian::Little, 1, read_at).unwrap().1);
    }
}

//! The source files to which the entries of a unit refer by number.

use super::bases::Bases;
use super::elf::{DebugFile, Section};
use super::entry::Value;
use super::strings;
use gimli::{DebugLine, DebugLineOffset, EndianSlice, NativeEndian};
use std::sync::Arc;

/// No list of files is longer, in bytes.
const MAX_HEADER_BYTES: usize = 4 << 20;

/// Reads the paths of all files, in the order of their numbers.
pub(super) fn read(file: &DebugFile, bases: &Bases) -> Option<Vec<Arc<str>>> {
    let bytes = header_alone(file, bases.lines?)?;
    let folder = bases.folder.as_deref().unwrap_or("");
    let folder_slice = EndianSlice::new(folder.as_bytes(), NativeEndian);
    let lines = DebugLine::new(&bytes, NativeEndian);
    let program = lines.program(DebugLineOffset(0), 8, Some(folder_slice), None).ok()?;
    let header = program.header();
    let encoding = header.encoding();
    let text = |value: Value<'_>| strings::string(file, encoding, bases.string_offsets, value);
    // Numbers begin at 1 before version 5.
    let first = u64::from(header.version() < 5);
    let count = header.file_names().len() as u64 + first;
    let path = |index: u64| {
        let entry = header.file(index)?;
        let name = text(entry.path_name())?;
        let folder_of_file = entry.directory(header).and_then(text).unwrap_or_default();
        Some(joined(folder, &folder_of_file, &name))
    };
    Some((0..count).map(|index| path(index).unwrap_or_default().into()).collect())
}

fn joined(folder: &str, folder_of_file: &str, name: &str) -> String {
    let mut path = String::new();
    for part in [folder, folder_of_file, name] {
        if part.starts_with('/') {
            path.clear();
        } else if !path.is_empty() && !path.ends_with('/') && !part.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    path
}

/// Reads the header of a table of lines, which has the files, and makes it a table without lines: those are not needed, and
/// are many.
fn header_alone(file: &DebugFile, offset: u64) -> Option<Vec<u8>> {
    let mut bytes = file.read_part(Section::Lines, offset, 32);
    let word = |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    // Tables that are larger than 4 GiB begin with all ones, and are not read.
    let version = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let length_at = if version >= 5 { 8 } else { 6 };
    let total = length_at + 4 + word(&bytes, length_at)? as usize;
    if word(&bytes, 0)? == u32::MAX || total > MAX_HEADER_BYTES {
        return None;
    }
    bytes = file.read_part(Section::Lines, offset, total);
    let length = u32::try_from(bytes.len().checked_sub(4)?).ok()?;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    Some(bytes)
}

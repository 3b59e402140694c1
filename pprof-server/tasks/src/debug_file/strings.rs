//! What attributes refer to in other sections: names and addresses.

use super::elf::{DebugFile, Section};
use super::entry::Value;
use gimli::{AttributeValue, Encoding, Format};

/// So much is read at first of a name, in bytes: most are shorter.
const FIRST_BYTES: usize = 256;
/// Names of types have their generic arguments in them. A name that is longer than this is cut off, in bytes.
const MAX_BYTES: usize = 16 << 10;

/// Returns a value as text. `offsets_base` is where the strings of the unit begin among those that have numbers.
pub(super) fn string(
    file: &DebugFile,
    encoding: Encoding,
    offsets_base: u64,
    value: Value<'_>,
) -> Option<String> {
    match value {
        AttributeValue::String(string) => Some(string.to_string_lossy().into_owned()),
        AttributeValue::DebugLineStrRef(offset) => string_at(file, Section::LineStrings, offset.0 as u64),
        _ => string_at(file, Section::Strings, offset(file, encoding, offsets_base, value)?),
    }
}

/// Returns where a value is in the section of names, if it is there.
pub(super) fn offset(
    file: &DebugFile,
    encoding: Encoding,
    offsets_base: u64,
    value: Value<'_>,
) -> Option<u64> {
    match value {
        AttributeValue::DebugStrRef(offset) => Some(offset.0 as u64),
        AttributeValue::DebugStrOffsetsIndex(index) => {
            let is_64 = encoding.format == Format::Dwarf64;
            let width = if is_64 { 8 } else { 4 };
            let at = offsets_base.checked_add((index.0 as u64).checked_mul(width)?)?;
            number(file, Section::StringOffsets, at, width as usize)
        }
        _ => None,
    }
}

/// Whether the text at `offset` of the section of names begins with `prefix`, which has at most 16 bytes.
pub(super) fn begins_with(file: &DebugFile, offset: u64, prefix: &[u8]) -> bool {
    let mut bytes = [0; 16];
    let Some(start) = bytes.get_mut(..prefix.len()) else { return false };
    file.read(Section::Strings, offset, start) == prefix.len() && start == prefix
}

/// Returns the text at `offset` of a section.
pub(super) fn string_at(file: &DebugFile, section: Section, offset: u64) -> Option<String> {
    let mut bytes = vec![0; FIRST_BYTES];
    loop {
        let read = file.read(section, offset, &mut bytes);
        let text = &bytes[..read];
        if let Some(end) = text.iter().position(|&byte| byte == 0) {
            return Some(String::from_utf8_lossy(&text[..end]).into_owned());
        }
        if read < bytes.len() {
            return None;
        }
        if bytes.len() >= MAX_BYTES {
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        bytes.resize(MAX_BYTES, 0);
    }
}

/// Returns the address that a value says. `base` is where the addresses of the unit begin among those that have numbers.
pub(super) fn address(file: &DebugFile, base: u64, value: Value<'_>) -> Option<u64> {
    match value {
        AttributeValue::Addr(address) => Some(address),
        AttributeValue::DebugAddrIndex(index) => address_at(file, base, index.0 as u64),
        _ => None,
    }
}

/// Returns the address with the number `index`.
pub(super) fn address_at(file: &DebugFile, base: u64, index: u64) -> Option<u64> {
    number(file, Section::Addresses, base.checked_add(index.checked_mul(8)?)?, 8)
}

fn number(file: &DebugFile, section: Section, offset: u64, width: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    if file.read(section, offset, &mut bytes[..width]) < width {
        return None;
    }
    Some(match width {
        4 => u64::from(u32::from_ne_bytes(bytes[..4].try_into().ok()?)),
        _ => u64::from_ne_bytes(bytes),
    })
}

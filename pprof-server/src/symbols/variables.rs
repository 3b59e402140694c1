//! The names of variables, as the symbol table of their file has them.
//!
//! Path: *read path*.

use super::function_name::FunctionName;
use super::symbol_table::{self, Kind};
use crate::mappings::Mapping;
use crate::mappings::files;
use crate::mappings::mapped_file::file_behind;
use object::Endianness;
use object::elf::{FileHeader64, PT_TLS};
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader};

/// What the compiler appends to the path of a variable that the standard library's macro declares.
const INNER: [&str; 3] = ["::{{constant}}", "::{constant#", "::{{closure}}"];

/// Returns the names of the variables that are at `addresses`, which are ascending and as the file counts them.
///
/// Cost: it takes some 20 ns for each symbol of the file.
pub(crate) fn names(mapping: &Mapping, kind: Kind, addresses: &[u64]) -> Vec<Option<String>> {
    let mut names = Vec::with_capacity(addresses.len());
    if let Some(path) = file_behind(mapping) {
        let _ = symbol_table::look_up(&path, kind, addresses, |_, found| {
            names.push(found.map(|(name, _)| of_variable(name)));
        });
    }
    names.resize(addresses.len(), None);
    names
}

/// Returns what the author of a variable would call it.
fn of_variable(raw: &str) -> String {
    let name = FunctionName::of(raw, "").name;
    let end = INNER.iter().filter_map(|inner| name.find(inner)).min().unwrap_or(name.len());
    name[..end].to_owned()
}

/// Returns how many bytes the thread-local variables of the program have below the thread pointer: with what aligns them.
pub(crate) fn thread_local_bytes(program: &Mapping) -> Option<u64> {
    let cache = ReadCache::new(files::open(&file_behind(program)?).ok()?);
    let header = FileHeader64::<Endianness>::parse(&cache).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, &cache).ok()?;
    let variables = segments.iter().find(|segment| segment.p_type(endian) == PT_TLS);
    let bytes = |segment: &object::elf::ProgramHeader64<Endianness>| {
        let (bytes, align) = (segment.p_memsz(endian), segment.p_align(endian).max(1));
        bytes.checked_next_multiple_of(align)
    };
    variables.map_or(Some(0), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_called_by_its_path() {
        for (raw, name) in [
            ("_ZN4shop8SESSIONS17h0123456789abcdefE", "shop::SESSIONS"),
            (
                "_ZN4shop5CACHE29_$u7b$$u7b$constant$u7d$$u7d$28_$u7b$$u7b$closure$u7d$$u7d$3VAL17h0123456789abcdefE",
                "shop::CACHE",
            ),
            ("_RNvCs1_4shop8SESSIONS", "shop::SESSIONS"),
            ("sessions", "sessions"),
        ] {
            assert_eq!(of_variable(raw), name);
        }
    }
}

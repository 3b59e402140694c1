//! The names of variables, as the symbol table of their file has them.
//!
//! Path: *read path*.

use super::function_name::FunctionName;
use super::own_crate::has_our_code;
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

/// A variable that has an address.
pub(crate) struct Variable {
    pub(crate) name: String,
    /// Where it begins, as the file counts addresses.
    pub(crate) start: u64,
}

/// Returns the variables that are at `addresses`, which are ascending and as the file counts them.
///
/// Cost: it takes some 20 ns for each symbol of the file.
pub(crate) fn at(mapping: &Mapping, kind: Kind, addresses: &[u64]) -> Vec<Option<Variable>> {
    let mut variables = Vec::with_capacity(addresses.len());
    if let Some(path) = file_behind(mapping) {
        let _ = symbol_table::look_up(&path, kind, addresses, |_, found| {
            variables.push(found.map(|(name, start)| Variable { name: of_variable(name), start }));
        });
    }
    variables.resize_with(addresses.len(), || None);
    variables
}

/// The profiler's own variables that have addresses of the program's blocks, by what their names begin with. Not all parts have a name that
/// nobody else would choose.
const OWN: [&str; 6] = [
    "alloc_profiler::",
    "pprof_server::",
    "capture::by_signals::",
    "capture::locks::",
    "unwinder::by_tables::",
    "unwinder::label::",
];

/// Returns where the profiler's own variables are among those in `range`, which belong to `mapping`. Without a symbol table, there are
/// none.
///
/// Cost: it takes some 20 ns for each symbol of the file, and a few µs for each variable in the range.
pub(crate) fn own_in(mapping: &Mapping, range: (u64, u64)) -> Vec<(u64, u64)> {
    let mut own = Vec::new();
    let in_memory = |address: u64| address.wrapping_add(mapping.load_bias);
    let range = (mapping.elf_address(range.0), mapping.elf_address(range.1));
    if let Some(path) = file_behind(mapping).filter(|_| has_our_code(mapping)) {
        let _ = symbol_table::each_in(&path, Kind::Static, range, |name, start, end| {
            let name = of_variable(name);
            // mutant: H15 the profiler's own variables hold blocks
            if OWN.iter().any(|own| name.starts_with(own)) {
                own.push((in_memory(start), in_memory(end)));
            }
        });
    }
    own
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

    /// It has an address that is not the profiler's own business.
    static NOT_OWN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(7);

    #[test]
    fn own_variables_are_told_from_others() {
        let mappings = crate::mappings::Mappings::of_process();
        let program = &mappings.as_slice()[0];
        let range = crate::mappings::data_ranges::data_ranges();
        let here = &raw const NOT_OWN as u64;
        let range = range.iter().find(|range| (range.start..range.limit).contains(&here)).unwrap();
        let own = own_in(program, (range.start, range.limit));
        let has = |address: u64| own.iter().any(|&(start, end)| (start..end).contains(&address));
        assert!(own.len() > 10, "{own:x?}");
        assert!(has(here), "this test is a part of the profiler");
        // What the standard library has, or the C library's code, is not.
        let all: u64 = own.iter().map(|(start, end)| end - start).sum();
        assert!(all < range.limit - range.start);
        assert!(own.iter().all(|&(start, end)| start >= range.start && start < range.limit && end >= start));
    }

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

//! Looks addresses up in a file's symbol table, without reading the names that nobody asks for.
//!
//! `debug_info` calls this. The table is read in one piece. Of the names only those of symbols at an address that is
//! looked up are read: a program of a hundred megabytes has hundreds of thousands of names, some of them of many
//! kilobytes.
//!
//! Path: *read path*.

use crate::mappings::files::{self, OpenFile};
use object::elf::{
    FileHeader32, FileHeader64, SHT_DYNSYM, SHT_SYMTAB, STB_LOCAL, STT_FUNC, STT_NOTYPE, STT_OBJECT, STT_TLS,
};
use object::read::ReadCache;
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, FileKind, SectionIndex};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A name that is longer counts as none: no compiler makes it.
const MAX_NAME_BYTES: u64 = 16 << 20;
/// So many bytes are read at once where a name begins: most names end within them.
const FIRST_BYTES: u64 = 256;

/// What a symbol is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    /// It is a variable that all threads share.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the search for holders asks"))]
    Static,
    /// It is a variable that each thread has, at an address within the thread's own.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the search for holders asks"))]
    ThreadLocal,
}

/// Calls `found` for each of `addresses` (ascending, as the file counts them) that a function or variable contains, with its
/// name and first address. Returns `None`, without a call, if the file or its table cannot be read.
///
/// Cost: some 20 ns for each symbol in the table, and one or two system calls for each distinct name that is found. It
/// takes 24 bytes for each symbol until it returns.
pub(super) fn look_up(
    path: &Path,
    kind: Kind,
    addresses: &[u64],
    mut found: impl FnMut(u64, Option<(&str, u64)>),
) -> Option<()> {
    let cache = ReadCache::new(files::open(path).ok()?);
    let table = match FileKind::parse(&cache).ok()? {
        FileKind::Elf64 => Table::read::<FileHeader64<Endianness>>(&cache, kind, addresses),
        FileKind::Elf32 => Table::read::<FileHeader32<Endianness>>(&cache, kind, addresses),
        _ => None,
    }?;
    let mut names = Names { file: files::open(path).ok()?, text: Vec::new(), current: None };
    for &address in addresses {
        let function = table.containing(address);
        found(address, function.and_then(|function| Some((names.of(&table, function)?, function.start))));
    }
    Some(())
}

/// Calls `found` for each function or variable that begins in `start..limit`, with its name and where it begins and ends.
///
/// Cost: it is that of [`look_up`].
#[cfg(feature = "http")]
pub(super) fn each_in(
    path: &Path,
    kind: Kind,
    (start, limit): (u64, u64),
    mut found: impl FnMut(&str, u64, u64),
) -> Option<()> {
    let cache = ReadCache::new(files::open(path).ok()?);
    let limits = [start, limit.checked_sub(1)?];
    let table = match FileKind::parse(&cache).ok()? {
        FileKind::Elf64 => Table::read::<FileHeader64<Endianness>>(&cache, kind, &limits),
        FileKind::Elf32 => Table::read::<FileHeader32<Endianness>>(&cache, kind, &limits),
        _ => None,
    }?;
    let mut names = Names { file: files::open(path).ok()?, text: Vec::new(), current: None };
    for function in &table.functions {
        if let Some(name) = names.of(&table, function) {
            found(name, function.start, function.end);
        }
    }
    Some(())
}

/// The functions that may contain the addresses.
struct Table {
    /// Holds the functions in the order of `start`. No two have the same.
    functions: Vec<Function>,
    /// Where the names are in the file.
    names_offset: u64,
    names_bytes: u64,
}

#[derive(Clone, Copy)]
struct Function {
    start: u64,
    /// Tells the first address after the function.
    end: u64,
    /// Where its name begins among the names.
    name: u32,
    /// Of several functions that start at one address, the one with the lowest rank is taken.
    rank: u32,
}

impl Table {
    fn read<H: FileHeader<Endian = Endianness>>(
        cache: &ReadCache<OpenFile>,
        kind: Kind,
        addresses: &[u64],
    ) -> Option<Table> {
        let header = H::parse(cache).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, cache).ok()?;
        let symbols = [SHT_SYMTAB, SHT_DYNSYM]
            .into_iter()
            .filter_map(|kind| sections.symbols(endian, cache, kind).ok())
            .find(|symbols| !symbols.is_empty())?;
        let names = sections.section(symbols.string_section()).ok()?;
        let mut functions = Vec::new();
        for symbol in symbols.iter() {
            let is_function = match kind {
                Kind::Function => symbol.st_type() == STT_FUNC,
                Kind::Static => symbol.st_type() == STT_OBJECT,
                Kind::ThreadLocal => symbol.st_type() == STT_TLS,
            };
            let is_local = symbol.st_bind() == STB_LOCAL;
            let is_label = kind == Kind::Function && symbol.st_type() == STT_NOTYPE && !is_local;
            let (start, size) = (symbol.st_value(endian).into(), symbol.st_size(endian).into());
            let section = SectionIndex(symbol.st_shndx(endian).0.into());
            if !is_function && !is_label || section.0 == 0 {
                continue;
            }
            // A symbol without a size ends with its section, or where the next one begins.
            let end = match sections.section(section) {
                Ok(section) if size == 0 => {
                    section.sh_addr(endian).into().saturating_add(section.sh_size(endian).into())
                }
                _ => u64::saturating_add(start, size),
            };
            let rank = rank(is_function, size, is_local);
            let function = Function { start, end, name: symbol.st_name(endian), rank };
            if function.name != 0 && function.may_contain_any_of(addresses) {
                functions.try_reserve(1).ok()?;
                functions.push(function);
            }
        }
        functions.sort_unstable_by_key(|function| (function.start, function.rank, function.name));
        functions.dedup_by_key(|function| function.start);
        Some(Table {
            functions,
            names_offset: names.sh_offset(endian).into(),
            names_bytes: names.sh_size(endian).into(),
        })
    }

    fn containing(&self, address: u64) -> Option<&Function> {
        let after = self.functions.partition_point(|function| function.start <= address);
        let function = &self.functions[after.checked_sub(1)?];
        (address < function.end).then_some(function)
    }
}

/// Ranks a symbol; lower is better. The best is a function of known size that is visible outside of its file.
fn rank(is_function: bool, size: u64, is_local: bool) -> u32 {
    u32::from(!is_function) << 2 | u32::from(size == 0) << 1 | u32::from(is_local)
}

impl Function {
    /// Keeps what is sorted short where few addresses are asked for.
    fn may_contain_any_of(&self, addresses: &[u64]) -> bool {
        let (Some(&first), Some(&last)) = (addresses.first(), addresses.last()) else { return false };
        self.start <= last && self.end > first
    }
}

/// Reads names, one after the other.
struct Names {
    file: OpenFile,
    text: Vec<u8>,
    /// Where the name that is in `text` begins.
    current: Option<u32>,
}

impl Names {
    fn of(&mut self, table: &Table, function: &Function) -> Option<&str> {
        if self.current != Some(function.name) {
            self.current = None;
            self.read(table, function.name)?;
            self.current = Some(function.name);
        }
        std::str::from_utf8(&self.text).ok().filter(|name| !name.is_empty())
    }

    fn read(&mut self, table: &Table, name: u32) -> Option<()> {
        let most = table.names_bytes.checked_sub(name.into())?.min(MAX_NAME_BYTES);
        self.file.seek(SeekFrom::Start(table.names_offset.checked_add(name.into())?)).ok()?;
        self.text.clear();
        let mut next = FIRST_BYTES;
        loop {
            let before = self.text.len();
            next = next.min(most - before as u64);
            self.text.try_reserve(next as usize).ok()?;
            let read = (&mut self.file).take(next).read_to_end(&mut self.text).ok()?;
            if let Some(length) = self.text[before..].iter().position(|byte| *byte == 0) {
                self.text.truncate(before + length);
                return Some(());
            }
            if read == 0 {
                return None;
            }
            next = self.text.len() as u64;
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::mappings::Mappings;

    #[inline(never)]
    fn landmark() -> u64 {
        landmark as fn() -> u64 as usize as u64
    }

    fn names(addresses: &[u64]) -> Vec<Option<(String, u64)>> {
        let mut all = Vec::new();
        let path = std::env::current_exe().unwrap();
        look_up(&path, Kind::Function, addresses, |address, found| {
            assert_eq!(address, addresses[all.len()]);
            all.push(found.map(|(name, start)| (name.to_owned(), start)));
        })
        .unwrap();
        all
    }

    #[test]
    fn a_function_reaches_from_its_first_address_to_its_last() {
        let start = Mappings::of_process().as_slice()[0].elf_address(landmark());
        let found = names(&[0, start - 1, start, start + 1, u64::MAX]);
        assert_eq!((&found[0], &found[4]), (&None, &None));
        let (name, first) = found[2].as_ref().unwrap();
        assert!(name.contains("landmark") && *first == start, "{name} at {first:#x}");
        assert_eq!(found[2], found[3]);
        assert_ne!(found[1], found[2]);
    }

    #[test]
    fn what_is_no_program_has_no_table() {
        assert_eq!(look_up(Path::new("/nonexistent"), Kind::Function, &[1], |_, _| panic!("found")), None);
        assert_eq!(look_up(Path::new("/proc/self/maps"), Kind::Function, &[1], |_, _| panic!("found")), None);
    }

    #[test]
    fn of_several_names_the_one_of_a_global_function_is_taken() {
        let mut ranks =
            [rank(true, 0, false), rank(false, 9, false), rank(true, 9, true), rank(true, 9, false)];
        ranks.sort_unstable();
        assert_eq!(
            ranks,
            [rank(true, 9, false), rank(true, 9, true), rank(true, 0, false), rank(false, 9, false)]
        );
    }
}

//! This module names code addresses: it finds function, file and line, with inlined functions.
//!
//! `profile::stacks` asks for all addresses of a profile at once. (The `symbol` endpoint has `linkage` for those of a
//! request.) Known addresses come from a bounded cache. The others are looked up file by file in ascending order, and
//! the debug information is closed again, since it would hold hundreds of megabytes. An address without a name gets a
//! synthetic one, such as `libc.so.6+0x2724a`: file and virtual address, as `addr2line -e` takes it. Nothing here
//! fails.
//!
//! Path: *read path*. One thread at a time runs here. A second one waits, and then finds the names in the cache.

pub(crate) mod brackets;
mod cache;
mod cpp;
mod debug_info;
mod found;
mod function_name;
mod legacy;
pub(crate) mod library;
#[cfg(any(feature = "http", test))]
mod linkage;
mod own_crate;
mod plumbing_names;
#[cfg(feature = "http")]
mod plumbing_pattern;
pub(crate) mod role;
mod shortfall;
mod sources;
mod symbol_table;
mod unit_heads;
mod units;
mod v0;
#[cfg(feature = "http")]
pub(crate) mod variables;
mod verdict;

use crate::mappings::{Mapping, Mappings};
use crate::per_process::PerProcess;
use alloc_profiler::CodeAddress;
use cache::{Cache, FileId};
use debug_info::TIME_BUDGET;
use found::{Found, FoundFunction};
use function_name::shortened_name;
#[cfg(feature = "http")]
pub(crate) use linkage::LinkageNames;
#[cfg(feature = "http")]
pub(crate) use own_crate::{Origin, note_own_crate};
#[cfg(feature = "http")]
pub(crate) use plumbing_pattern::plumbing_pattern;
use role::{Role, role};
use std::collections::{BTreeMap, HashMap, HashSet};
#[cfg(feature = "http")]
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
#[cfg(feature = "http")]
pub(crate) use symbol_table::Kind as SymbolKind;
pub(crate) use verdict::{FULL, OfFrames, Verdict, of_program};
#[cfg(feature = "http")]
pub(crate) use verdict::{of_own_file, program};

/// What one address is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResolvedAddress {
    /// Inlined functions come first, the innermost before the others; the last is the function that was called. It is
    /// never empty, unless the address was not to be looked up.
    pub(crate) lines: Box<[SourceLine]>,
    /// Counts the bytes from the start of the outermost function to the address; it is 0 if unknown.
    pub(crate) function_offset: u64,
    /// True if only for want of time its lines are not known.
    pub(crate) is_provisional: bool,
}

/// One function at an address, and the line in it that the address belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceLine {
    /// All lines of the function share it: a profile tells functions apart by where they are.
    pub(crate) function: Arc<Function>,
    /// Holds the line in its file; it is 0 if unknown.
    pub(crate) line: u32,
}

/// Describes a function by its names and its source file.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Function {
    /// The name as `function_name` decides it, or a synthetic one.
    pub(crate) name: Box<str>,
    /// The mangled name, without its middle if it is very long; empty if unknown.
    pub(crate) linkage_name: Box<str>,
    /// Holds the path of the source file; it is empty if unknown. It is shared, since thousands of functions lie in a
    /// few hundred files.
    pub(crate) file: Arc<str>,
    /// What it is to a reader, which decides whether it is shown at the leaf.
    pub(crate) role: Role,
}

static CACHE: PerProcess<Mutex<Cache>> = PerProcess::new();

/// Names `addresses`, in their order. They are addresses of call instructions: return addresses minus one.
///
/// Cost: it takes 0.1 µs for an address seen before. For others, see `debug_info::look_up`. Until this returns, it
/// holds the debug information that it touched in memory.
pub(crate) fn resolve(mappings: &Mappings, addresses: &[u64]) -> Vec<Arc<ResolvedAddress>> {
    resolve_until(Instant::now() + TIME_BUDGET, mappings, addresses)
}

/// Does the same. Debug information that has not been opened by `deadline` must wait for another request.
fn resolve_until(deadline: Instant, mappings: &Mappings, addresses: &[u64]) -> Vec<Arc<ResolvedAddress>> {
    // A panic while the lock was held cannot have left half an entry behind.
    let mut cache = CACHE.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    cache.make_room();
    let mut files = vec![None; mappings.as_slice().len()];
    for index in mappings.used(addresses) {
        files[index] = Some(cache.file_id(&mappings.as_slice()[index]));
    }
    // In the order in which files came, so that the program, which is the most likely to have work, has its turn early.
    let mut unknown: BTreeMap<FileId, Unknown<'_>> = BTreeMap::new();
    for &address in addresses {
        let Some(index) = mappings.index_of(address) else { continue };
        let Some(file) = files[index] else { continue };
        let mapping = &mappings.as_slice()[index];
        let elf_address = mapping.elf_address(address);
        if cache.get(file, elf_address).is_none() {
            let unknown = unknown.entry(file).or_insert(Unknown { mapping, elf_addresses: Vec::new() });
            unknown.elf_addresses.push(elf_address);
        }
    }
    let mut provisional = Provisional::new();
    for (file, mut unknown) in unknown {
        // mutant: D13 each file may take the time of a request
        unknown.look_up(&mut cache, file, deadline, &mut provisional);
    }
    let mut resolved_at = |address: u64| {
        let Some((index, file)) = mappings.index_of(address).and_then(|index| Some((index, files[index]?)))
        else {
            let plain = CodeAddress::from_bits(address as usize).address();
            return Arc::new(synthetic(&mut cache, &format!("0x{plain:x}")));
        };
        let mapping = &mappings.as_slice()[index];
        let elf_address = mapping.elf_address(address);
        let known = cache.get(file, elf_address).or_else(|| provisional.get(&(file, elf_address)).cloned());
        known.unwrap_or_else(|| Arc::new(name(&mut cache, mapping, elf_address, &Found::default())))
    };
    addresses.iter().map(|&address| resolved_at(address)).collect()
}

/// Returns the file that has the debug information of a mapped file, if there is any: the file itself, or one apart from it.
#[cfg(feature = "http")]
pub(crate) fn debug_file(mapping: &Mapping) -> Option<PathBuf> {
    sources::Sources::of(mapping).debug
}

/// Returns where the package is looked for that has what is split off from the debug information at `path`.
#[cfg(feature = "http")]
pub(crate) fn package_of(path: &Path) -> PathBuf {
    units::Units::package(path)
}

/// Returns the same names without files and lines.
pub(crate) fn without_places(resolved: Vec<Arc<ResolvedAddress>>) -> Vec<Arc<ResolvedAddress>> {
    // A function stays one, however many lines of it there are.
    let mut functions: HashSet<Arc<Function>> = HashSet::new();
    let mut without_file = |function: &Function| {
        let function = Function {
            name: function.name.clone(),
            linkage_name: function.linkage_name.clone(),
            file: Arc::default(),
            role: function.role,
        };
        if let Some(known) = functions.get(&function) {
            return known.clone();
        }
        let function = Arc::new(function);
        functions.insert(function.clone());
        function
    };
    let mut without_places = |address: Arc<ResolvedAddress>| {
        let lines =
            address.lines.iter().map(|line| SourceLine { function: without_file(&line.function), line: 0 });
        Arc::new(ResolvedAddress { lines: lines.collect(), ..ResolvedAddress::clone(&address) })
    };
    resolved.into_iter().map(&mut without_places).collect()
}

/// Makes a line that has a name and no code.
pub(crate) fn synthetic_line(name: &str, role: Role) -> SourceLine {
    let function = Function { name: name.into(), linkage_name: "".into(), file: "".into(), role };
    SourceLine { function: Arc::new(function), line: 0 }
}

fn synthetic(cache: &mut Cache, name: &str) -> ResolvedAddress {
    ResolvedAddress { lines: [source_line(cache, name, "", "", 0)].into(), ..ResolvedAddress::default() }
}

/// Addresses of one file that are not in the cache.
struct Unknown<'a> {
    mapping: &'a Mapping,
    elf_addresses: Vec<u64>,
}

/// Names that are good enough for now. They are looked for again next time.
type Provisional = HashMap<(FileId, u64), Arc<ResolvedAddress>>;

impl Unknown<'_> {
    /// Puts a result for every address into the cache, or among the provisional ones.
    fn look_up(&mut self, cache: &mut Cache, file: FileId, deadline: Instant, provisional: &mut Provisional) {
        self.elf_addresses.sort_unstable();
        self.elf_addresses.dedup();
        debug_info::look_up(self.mapping, &self.elf_addresses, deadline, |elf_address, found| {
            let resolved = Arc::new(name(cache, self.mapping, elf_address, &found));
            note_parts(self.mapping, &resolved, &found);
            if found.is_provisional {
                provisional.insert((file, elf_address), resolved);
            } else {
                cache.insert(file, elf_address, resolved);
            }
        });
        for &elf_address in &self.elf_addresses {
            // The file is gone or makes no sense. Either will still be so next time.
            if cache.get(file, elf_address).is_none() && !provisional.contains_key(&(file, elf_address)) {
                let resolved = name(cache, self.mapping, elf_address, &Found::default());
                cache.insert(file, elf_address, Arc::new(resolved));
            }
        }
    }
}

/// Notes that debug information does not cover a function that somebody wrote: a part of the file was built without.
fn note_parts(mapping: &Mapping, resolved: &ResolvedAddress, found: &Found<'_>) {
    let is_lineless = |line: &SourceLine| line.function.file.is_empty() && line.function.role == Role::User;
    let is_certain = mapping.is_judged() && found.symbol.is_some() && !found.is_provisional;
    if is_certain && resolved.lines.last().is_some_and(is_lineless) && !crate::kept_files::is_sandboxed() {
        Verdict::of(mapping).note_parts();
    }
}

/// Puts what was found into the terms of a profile.
fn name(cache: &mut Cache, mapping: &Mapping, elf_address: u64, found: &Found<'_>) -> ResolvedAddress {
    let symbol = found.symbol;
    let function_offset = symbol.map_or(0, |symbol| elf_address.saturating_sub(symbol.start));
    let missing_name =
        || shortened_name(&format!("{}+0x{elf_address:x}", mapping.file_name()), None).into_owned();
    if found.functions.is_empty() {
        let Some(symbol) = symbol else { return synthetic(cache, &missing_name()) };
        let line = source_line(cache, symbol.name, symbol.linkage_name, "", 0);
        let is_provisional = found.is_provisional;
        return ResolvedAddress { lines: [line].into(), function_offset, is_provisional };
    }
    let outermost = found.functions.len() - 1;
    let mut lines = Vec::with_capacity(found.functions.len());
    for (index, function) in found.functions.iter().enumerate() {
        let FoundFunction { name, linkage_name, file, line } = *function;
        let is_bare = linkage_name.is_empty();
        let (name, linkage_name) = match symbol.filter(|_| index == outermost) {
            // The code was compiled with line tables only: the symbol table knows the path to the bare name.
            Some(symbol) if name.is_empty() || is_bare && symbol.is_mangled => {
                (symbol.name, symbol.linkage_name)
            }
            // A name that is not mangled is a C function's, or the bare name of a Rust one. Only the first is one for
            // linkers.
            Some(symbol) if is_bare && symbol.name == name => (name, symbol.linkage_name),
            None if name.is_empty() => (&missing_name()[..], ""),
            _ => (name, linkage_name),
        };
        lines.push(source_line(cache, name, linkage_name, file, line));
    }
    ResolvedAddress { lines: lines.into(), function_offset, is_provisional: found.is_provisional }
}

fn source_line(cache: &mut Cache, name: &str, linkage_name: &str, file: &str, line: u32) -> SourceLine {
    let role = role(name, file);
    let file = cache.file_name(file);
    let function = Function { name: name.into(), linkage_name: linkage_name.into(), file, role };
    SourceLine { function: cache.function(function), line }
}

#[cfg(test)]
mod tests {
    use super::found::FoundNames;
    use super::*;
    use std::path::PathBuf;

    const PUSH: &str = "_ZN5alloc3vec16Vec$LT$T$C$A$GT$4push17h0123456789abcdefE";
    const USER: &str = "_RNvNtCs1234_4demo5proxy5serve";

    /// Returns the name and mangled name of what debug information and the symbol table call so, and the offset of
    /// 0x1010.
    fn named(functions: &[(&str, &str, u32)], symbol: Option<(&str, u64)>) -> (Vec<(String, String)>, u64) {
        let mut found = FoundNames::new();
        functions.iter().for_each(|&(name, file, line)| found.push_function(name, file, line));
        found.next_address(symbol);
        let mapping = Mapping { path: "/opt/app one/app".into(), ..Mapping::default() };
        let resolved = name(&mut Cache::default(), &mapping, 0x1010, &found.iter().next().unwrap());
        let names =
            |line: &SourceLine| (line.function.name.to_string(), line.function.linkage_name.to_string());
        (resolved.lines.iter().map(names).collect(), resolved.function_offset)
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn names_are_demangled_and_the_mangled_one_is_kept() {
        let named = named(&[(PUSH, "vec.rs", 1), (USER, "proxy.rs", 2)], Some((USER, 0x1000)));
        let expected = vec![pair("alloc::vec::Vec::push", PUSH), pair("demo::proxy::serve", USER)];
        assert_eq!(named, (expected, 0x10));
    }

    #[test]
    fn the_symbol_table_completes_a_bare_name_of_the_outermost_function_only() {
        let functions = [("push<u8>", "vec.rs", 1), ("serve", "proxy.rs", 2)];
        assert_eq!(
            named(&functions, Some((USER, 0x1010))).0,
            [pair("push", ""), pair("demo::proxy::serve", USER)]
        );
    }

    #[test]
    fn without_debug_information_the_symbol_table_must_do() {
        assert_eq!(named(&[], Some((USER, 0))).0, [pair("demo::proxy::serve", USER)]);
        assert_eq!(named(&[("", "a.c", 3)], Some(("qsort", 0))).0, [pair("qsort", "qsort")]);
        assert_eq!(named(&[("qsort", "a.c", 3)], Some(("qsort", 0))).0, [pair("qsort", "qsort")]);
    }

    #[test]
    fn what_has_no_name_gets_one() {
        assert_eq!(named(&[], None).0, [pair("app+0x1010", "")]);
        assert_eq!(named(&[("", "a.c", 3)], None).0, [pair("app+0x1010", "")]);
        let long = Mapping { path: format!("/opt/{}.so", "x".repeat(200)), ..Mapping::default() };
        let long = name(&mut Cache::default(), &long, 0x1010, &Found::default());
        let long = &long.lines[0].function.name;
        assert!(long.chars().count() == 120 && long.ends_with(".so+0x1010"), "{long}");
        let unmapped = resolve(&Mappings::default(), &[7, 8]);
        assert_eq!(&*unmapped[1].lines[0].function.name, "0x8");
    }

    /// All files of a request have one budget: where it is spent, the next file has none of its own.
    #[cfg(target_os = "linux")]
    #[test]
    fn no_file_is_opened_when_the_time_of_the_request_is_over() {
        let program = Mappings::of_process().as_slice()[0].clone();
        let here = program.elf_address(named as fn(&[_], Option<_>) -> _ as usize as u64);
        let folder = tempfile::tempdir().unwrap();
        let mapping = |(number, name): (u64, &str)| {
            let path = folder.path().join(name);
            std::os::unix::fs::symlink("/proc/self/exe", &path).unwrap();
            let (start, path) = (number << 40, path.to_str().unwrap().to_owned());
            let exact_path = PathBuf::new();
            Mapping { start, limit: start + (1 << 40), load_bias: start, path, exact_path, ..program.clone() }
        };
        let mappings = Mappings::new([(1, "first"), (2, "second")].map(mapping).into());
        let addresses = [(1 << 40) + here, (2 << 40) + here];
        let are_lineless = |resolved: Vec<Arc<ResolvedAddress>>| {
            resolved
                .iter()
                .map(|address| (address.is_provisional, address.lines[0].line == 0))
                .collect::<Vec<_>>()
        };
        let late = resolve_until(Instant::now(), &mappings, &addresses);
        assert_eq!(are_lineless(late), [(true, true); 2]);
        let in_time = resolve(&mappings, &addresses);
        assert_eq!(are_lineless(in_time), [(false, false); 2]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_function_of_this_program_is_found_by_address() {
        #[inline(never)]
        fn landmark() -> u64 {
            landmark as fn() -> u64 as usize as u64
        }
        let resolved = &resolve(&Mappings::of_process(), &[landmark()])[0];
        let line = resolved.lines.last().unwrap();
        assert!(line.function.name.ends_with("landmark"), "{line:?}");
        assert!(line.function.file.ends_with("symbols/mod.rs") && line.line > 0, "{line:?}");
    }
}

//! Looks virtual addresses of one file up in its debug information and symbol table.
//!
//! `symbols` calls this with all unknown addresses of a file at once, in ascending order. The reader is the `addr2line`
//! crate. It holds on to every compilation unit it has touched, so we open it anew after some addresses, and we fall
//! back to the symbol table where debug information would cost too much memory or time. The file must be the one that
//! is mapped, or its names would be those of another build. The reader maps the file into memory. Whoever cuts the file
//! short in place while it is in use kills the program, as with every mapped library.
//!
//! Path: *read path*.

use super::found::{Found, FoundNames, FoundSymbol};
use super::function_name::{FunctionName, shortened_linkage};
use super::shortfall::Shortfall;
use super::sources::Sources;
use crate::kept_files;
use crate::mappings::Mapping;
use crate::symbols::symbol_table;
use addr2line::Loader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// So many addresses are looked up before the reader is opened anew: what it keeps of each unit bounds our peak memory.
const ADDRESSES_PER_READER: usize = 512;
/// So long addresses of one request are looked up in debug information, whatever the number of files that they are in.
/// Those that are left get the symbol table's names for now. The usual scrapers wait for 10 seconds.
pub(super) const TIME_BUDGET: Duration = Duration::from_secs(4);

/// Looks up `elf_addresses` (ascending) of the file behind `mapping`, and calls `found` for each one, unless the file
/// cannot be read.
///
/// Cost: opening a reader takes time in proportion to the file's compilation units and symbols, which is tens of
/// milliseconds for 100 MB of debug information. Each unit that is touched takes some 0.1 ms more. No reader is opened
/// after `deadline`, so all of it ends about the time for [`ADDRESSES_PER_READER`] later.
pub(super) fn look_up(
    mapping: &Mapping,
    elf_addresses: &[u64],
    deadline: Instant,
    mut found: impl FnMut(u64, Found<'_>),
) {
    let mut rest = elf_addresses;
    // A file that is not what it claims to be must not take the host program down with it.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let sources = Sources::of(mapping);
        // The reader opens files by itself, which a sandbox may forbid. Then the symbol table must do.
        let debug = sources.debug.as_deref().filter(|_| !kept_files::is_sandboxed());
        let is_affordable = debug.is_some();
        // What is unaffordable or unreadable now will be so next time, too.
        let mut is_provisional = is_affordable;
        while is_affordable && !rest.is_empty() && Instant::now() < deadline {
            let (chunk, others) = rest.split_at(rest.len().min(ADDRESSES_PER_READER));
            let Some(names) = on_a_thread_of_its_own(|| {
                let reader = Loader::new(debug?).ok()?;
                let mut names = FoundNames::new();
                chunk.iter().for_each(|&address| look_up_one(&reader, &sources, address, &mut names));
                Some(names)
            }) else {
                is_provisional = false;
                break;
            };
            chunk.iter().zip(names.iter()).for_each(|(&address, names)| found(address, names));
            rest = others;
        }
        if !rest.is_empty()
            && let Some(path) = &sources.symbols
        {
            look_up_symbols(path, rest, is_provisional, &mut found);
        }
    }));
    // The caller gives a synthetic name to each address that was not found.
    drop(result);
}

/// Calls `add` for each of `elf_addresses` (ascending) that the symbol table of the file behind `mapping` has a name
/// for. It passes the address, the name of the function, and the address at which the function begins. Debug
/// information is not opened. The result is `None` if the file cannot be read.
///
/// Cost: it takes some 0.1 µs for each symbol of the file.
#[cfg(any(feature = "http", test))]
pub(super) fn read_symbols<T: Default + Send>(
    mapping: &Mapping,
    elf_addresses: &[u64],
    add: impl Fn(&mut T, u64, &str, u64) + Sync,
) -> Option<T> {
    let read = || {
        let path = Sources::of(mapping).symbols?;
        let mut all = T::default();
        symbol_table::look_up(&path, symbol_table::Kind::Function, elf_addresses, |address, symbol| {
            if let Some((name, start)) = symbol {
                add(&mut all, address, name, start);
            }
        })?;
        Some(all)
    };
    // As above, the file may be anything. There may also be no thread left to read it on.
    catch_unwind(AssertUnwindSafe(|| on_a_thread_of_its_own(read))).ok().flatten()
}

/// Returns what `read` returns, or `None` if it panics.
///
/// glibc gives each thread, as far as it can, a heap of its own, and a heap that is free again goes back to the system.
/// In the caller's heap, the few names that are kept would lie among what the reader leaves behind and would hold its
/// pages, and `malloc_trim` stops other threads for too long. Where no thread can be had, `read` runs on the caller's.
fn on_a_thread_of_its_own<R: Send>(read: impl Fn() -> Option<R> + Sync) -> Option<R> {
    let read = || {
        #[cfg(feature = "http")]
        let _left_out = capture::leave_out();
        alloc_profiler::unsampled(&read)
    };
    // A sandbox may kill whoever starts a thread.
    if kept_files::is_sandboxed() {
        return read();
    }
    std::thread::scope(|scope| {
        match std::thread::Builder::new().name("pprof-symbols".into()).spawn_scoped(scope, read) {
            Ok(thread) => thread.join().ok().flatten(),
            Err(_) => read(),
        }
    })
}

/// Looks the addresses up in the symbol table alone.
fn look_up_symbols(
    path: &Path,
    elf_addresses: &[u64],
    is_provisional: bool,
    mut found: impl FnMut(u64, Found<'_>),
) -> Option<()> {
    // Many addresses may be in one function, and its name may be long.
    let mut last: Option<(u64, FunctionName<'static>, String)> = None;
    symbol_table::look_up(path, symbol_table::Kind::Function, elf_addresses, |address, symbol| {
        let symbol = symbol.map(|(name, start)| {
            if last.as_ref().is_none_or(|(last, ..)| *last != start) {
                let FunctionName { name: shown, linkage_name } = FunctionName::of(name, "");
                let named = FunctionName {
                    name: shown.into_owned().into(),
                    linkage_name: linkage_name.into_owned().into(),
                };
                last = Some((start, named, shortened_linkage(name).into_owned()));
            }
            last.as_ref()
        });
        let symbol = symbol.flatten().map(|(start, name, linkage_name)| FoundSymbol {
            name: &name.name,
            linkage_name,
            is_mangled: !name.linkage_name.is_empty(),
            start: *start,
        });
        found(address, Found { symbol, is_provisional, functions: Vec::new() });
    })
}

/// Tells why functions of the file behind `mapping` cannot be named in full, if they cannot.
pub(super) fn shortfall(mapping: &Mapping) -> Option<Shortfall> {
    // As above: the file may be anything.
    let look = || on_a_thread_of_its_own(|| Some(Sources::of(mapping).shortfall));
    catch_unwind(AssertUnwindSafe(look)).ok().flatten().unwrap_or_else(|| Some(Shortfall::no_file(mapping)))
}

fn look_up_one(reader: &Loader, sources: &Sources, elf_address: u64, names: &mut FoundNames) {
    if let Ok(mut frames) = reader.find_frames(elf_address) {
        while let Ok(Some(frame)) = frames.next() {
            // Where the functions of a unit are missing, the line is that of the innermost function, and only the
            // outermost function has a name.
            if sources.is_in_parts && frame.function.is_none() {
                continue;
            }
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.as_ref();
            let file = location.and_then(|location| location.file).unwrap_or_default();
            let line = location.and_then(|location| location.line).unwrap_or_default();
            names.push_function(name.as_deref().unwrap_or_default(), file, line);
        }
    }
    let symbol = reader.find_symbol_info(elf_address);
    names.next_address(symbol.map(|symbol| (symbol.name(), symbol.address())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::elf_image::Image;

    fn mapping(path: &Path, build_id: &str) -> Mapping {
        Mapping { path: path.to_str().unwrap().into(), build_id: build_id.into(), ..Mapping::default() }
    }

    #[test]
    fn a_malformed_file_has_no_names() {
        let malformed = tempfile::NamedTempFile::new().unwrap();
        let path = malformed.path();
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        // The program headers are right, but nothing of what they promise is in the file.
        std::fs::write(path, &whole[..8192]).unwrap();
        let id = Image::in_file(path, None).unwrap().build_id;
        let deadline = Instant::now() + TIME_BUDGET;
        look_up(&mapping(path, &id), &[0, 0x1000, u64::MAX], deadline, |address, found| {
            assert_eq!(found, Found::default(), "{address:#x}");
        });
    }

    #[test]
    fn out_of_time_the_symbol_table_must_do_for_now() {
        let this = std::env::current_exe().unwrap();
        let image = Image::in_file(&this, None).unwrap();
        let running = crate::mappings::Mappings::of_process();
        let program = &running.as_slice()[0];
        let here = out_of_time_the_symbol_table_must_do_for_now as fn() as usize as u64;
        let elf_address = program.elf_address(here);
        let look_up_within = |time_budget| {
            let mut seen = None;
            let mapping = mapping(&this, &image.build_id);
            look_up(&mapping, &[elf_address], Instant::now() + time_budget, |_, found| {
                let symbol = found.symbol.map(|symbol| (symbol.linkage_name.to_owned(), symbol.start));
                seen = Some((found.is_provisional, found.functions.is_empty(), symbol));
            });
            seen.unwrap()
        };
        let (quick, full) = (look_up_within(Duration::ZERO), look_up_within(TIME_BUDGET));
        assert_eq!((quick.0, quick.1), (true, true), "the symbol table alone, for now");
        assert_eq!((full.0, full.1), (false, false), "debug information");
        assert_eq!(quick.2, full.2);
        assert!(quick.2.unwrap().0.contains("out_of_time"));
    }
}

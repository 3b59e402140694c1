//! This finds names of functions as `go tool pprof` takes them, from symbol tables alone. The `symbol` endpoint answers
//! with them.
//!
//! Whoever may ask the endpoint chooses the addresses, and so the cost. A symbol table is read once for all addresses
//! of its file. It knows what the protocol has a place for: the function that was called, without what was inlined into
//! it. Debug information would cost some 0.1 ms for each address. Nothing is kept between two requests, so that
//! strangers' addresses do not push those of the profiles out of the cache.
//!
//! Path: *read path*.

use super::debug_info;
use super::function_name::for_pprof;
use crate::mappings::{Mapping, Mappings};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Names of some addresses.
#[derive(Debug, Default)]
pub(crate) struct LinkageNames {
    /// Addresses that have a name, ascending, each with the place of its name.
    named: Vec<(u64, Name)>,
    tables: Vec<Table>,
    /// Whether addresses are without their name because all names together would be too long.
    pub(crate) is_cut: bool,
}

/// Refers to a name by the index of a table and its index in it.
type Name = (u32, u32);

/// The distinct names of one file, in a few large blocks. A thread of its own fills them, see `debug_info`.
#[derive(Debug, Default)]
struct Table {
    text: String,
    names: Vec<Range<usize>>,
    /// Addresses as the file counts them, ascending, each with the index of its name.
    of_address: Vec<(u64, u32)>,
    /// Where the function of the last name begins.
    last_start: Option<u64>,
    is_cut: bool,
}

impl LinkageNames {
    /// Names the functions at `addresses`, each of which is a return address minus one. Distinct names together take at
    /// most `max_bytes`.
    ///
    /// Cost: reading the symbol tables of the files that the addresses are in takes some 0.1 s for a million symbols,
    /// and 40 bytes for each symbol until this returns.
    pub(crate) fn of(addresses: &[u64], max_bytes: usize) -> LinkageNames {
        alloc_profiler::unsampled(|| {
            let mappings = Mappings::of_process();
            let mut by_mapping: HashMap<usize, Vec<(u64, u64)>> = HashMap::new();
            for &address in addresses {
                let place = mappings.present_address(address);
                if let Some(index) = mappings.index_of(place) {
                    let elf_address = mappings.as_slice()[index].elf_address(place);
                    by_mapping.entry(index).or_default().push((elf_address, address));
                }
            }
            let mut names = LinkageNames::default();
            let mut bytes_left = max_bytes;
            for (index, addresses) in by_mapping {
                bytes_left -= names.add(&mappings.as_slice()[index], addresses, bytes_left);
            }
            names.named.sort_unstable();
            names
        })
    }

    /// Adds the names of one mapping's addresses. Each address is given as its file counts it, and as it was asked for.
    /// Returns how many bytes the names take.
    fn add(&mut self, mapping: &Mapping, mut addresses: Vec<(u64, u64)>, max_bytes: usize) -> usize {
        addresses.sort_unstable();
        addresses.dedup();
        let elf_addresses: Vec<u64> = addresses.iter().map(|&(elf_address, _)| elf_address).collect();
        let add = |table: &mut Table, elf_address, name: &str, start| {
            // Each function's name is made once.
            let is_known = table.last_start == Some(start);
            let name = if is_known { Cow::Borrowed("") } else { for_pprof(name) };
            table.push(elf_address, &name, start, max_bytes);
        };
        let table: Table = debug_info::read_symbols(mapping, &elf_addresses, add).unwrap_or_default();
        let number = self.tables.len() as u32;
        let mut known = table.of_address.iter().peekable();
        for (elf_address, address) in addresses {
            while known.next_if(|(before, _)| *before < elf_address).is_some() {}
            if let Some((_, name)) = known.peek().filter(|(known, _)| *known == elf_address) {
                self.named.push((address, (number, *name)));
            }
        }
        self.is_cut |= table.is_cut;
        let bytes = table.text.len();
        self.tables.push(table);
        bytes
    }

    /// Returns the name of the function at `address`.
    pub(crate) fn get(&self, address: u64) -> Option<&str> {
        let index = self.named.binary_search_by_key(&address, |(address, _)| *address).ok()?;
        let (table, name) = self.named[index].1;
        let table = &self.tables[table as usize];
        Some(&table.text[table.names[name as usize].clone()])
    }

    /// Gives made-up functions their names.
    #[cfg(test)]
    pub(crate) fn fixed(named: &[(u64, &str)]) -> LinkageNames {
        let mut table = Table::default();
        named.iter().for_each(|&(address, name)| table.push(address, name, address, usize::MAX));
        let mut named: Vec<(u64, Name)> =
            table.of_address.iter().map(|&(address, name)| (address, (0, name))).collect();
        named.sort_unstable();
        LinkageNames { named, tables: vec![table], is_cut: false }
    }
}

impl Table {
    /// Adds an address, not lower than the last one, in the function of this name, which begins at `start`.
    fn push(&mut self, elf_address: u64, name: &str, start: u64, max_bytes: usize) {
        if self.last_start != Some(start) {
            if self.text.len().saturating_add(name.len()) > max_bytes {
                self.is_cut = true;
                return;
            }
            let begin = self.text.len();
            self.text.push_str(name);
            self.names.push(begin..self.text.len());
            self.last_start = Some(start);
        }
        self.of_address.push((elf_address, self.names.len() as u32 - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_copied_once_and_all_are_bounded() {
        let mut table = Table::default();
        for (address, name, start) in [(1, "f", 1), (2, "f", 1), (5, "long", 4), (6, "long", 4), (9, "g", 8)]
        {
            table.push(address, name, start, 4);
        }
        assert_eq!((&*table.text, &table.of_address[..]), ("fg", &[(1, 0), (2, 0), (9, 1)][..]));
        assert!(table.is_cut);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn functions_of_this_program_are_found() {
        #[inline(never)]
        fn landmark() -> u64 {
            landmark as fn() -> u64 as usize as u64
        }
        let addresses = [landmark() + 1, 1, landmark()];
        let names = LinkageNames::of(&addresses, 1 << 20);
        let found = addresses.map(|address| names.get(address));
        assert!(found[0].is_some_and(|name| name.ends_with("::landmark")), "{found:?}");
        assert_eq!((found[1], found[2], names.is_cut), (None, found[0], false));
        assert_eq!(names.tables.iter().map(|table| table.names.len()).sum::<usize>(), 1);
        let cut = LinkageNames::of(&addresses, 3);
        assert_eq!((cut.get(landmark()), cut.is_cut), (None, true));
    }
}

//! This holds what debug information says of some addresses, in a few large blocks, with names as they will be shown.
//!
//! The thread that reads fills it, and the thread that keeps names reads and frees it. glibc keeps small blocks that
//! are freed in a cache of the freeing thread, where they would hold on to the reading thread's heap. Large blocks go
//! back at once. See `debug_info`.
//!
//! Path: *read path*.

use super::function_name::{FunctionName, shortened_linkage};
use std::ops::Range;

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Inlined functions come first, the innermost before the others. It is empty where there is no debug information.
    pub(super) functions: Vec<FoundFunction<'a>>,
    /// The symbol-table entry that contains the address.
    pub(super) symbol: Option<FoundSymbol<'a>>,
    /// True if only time was lacking to find out more.
    pub(super) is_provisional: bool,
}

/// One function, as debug information has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundFunction<'a> {
    /// The name that people read. It lacks its path if debug information has no path, and is empty if there is no name.
    pub(super) name: &'a str,
    /// The mangled name; empty if there is none.
    pub(super) linkage_name: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
}

/// A symbol that is a function, or that was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundSymbol<'a> {
    /// The name that people read.
    pub(super) name: &'a str,
    /// The name that the linker knows it by.
    pub(super) linkage_name: &'a str,
    /// True if the linkage name is a mangled one, so that `name` has the function's path in it.
    pub(super) is_mangled: bool,
    /// Tells the first address of the function.
    pub(super) start: u64,
}

/// A block of this size is too large for glibc's caches of freed blocks.
const LARGE_BYTES: usize = 4096;

/// What is known of each of some addresses.
pub(super) struct FoundNames {
    text: String,
    functions: Vec<Function>,
    addresses: Vec<Address>,
}

struct Function {
    name: Range<usize>,
    linkage_name: Range<usize>,
    file: Range<usize>,
    line: u32,
}

struct Symbol {
    name: Range<usize>,
    linkage_name: Range<usize>,
    is_mangled: bool,
    start: u64,
}

struct Address {
    symbol: Option<Symbol>,
    /// The index in `functions` at which the functions of this address end.
    end: usize,
}

impl FoundNames {
    pub(super) fn new() -> FoundNames {
        FoundNames {
            text: String::with_capacity(LARGE_BYTES),
            functions: Vec::with_capacity(LARGE_BYTES / size_of::<Function>() + 1),
            addresses: Vec::with_capacity(LARGE_BYTES / size_of::<Address>() + 1),
        }
    }

    /// Adds a function to the address that [`next_address`](Self::next_address) will add. `name` is the linkage name,
    /// the bare name if debug information has only that, or empty.
    pub(super) fn push_function(&mut self, name: &str, file: &str, line: u32) {
        let FunctionName { name, linkage_name } = FunctionName::of(name, file);
        let function = Function {
            name: self.push_text(&name),
            linkage_name: self.push_text(&linkage_name),
            file: self.push_text(file),
            line,
        };
        self.functions.push(function);
    }

    /// Adds an address with the functions pushed since the last one. `symbol` is the linkage name of the symbol that
    /// contains the address, and the address at which the symbol starts.
    pub(super) fn next_address(&mut self, symbol: Option<(&str, u64)>) {
        let symbol = symbol.map(|(linker_name, start)| {
            let name = FunctionName::of(linker_name, "");
            Symbol {
                name: self.push_text(&name.name),
                linkage_name: self.push_text(&shortened_linkage(linker_name)),
                is_mangled: !name.linkage_name.is_empty(),
                start,
            }
        });
        self.addresses.push(Address { symbol, end: self.functions.len() });
    }

    fn push_text(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Yields what is known of each address, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = Found<'_>> {
        let text = |range: &Range<usize>| &self.text[range.clone()];
        let function = move |function: &Function| FoundFunction {
            name: text(&function.name),
            linkage_name: text(&function.linkage_name),
            file: text(&function.file),
            line: function.line,
        };
        let symbol = move |symbol: &Symbol| FoundSymbol {
            name: text(&symbol.name),
            linkage_name: text(&symbol.linkage_name),
            is_mangled: symbol.is_mangled,
            start: symbol.start,
        };
        let mut start = 0;
        self.addresses.iter().map(move |address| Found {
            functions: self.functions[std::mem::replace(&mut start, address.end)..address.end]
                .iter()
                .map(function)
                .collect(),
            symbol: address.symbol.as_ref().map(symbol),
            is_provisional: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let mut names = FoundNames::new();
        names.next_address(None);
        names.push_function("_RNvC1a1f", "a.rs", 1);
        names.push_function("g", "", 0);
        names.next_address(Some(("g", 16)));
        let functions = vec![
            FoundFunction { name: "a::f", linkage_name: "_RNvC1a1f", file: "a.rs", line: 1 },
            FoundFunction { name: "g", linkage_name: "", file: "", line: 0 },
        ];
        let symbol = FoundSymbol { name: "g", linkage_name: "g", is_mangled: false, start: 16 };
        let expected = [Found::default(), Found { functions, symbol: Some(symbol), is_provisional: false }];
        assert!(names.iter().eq(expected));
    }
}

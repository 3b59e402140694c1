//! What debug information says of some addresses, in a few large blocks.
//!
//! Filled by the thread that reads, read and freed by the one that keeps names. glibc keeps small blocks that are
//! freed in a cache of the freeing thread, where they would hold on to the reading thread's heap; large ones go back
//! at once. See `debug_info`.
//!
//! Path: *read path*.

use std::ops::Range;

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Inlined functions first, innermost first; names as the compiler mangled them. Empty without debug
    /// information.
    pub(super) functions: Vec<FoundFunction<'a>>,
    /// The symbol-table entry that contains the address: mangled name and first address.
    pub(super) symbol: Option<(&'a str, u64)>,
    /// True if only time was lacking to find out more.
    pub(super) is_provisional: bool,
}

/// One function, as debug information tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundFunction<'a> {
    /// The linkage name, or the bare one if debug information has only that, or empty.
    pub(super) name: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
}

/// Larger than what glibc's caches take.
const LARGE_BYTES: usize = 4096;

/// What is known of each of some addresses.
pub(super) struct FoundNames {
    text: String,
    functions: Vec<Function>,
    addresses: Vec<Address>,
}

struct Function {
    name: Range<usize>,
    file: Range<usize>,
    line: u32,
}

struct Address {
    symbol: Option<(Range<usize>, u64)>,
    /// Where its functions end in `functions`.
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

    /// Adds a function to the address that [`next_address`](Self::next_address) will add.
    pub(super) fn push_function(&mut self, name: &str, file: &str, line: u32) {
        let function = Function { name: self.push_text(name), file: self.push_text(file), line };
        self.functions.push(function);
    }

    /// Adds an address with the functions pushed since the last one.
    pub(super) fn next_address(&mut self, symbol: Option<(&str, u64)>) {
        let symbol = symbol.map(|(name, start)| (self.push_text(name), start));
        self.addresses.push(Address { symbol, end: self.functions.len() });
    }

    fn push_text(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// What is known of each address, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = Found<'_>> {
        let text = |range: &Range<usize>| &self.text[range.clone()];
        let function = move |function: &Function| FoundFunction {
            name: text(&function.name),
            file: text(&function.file),
            line: function.line,
        };
        let mut start = 0;
        self.addresses.iter().map(move |address| Found {
            functions: self.functions[std::mem::replace(&mut start, address.end)..address.end]
                .iter()
                .map(function)
                .collect(),
            symbol: address.symbol.as_ref().map(|(name, start)| (text(name), *start)),
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
        names.push_function("f", "a.rs", 1);
        names.push_function("g", "", 0);
        names.next_address(Some(("g", 16)));
        let functions = vec![
            FoundFunction { name: "f", file: "a.rs", line: 1 },
            FoundFunction { name: "g", file: "", line: 0 },
        ];
        let expected =
            [Found::default(), Found { functions, symbol: Some(("g", 16)), is_provisional: false }];
        assert!(names.iter().eq(expected));
    }
}

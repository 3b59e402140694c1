//! This reads a mangled name from left to right: numbers, identifiers, and references to earlier parts.
//!
//! `v0` calls this.
//!
//! Path: *read path*.

/// Types may be nested so deep and no deeper, since each level takes a piece of the stack.
const MAX_DEPTH: u32 = 400;

/// Reads a mangled name, and writes what it says.
pub(super) struct Reader<'a> {
    pub(super) symbol: &'a [u8],
    pub(super) at: usize,
    depth: u32,
    /// True if the function is one of several that were compiled from generic code.
    pub(super) is_generic: bool,
    /// True while nothing is written, and references to earlier parts are not followed.
    pub(super) is_silent: bool,
    pub(super) text: String,
    /// False if arguments were left out because the text had become too long.
    pub(super) is_whole: bool,
}

/// Where the parts of an identifier begin and end in the symbol.
pub(super) struct Identifier {
    /// Where it begins, with its length.
    whole: usize,
    name: usize,
    end: usize,
    is_punycode: bool,
}

impl Identifier {
    pub(super) fn is_empty(&self) -> bool {
        self.name == self.end
    }
}

impl<'a> Reader<'a> {
    /// Begins to read `symbol`, which is the name without the prefix.
    pub(super) fn new(symbol: &'a [u8]) -> Self {
        let text = String::new();
        Reader { symbol, at: 0, depth: 0, is_generic: false, is_silent: false, text, is_whole: true }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.symbol.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    pub(super) fn write(&mut self, text: &str) {
        if !self.is_silent {
            self.text.push_str(text);
        }
    }

    /// Reads a level deeper, if there may be one.
    pub(super) fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads without writing anything.
    pub(super) fn silently(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let was_silent = std::mem::replace(&mut self.is_silent, true);
        let result = read(self);
        self.is_silent = was_silent;
        result
    }

    /// Reads a number in base 62 that ends with `_`.
    pub(super) fn base_62(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        if self.eat(b'_') {
            return Some(0);
        }
        loop {
            let digit = match self.next()? {
                b'_' => return value.checked_add(1),
                byte @ b'0'..=b'9' => byte - b'0',
                byte @ b'a'..=b'z' => byte - b'a' + 10,
                byte @ b'A'..=b'Z' => byte - b'A' + 36,
                _ => return None,
            };
            value = value.checked_mul(62)?.checked_add(digit.into())?;
        }
    }

    /// Reads which of several things of one name it is.
    pub(super) fn disambiguator(&mut self) -> Option<u64> {
        if self.eat(b's') { self.base_62()?.checked_add(1) } else { Some(0) }
    }

    /// Reads a reference, which stands behind a `B`, by reading the earlier part that it refers to.
    pub(super) fn reference(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let reference = self.at - 1;
        let target = usize::try_from(self.base_62()?).ok().filter(|&target| target < reference)?;
        if self.is_silent {
            return Some(());
        }
        let end = std::mem::replace(&mut self.at, target);
        self.nested(read)?;
        self.at = end;
        Some(())
    }

    /// Finds where the type or path at `at` is spelled out.
    pub(super) fn resolved(&mut self, at: usize) -> Option<usize> {
        let back = std::mem::replace(&mut self.at, at);
        let mut target = at;
        while self.eat(b'B') {
            let earlier = usize::try_from(self.base_62()?).ok().filter(|&earlier| earlier < target)?;
            (target, self.at) = (earlier, earlier);
        }
        self.at = back;
        Some(target)
    }

    /// Reads an identifier as it was written, with its digits of length.
    pub(super) fn identifier(&mut self) -> Option<Identifier> {
        let start = self.at;
        let is_punycode = self.eat(b'u');
        let digits = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            if self.symbol[digits] == b'0' {
                break;
            }
        }
        let length: usize = std::str::from_utf8(&self.symbol[digits..self.at]).ok()?.parse().ok()?;
        self.eat(b'_');
        let name = self.at;
        self.at = name.checked_add(length).filter(|&end| end <= self.symbol.len())?;
        Some(Identifier { whole: start, name, end: self.at, is_punycode })
    }

    pub(super) fn write_identifier(&mut self, identifier: &Identifier) -> Option<()> {
        if self.is_silent {
            return Some(());
        }
        let spelled = if identifier.is_punycode { identifier.whole } else { identifier.name };
        let spelled = std::str::from_utf8(&self.symbol[spelled..identifier.end]).ok()?;
        if identifier.is_punycode {
            // It is read as the name of a crate, whose demangled form is the identifier's own.
            let text = format!("{:#}", rustc_demangle::try_demangle(&format!("_RC{spelled}")).ok()?);
            self.text.push_str(&text);
        } else {
            self.text.push_str(spelled);
        }
        Some(())
    }
}

//! This reads types, and what stands between the angle brackets of a path.
//!
//! `v0` calls this.
//!
//! Path: *read path*.

use super::Arguments;
use super::reader::Reader;

/// Where text has become longer than this, types that follow are `…`.
const MAX_BYTES_BEFORE_TYPES: usize = 400;

impl Reader<'_> {
    /// Reads the arguments behind a path, up to their end.
    pub(super) fn arguments(&mut self, shown: Arguments) -> Option<()> {
        if shown == Arguments::None {
            return self.silently(|reader| reader.list(Self::argument).map(drop));
        }
        let start = self.text.len();
        self.write("<");
        if self.list(Self::argument)? == 0 {
            // The arguments are lifetimes alone.
            self.text.truncate(start);
        } else {
            self.write(">");
        }
        Some(())
    }

    /// Reads a list by `read` up to an `E`, and writes it with commas between. Returns how many items were written.
    pub(super) fn list(&mut self, read: impl Fn(&mut Self) -> Option<()>) -> Option<usize> {
        let mut written = 0;
        while !self.eat(b'E') {
            let before = self.text.len();
            if written > 0 {
                self.write(", ");
            }
            let start = self.text.len();
            read(self)?;
            if self.text.len() == start {
                self.text.truncate(before);
            } else {
                written += 1;
            }
        }
        Some(written)
    }

    /// Reads such a list, and writes it in brackets.
    fn bracketed(&mut self, open: &str, close: &str, read: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        self.write(open);
        self.list(read)?;
        self.write(close);
        Some(())
    }

    /// Reads a generic argument. Lifetimes are not shown.
    pub(super) fn argument(&mut self) -> Option<()> {
        if self.eat(b'L') {
            return self.base_62().map(drop);
        }
        if self.eat(b'K') { self.constant() } else { self.whole_type() }
    }

    pub(super) fn lifetime(&mut self) -> Option<()> {
        if self.eat(b'L') { self.base_62().map(drop) } else { Some(()) }
    }

    /// Reads the type of an implementation. It is shown with all arguments, or in generic code without any.
    pub(super) fn shown_type(&mut self) -> Option<()> {
        self.type_with(if self.is_generic { Arguments::None } else { Arguments::All })
    }

    pub(super) fn whole_type(&mut self) -> Option<()> {
        self.type_with(Arguments::All)
    }

    fn type_with(&mut self, arguments: Arguments) -> Option<()> {
        if !self.is_silent && self.text.len() > MAX_BYTES_BEFORE_TYPES {
            self.is_whole = false;
            self.write("…");
            return self.silently(|reader| reader.type_with(arguments));
        }
        self.nested(|reader| reader.type_within_depth(arguments))
    }

    fn type_within_depth(&mut self, arguments: Arguments) -> Option<()> {
        // Writes the type that is within this one, or an underscore in its place.
        let inner = |reader: &mut Self| match arguments {
            Arguments::All => reader.whole_type(),
            Arguments::None => {
                reader.write("_");
                reader.silently(Self::whole_type)
            }
        };
        let first = self.next()?;
        if let Some(name) = basic_type(first) {
            self.write(name);
            return Some(());
        }
        match first {
            b'R' | b'Q' => {
                self.lifetime()?;
                self.write(if first == b'Q' { "&mut " } else { "&" });
                self.type_with(arguments)
            }
            b'P' | b'O' => {
                self.write(if first == b'O' { "*mut " } else { "*const " });
                self.type_with(arguments)
            }
            b'S' => {
                self.write("[");
                inner(self)?;
                self.write("]");
                Some(())
            }
            b'A' => {
                self.write("[");
                inner(self)?;
                self.write("; ");
                if arguments == Arguments::None {
                    self.write("_");
                    self.silently(Self::constant)?;
                } else {
                    self.constant()?;
                }
                self.write("]");
                Some(())
            }
            b'T' => {
                self.write("(");
                // `(A,)` is a tuple, `(A)` is `A`.
                let one = self.list(inner)? == 1;
                self.write(if one { ",)" } else { ")" });
                Some(())
            }
            b'F' => self.function_type(arguments),
            b'D' => self.trait_object(arguments),
            b'B' => self.reference(|reader| reader.type_with(arguments)),
            _ => {
                self.at -= 1;
                self.path(arguments)
            }
        }
    }

    /// Writes `fn(A) -> B`, or `fn` alone.
    fn function_type(&mut self, arguments: Arguments) -> Option<()> {
        if self.eat(b'G') {
            self.base_62()?;
        }
        self.eat(b'U');
        if self.eat(b'K') && !self.eat(b'C') {
            self.identifier()?;
        }
        self.write("fn");
        let is_silent = self.is_silent || arguments == Arguments::None;
        let was_silent = std::mem::replace(&mut self.is_silent, is_silent);
        self.bracketed("(", ")", Self::whole_type)?;
        if self.eat(b'u') {
            self.is_silent = was_silent;
            return Some(());
        }
        self.write(" -> ");
        self.whole_type()?;
        self.is_silent = was_silent;
        Some(())
    }

    /// Writes `dyn Trait + Trait`.
    fn trait_object(&mut self, arguments: Arguments) -> Option<()> {
        if self.eat(b'G') {
            self.base_62()?;
        }
        self.write("dyn ");
        let mut is_first = true;
        while !self.eat(b'E') {
            if !std::mem::take(&mut is_first) {
                self.write(" + ");
            }
            self.path(arguments)?;
            while self.eat(b'p') {
                self.identifier()?;
                self.silently(Self::argument)?;
            }
        }
        self.lifetime()
    }

    /// Reads a constant among the arguments.
    fn constant(&mut self) -> Option<()> {
        self.nested(|reader| match reader.next()? {
            b'p' => {
                reader.write("_");
                Some(())
            }
            b'B' => reader.reference(Self::constant),
            b'R' | b'Q' => reader.constant(),
            b'A' => reader.bracketed("[", "]", Self::constant),
            b'T' => reader.bracketed("(", ")", Self::constant),
            b'V' => {
                reader.path(Arguments::None)?;
                match reader.next()? {
                    b'U' => Some(()),
                    b'T' => reader.bracketed("(", ")", Self::constant),
                    b'S' => reader.bracketed("{", "}", |reader| {
                        reader.disambiguator()?;
                        reader.identifier()?;
                        reader.constant()
                    }),
                    _ => None,
                }
            }
            kind => {
                basic_type(kind)?;
                reader.constant_value(kind)
            }
        })
    }

    /// Reads the digits of a number, a `bool`, a `char` or a string, up to their `_`.
    fn constant_value(&mut self, kind: u8) -> Option<()> {
        if self.eat(b'n') {
            self.write("-");
        }
        let start = self.at;
        while self.next()? != b'_' {}
        let digits = std::str::from_utf8(&self.symbol[start..self.at - 1]).ok()?;
        match (kind, u64::from_str_radix(if digits.is_empty() { "0" } else { digits }, 16)) {
            (b'b', Ok(value)) => self.write(if value == 0 { "false" } else { "true" }),
            (b'e', _) | (_, Err(_)) => {
                // A value that is longer than a number is shown by its digits.
                self.write("0x");
                let shown = digits.get(..64).unwrap_or(digits);
                self.is_whole &= shown.len() == digits.len();
                self.write(shown);
            }
            (_, Ok(value)) => self.write(&value.to_string()),
        }
        Some(())
    }
}

fn basic_type(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'a' => "i8",
        b'b' => "bool",
        b'c' => "char",
        b'd' => "f64",
        b'e' => "str",
        b'f' => "f32",
        b'h' => "u8",
        b'i' => "isize",
        b'j' => "usize",
        b'l' => "i32",
        b'm' => "u32",
        b'n' => "i128",
        b'o' => "u128",
        b'p' => "_",
        b's' => "i16",
        b't' => "u16",
        b'u' => "()",
        b'v' => "...",
        b'x' => "i64",
        b'y' => "u64",
        b'z' => "!",
        _ => return None,
    })
}

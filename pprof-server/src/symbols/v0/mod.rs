//! This turns names in Rust's present mangling, `_RNv…`, into what people write.
//!
//! A mangled name spells a function with the types that it was compiled for. People mean the function: they write
//! `demo::Reader::start` for `<demo::Reader<u8>>::start::<u16>`. So generic arguments are read and not shown. They are
//! also where names repeat themselves by reference to an earlier part. Reading therefore takes time in proportion to
//! the mangled name, whatever its text would be: a type nested sixteen deep has a text of megabytes.
//!
//! The arguments of an implementation are left out of generic code only. Elsewhere they are the source's own, and tell
//! `impl From<io::Error> for E` from `impl From<fmt::Error> for E`. The compiler names the crate that generic code was
//! compiled for at the end, so the mangled name says which of the two it is.
//!
//! The grammar is that of Rust's RFC 2603. `function_name` calls this.
//!
//! Path: *read path*.

mod reader;
mod types;

use reader::Reader;

/// A function's name, and whether it has everything in it that tells the function from others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Demangled {
    pub(super) text: String,
    /// False if arguments were left out because the text had become too long.
    pub(super) is_whole: bool,
}

/// Returns the name of the function that `mangled` stands for, or `None` if it is not of this mangling.
pub(super) fn demangle(mangled: &str) -> Option<Demangled> {
    let symbol = mangled.strip_prefix("_R").or_else(|| mangled.strip_prefix("__R"))?.as_bytes();
    let mut reader = Reader::new(symbol);
    reader.silently(|reader| {
        reader.path(Arguments::None)?;
        // mutant: D1 instances of generic code are functions of their own
        reader.is_generic = reader.peek().is_some_and(|byte| byte.is_ascii_uppercase());
        if reader.is_generic {
            reader.path(Arguments::None)?;
        }
        // What linkers and compilers add to a name begins with one of these characters.
        matches!(reader.peek(), None | Some(b'.' | b'$')).then_some(())
    })?;
    reader.at = 0;
    reader.path(Arguments::None)?;
    Some(Demangled { text: reader.text, is_whole: reader.is_whole })
}

/// What is shown of the generic arguments of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arguments {
    None,
    All,
}

impl Reader<'_> {
    fn path(&mut self, arguments: Arguments) -> Option<()> {
        self.nested(|reader| match reader.next()? {
            b'C' => {
                reader.disambiguator()?;
                let name = reader.identifier()?;
                reader.write_identifier(&name)
            }
            b'M' => {
                reader.silently(Self::implementation)?;
                reader.inherent_type()
            }
            b'X' => {
                reader.silently(Self::implementation)?;
                reader.trait_of_type()
            }
            // The trait itself provides the method: it is one function, whatever the type.
            b'Y' => {
                reader.silently(Self::whole_type)?;
                reader.path(Arguments::None)
            }
            b'N' => reader.item(arguments),
            b'I' => {
                reader.path(arguments)?;
                reader.arguments(arguments)
            }
            b'B' => reader.reference(|reader| reader.path(arguments)),
            _ => None,
        })
    }

    /// Reads which implementation it is, and the module that contains it.
    fn implementation(&mut self) -> Option<()> {
        self.disambiguator()?;
        self.path(Arguments::None)
    }

    /// Writes something that lies within something else, such as `outer::name` or `outer::{closure#0}`.
    fn item(&mut self, arguments: Arguments) -> Option<()> {
        let namespace = self.next().filter(u8::is_ascii_alphabetic)?;
        self.path(arguments)?;
        let number = self.disambiguator()?;
        let name = self.identifier()?;
        if namespace.is_ascii_lowercase() {
            if name.is_empty() {
                return Some(());
            }
            self.write("::");
            self.write_identifier(&name)?;
            // There are several functions of one name, in different blocks of an outer one.
            if number > 0 {
                self.write(&format!("#{number}"));
            }
            return Some(());
        }
        match namespace {
            b'C' => self.write("::{closure"),
            b'S' => self.write("::{shim"),
            other => self.write(&format!("::{{{}", char::from(other))),
        }
        if !name.is_empty() {
            self.write(":");
            self.write_identifier(&name)?;
        }
        self.write(&format!("#{number}}}"));
        Some(())
    }

    /// Writes the type whose method it is: a path as it is, and anything else in brackets.
    fn inherent_type(&mut self) -> Option<()> {
        let at = self.resolved(self.at)?;
        let is_path = self.symbol.get(at).is_some_and(|byte| b"CMXYNI".contains(byte));
        if !is_path {
            self.write("<");
        }
        self.shown_type()?;
        if !is_path {
            self.write(">");
        }
        Some(())
    }

    /// Writes `<Type as Trait>`.
    fn trait_of_type(&mut self) -> Option<()> {
        let own_arguments = if self.is_silent { Vec::new() } else { self.argument_places(self.at)? };
        self.write("<");
        self.shown_type()?;
        self.write(" as ");
        if self.is_generic && !self.is_silent {
            let place = self.resolved(self.at)?;
            let end = {
                self.silently(|reader| reader.path(Arguments::None))?;
                std::mem::replace(&mut self.at, place)
            };
            if self.eat(b'I') {
                self.path(Arguments::None)?;
                self.telling_arguments(&own_arguments)?;
            } else {
                self.path(Arguments::None)?;
            }
            self.at = end;
        } else {
            self.path(Arguments::All)?;
        }
        self.write(">");
        Some(())
    }

    /// Finds where the arguments of the type at `at` are spelled out. The list is empty if it has none.
    fn argument_places(&mut self, at: usize) -> Option<Vec<usize>> {
        let back = self.at;
        self.at = self.resolved(at)?;
        let mut places = Vec::new();
        if self.eat(b'I') {
            self.silently(|reader| reader.path(Arguments::None))?;
            while !self.eat(b'E') {
                places.push(self.resolved(self.at)?);
                self.silently(Self::argument)?;
            }
        }
        self.at = back;
        Some(places)
    }

    /// Writes the arguments of a generic implementation's trait, without arguments of their own. Those that the type
    /// has too are `_`, since the implementation is generic over them.
    fn telling_arguments(&mut self, of_type: &[usize]) -> Option<()> {
        let start = self.text.len();
        self.write("<");
        self.list(|reader| reader.telling_argument(of_type))?;
        self.write(">");
        if self.text[start..].bytes().all(|byte| b"<>, _".contains(&byte)) {
            self.text.truncate(start);
        }
        Some(())
    }

    fn telling_argument(&mut self, of_type: &[usize]) -> Option<()> {
        let place = self.resolved(self.at)?;
        let first = self.symbol.get(place).copied()?;
        let is_same = |&other: &usize| {
            other == place || first.is_ascii_lowercase() && self.symbol.get(other) == Some(&first)
        };
        if first == b'L' {
            return self.argument();
        }
        if of_type.iter().any(is_same) || b"KTu".contains(&first) {
            self.write("_");
            return self.silently(Self::argument);
        }
        if self.peek() == Some(b'R') || self.peek() == Some(b'Q') {
            let is_mutable = self.next() == Some(b'Q');
            self.write(if is_mutable { "&mut " } else { "&" });
            self.lifetime()?;
            return self.nested(|reader| reader.telling_argument(of_type));
        }
        self.shown_type()
    }
}

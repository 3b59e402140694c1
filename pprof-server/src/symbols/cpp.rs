//! Reads C++'s mangling, by the crate `cpp_demangle`.
//!
//! Of a function, the name stays, with the arguments of its templates; parameters and return types go, as `go tool pprof` shows it.
//!
//! Path: *read path*.

use std::fmt;

use cpp_demangle::{DemangleOptions, Symbol};

/// Longer names stay mangled. The templates of real libraries have names of some thousand bytes.
const MAX_MANGLED_BYTES: usize = 8192;
/// A name is cut here. A mangled name refers back to its own parts, so it may spell out to any length.
const MAX_BYTES: usize = 4096;

/// A name as its author would write it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Demangled {
    pub(super) text: String,
    /// Whether nothing was cut.
    pub(super) is_whole: bool,
}

/// Returns the name that `raw` is the mangled form of, if it is one of C++'s.
pub(super) fn demangle(raw: &str) -> Option<Demangled> {
    if !raw.starts_with("_Z") || raw.len() > MAX_MANGLED_BYTES {
        return None;
    }
    let symbol = Symbol::new(raw.as_bytes()).ok()?;
    let options = DemangleOptions::new().no_params().no_return_type().hide_expression_literal_types();
    let mut room = Room { text: String::new(), is_full: false };
    let is_whole = symbol.structured_demangle(&mut room, &options).is_ok();
    // Without room it is a name that was cut. Otherwise the crate could not go on with it.
    (is_whole || room.is_full).then_some(Demangled { text: room.text, is_whole })
}

/// Takes the text of a name up to [`MAX_BYTES`].
struct Room {
    text: String,
    is_full: bool,
}

impl fmt::Write for Room {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // mutant: D1 a name of C++ has any length
        if self.text.len() + part.len() > MAX_BYTES {
            self.is_full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_their_authors_write_them() {
        for (raw, expected) in [
            ("_Znwm", "operator new"),
            ("_ZN7leveldb5Arena8AllocateEm", "leveldb::Arena::Allocate"),
            ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back"),
            ("_Z5applyIiEvT_", "apply<int>"),
            ("_ZN1AC2Ev", "A::A"),
            ("_ZNK1AltERKS_", "A::operator<"),
        ] {
            let text = demangle(raw).map(|demangled| demangled.text);
            assert_eq!(text.as_deref(), Some(expected), "{raw}");
        }
        for raw in ["malloc", "_RNvC1a1f", "_Z", "_ZN", "_ZNSt6vec", "Z1fv", ""] {
            assert_eq!(demangle(raw), None, "{raw}");
        }
    }

    /// A type `P<P<…>, P<…>>`, of which each level repeats the one within by a reference of a few bytes.
    #[test]
    fn a_name_that_doubles_at_every_level_is_cut() {
        const LEVELS: usize = 12;
        // The function and the template at each level are numbered first, then the levels as they end, from within. The number is in
        // base 36, less one.
        let reference = |number: usize| match number - 1 {
            digit @ 0..10 => format!("S{digit}_"),
            letter => format!("S{}_", char::from(b'A' + (letter - 10) as u8)),
        };
        let mut types = "1PIiiE".to_owned();
        for level in 1..LEVELS {
            types = format!("1PI{types}{}E", reference(LEVELS + level));
        }
        let demangled = demangle(&format!("_Z1fI{types}EvT_")).unwrap();
        assert!(!demangled.is_whole && demangled.text.starts_with("f<P<P<"), "{}", demangled.text);
        assert!(demangled.text.len() <= MAX_BYTES);
    }
}

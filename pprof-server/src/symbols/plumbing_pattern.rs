//! The rules of [`role`](super::role) are also one regular expression, for readers of profiles.
//!
//! A profile has only its leaf-side plumbing left out. The page and `go tool pprof -hide=PATTERN` use this expression
//! to leave out the plumbing further out, and the functions in which threads begin. The `history` endpoint has it in its
//! answer. JavaScript and Go read it, so it uses only what both have.
//!
//! Path: *read path*. It is made once, from the lists in `plumbing_names`.

use super::plumbing_names::{
    ALLOCATOR_TRAITS, C_FUNCTIONS, C_PREFIXES, CRATES, ENTRY_FILES, ENTRY_NAMES, MODULES, SOURCES,
};
use once_cell::race::OnceBox;

/// The expression follows brackets nested so deep. A type with more of them is taken for the user's.
const MAX_NESTED_BRACKETS: usize = 3;

/// A regular expression that is found in the name or in the file of a function that is plumbing or an entry.
pub(crate) fn plumbing_pattern() -> &'static str {
    // In a child of `fork`, a blocking `Once` might wait for a thread that is not there.
    static PATTERN: OnceBox<String> = OnceBox::new();
    PATTERN.get_or_init(|| Box::new([of_files(), of_names()].concat().join("|")))
}

/// Matches the source files of the standard library, of this profiler, and of what `SOURCES` lists.
fn of_files() -> Vec<String> {
    let packages = SOURCES.map(|(package, folder)| format!("{package}[0-9][^/]*/src/{folder}"));
    vec![
        "^/rustc/[^/]+/library/".to_owned(),
        "^/usr/src/rustc-[^/]+/library/".to_owned(),
        "^/rust/deps/".to_owned(),
        "/lib/rustlib/src/rust/library/".to_owned(),
        "/alloc-profiler/src/".to_owned(),
        "/pprof-server/src/labels/".to_owned(),
        format!("/registry/src/[^/]+/({})", packages.join("|")),
    ]
}

/// Matches names of functions, as `function_name` spells them.
fn of_names() -> Vec<String> {
    let crates = CRATES.join("|");
    let modules = MODULES.map(|module| module.trim_end_matches("::")).join("|");
    let brackets = (0..MAX_NESTED_BRACKETS)
        .fold("<([^<>]|->)*>".to_owned(), |inner, _| format!("<([^<>]|->|{inner})*>"));
    let path = format!("({crates}|{modules})::");
    // The type is a path of theirs, or belongs to nobody: a slice, a tuple, a primitive or a generic parameter.
    let of_type =
        format!(r"[&*]*((const|mut|dyn) )*({path}[^<> ]*({brackets})?|\[[^\[\]<>]*\]|\([^()<>]*\)|[^:<>]+)");
    vec![
        format!("^{path}"),
        format!("^<{of_type}( as ({crates})::.*)?>::"),
        format!("^<.* as ({})>::", ALLOCATOR_TRAITS.join("|")),
        format!("(^|::)({})[^:/]*$", C_PREFIXES.join("|")),
        format!("^({}|{})$", C_FUNCTIONS.join("|"), ENTRY_NAMES.join("|")),
        format!("^({}).*[+]0x", ENTRY_FILES.map(|file| file.replace('.', "[.]")).join("|")),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::library::library_pattern;
    use super::super::role::tests::{FILES, NAMES};
    use super::super::{legacy::simplified, role::Role};
    use super::plumbing_pattern;
    use regex::Regex;

    /// An expression cannot tell these names; each is taken for the user's.
    const BEYOND: [&str; 4] = [
        "<&demo::Name as core::fmt::Debug>::fmt",
        "<fn(usize) -> demo::T as core::ops::function::FnOnce<(usize,)>>::call_once",
        "<<T as core::convert::Into<U>>::Alias as core::clone::Clone>::clone",
        "<dyn for<'a> core::ops::function::Fn(&'a u8) as core::ops::function::Fn<(&u8,)>>::call",
    ];

    #[test]
    fn it_finds_what_has_the_role() {
        let pattern = Regex::new(plumbing_pattern()).unwrap();
        for &(role, name) in NAMES {
            let is_expected = role != Role::User && !BEYOND.contains(&name);
            assert_eq!(pattern.is_match(&simplified(name)), is_expected, "{name}");
        }
        for &(role, name, file) in FILES {
            assert_eq!(
                pattern.is_match(name) || pattern.is_match(file),
                role != Role::User,
                "{name} in {file}"
            );
        }
    }

    /// The expressions have only what JavaScript and Go have in common.
    #[test]
    fn they_are_read_by_all() {
        for pattern in [plumbing_pattern(), library_pattern()] {
            assert!(!pattern.contains("(?") && !pattern.contains('\n') && pattern.is_ascii(), "{pattern}");
            let escaped: Vec<&str> = pattern.split('\\').skip(1).map(|rest| &rest[..1]).collect();
            assert!(escaped.iter().all(|escaped| "[]()".contains(escaped)), "{escaped:?}");
        }
    }
}

//! This tells which code is the program's own: its crate, as `install!` says it, and whatever is not a library's.
//!
//! A program may have debug information of its dependencies and none of its own crate, which is the one that matters.
//!
//! Path: *read path*.

#[cfg(feature = "http")]
use super::library::library_of;
#[cfg(feature = "http")]
use super::role::{Role, role};
use crate::mappings::Mapping;
use std::sync::OnceLock;

/// The crate that `install!` stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnCrate<'a> {
    pub(super) name: &'a str,
    /// The source file that `install!` stands in, as the compiler calls it.
    pub(super) file: &'a str,
}

static OWN_CRATE: OnceLock<OwnCrate<'static>> = OnceLock::new();

/// Notes that the code at `module_path` (`demo::server`), in the source file `file`, is the program's own. Only the first call
/// counts.
#[cfg(feature = "http")]
pub(crate) fn note_own_crate(module_path: &'static str, file: &'static str) {
    let name = module_path.split("::").next().unwrap_or(module_path);
    let _ = OWN_CRATE.set(OwnCrate { name, file });
}

/// The crate that `install!` stands in, if its code is in `mapping`. Where a plugin calls `install!`, both our code and the
/// plugin's crate are in the plugin's file.
pub(super) fn own_crate_in(mapping: &Mapping) -> Option<OwnCrate<'static>> {
    OWN_CRATE.get().copied().filter(|_| has_our_code(mapping))
}

/// Whether the profiler's own code is in `mapping`.
pub(super) fn has_our_code(mapping: &Mapping) -> bool {
    let our_code = has_our_code as fn(&Mapping) -> bool as usize as u64;
    (mapping.start..mapping.limit).contains(&our_code)
}

/// Whose code a frame is.
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is the program's.
    Own,
    /// It is a runtime's that runs tasks. What called it has only started it.
    Runtime,
    /// It is of a crate that cargo fetched, of the standard library, or of the allocator.
    Library,
}

#[cfg(feature = "http")]
impl Origin {
    /// Finds the origin of `function`, which is defined in `file` (empty if unknown). Without a file, a fetched crate
    /// cannot be told from the program's own.
    pub(crate) fn of(function: &str, file: &str) -> Origin {
        let library = library_of(file);
        let is_runtime_file = library == Some("tokio") && file.contains("/src/runtime/");
        if is_runtime_file || function.trim_start_matches('<').starts_with("tokio::runtime::") {
            Origin::Runtime
        } else if library.is_some() || role(function, file) != Role::User {
            Origin::Library
        } else {
            Origin::Own
        }
    }
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use super::Origin;

    #[test]
    fn libraries_are_not_the_program_s_own() {
        let index = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
        let fetched = "/home/me/.cargo/git/checkouts/hyper-1949cf8c6b5b557f/0a1b2c3/src/lib.rs";
        for (function, file, origin) in [
            ("shop::sessions::Session::new", "src/sessions.rs", Origin::Own),
            ("shop::sessions::Session::new", "", Origin::Own),
            ("hyper::proto::h1::dispatch", &format!("{index}/hyper-1.7.0/src/lib.rs"), Origin::Library),
            ("hyper::proto::h1::dispatch", fetched, Origin::Library),
            ("alloc::vec::Vec<T,A>::push", "", Origin::Library),
            ("main", "", Origin::Library),
            ("tokio::runtime::task::core::Core<T,S>::poll", "", Origin::Runtime),
            ("<tokio::runtime::task::core::Core<T, S>>::poll", "", Origin::Runtime),
            ("poll<T>", &format!("{index}/tokio-1.54.0/src/runtime/task/core.rs"), Origin::Runtime),
            ("tokio::sync::mpsc::chan::channel", "", Origin::Own),
        ] {
            assert_eq!(Origin::of(function, file), origin, "{function} in {file}");
        }
    }
}

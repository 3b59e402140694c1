//! This tells in words why the functions of a file cannot be named in full.
//!
//! Path: *read path*.

use crate::mappings::{Mapping, files};
use std::path::PathBuf;

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// The file is gone, and what is at its path now, if anything, is of another build.
    NoFile { path: String, is_replaced: bool },
    /// The file at its path is the one that was started, but it cannot be used.
    Unusable { path: String },
    /// The file has no debug information, and does not say of any elsewhere.
    NoDebugInformation { names: Names },
    /// Its debug information is said to be in this file, which is not there, or is of another build.
    DebugFile { name: PathBuf, names: Names },
    /// Its debug information is compressed, and too large to be inflated.
    Compressed { bytes: u64, names: Names },
    /// All but the lines of some compilation units is in another file.
    Split { package: PathBuf, missing: usize },
    /// Some functions have no lines, although the file has debug information.
    InParts,
    /// Names lack the path to them, since there is nothing but lines.
    LinesOnly,
    /// What several compilation units share is in this file (made by dwz), which is not read.
    Shared { name: PathBuf, names: Names },
}

/// Which functions have names where debug information is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// No function has one.
    None,
    /// Those that the file exports have one.
    Exported,
    /// All have one.
    All,
}

/// Whose shortfall is told, which decides the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of<'a> {
    /// It is that of the program that the profiler was built into.
    Program,
    /// It is that of another file with this name: a library, or a program that has loaded the profiler.
    File(&'a str),
}

impl Names {
    fn level(self) -> &'static str {
        match self {
            Names::None => "none",
            Names::Exported => "exported functions only",
            Names::All => "functions only",
        }
    }

    /// What follows from it.
    fn so(self) -> &'static str {
        match self {
            Names::None => NAMELESS,
            Names::Exported => {
                "files, lines and inlined functions are missing, and what is not exported stands as file+0xaddress"
            }
            Names::All => WITHOUT,
        }
    }
}

const WITHOUT: &str = "files, lines and inlined functions are missing";
const NAMELESS: &str = "its functions stand as file+0xaddress";
/// What happens to what an inlined function allocates.
const AT_CALLERS: &str = "a row may name the caller of the function that allocates";
/// How the files of others are built so that nothing is missing.
const BUILD: &str = "build it with debug information ([profile.release] debug = \"limited\" in Cargo.toml, -g for C), or \
    install its debug symbols";

impl Shortfall {
    pub(super) fn no_file(mapping: &Mapping) -> Shortfall {
        let path = mapping.path.clone();
        match files::inode(mapping.file()) {
            // mutant: D5 a file that cannot be read is called another
            Some(inode) if inode == mapping.inode => Shortfall::Unusable { path },
            _ => Shortfall::NoFile { path, is_replaced: mapping.file().exists() },
        }
    }

    /// What is missing, in a word: `names`, and with them all else; `lines`, and with them inlined functions; or `paths`,
    /// of the names of inlined functions.
    pub(super) fn lacks(&self) -> &'static str {
        match self {
            Shortfall::NoFile { .. } | Shortfall::Unusable { .. } => "names",
            Shortfall::NoDebugInformation { names }
            | Shortfall::DebugFile { names, .. }
            | Shortfall::Compressed { names, .. }
            | Shortfall::Shared { names, .. } => match names {
                Names::None | Names::Exported => "names",
                Names::All => "lines",
            },
            Shortfall::Split { .. } | Shortfall::InParts => "lines",
            Shortfall::LinesOnly => "paths",
        }
    }

    /// Says what there is, what there is not, and what to do about it, in one line.
    pub(super) fn told(&self, of: Of<'_>) -> String {
        let (whose, why) = match of {
            Of::Program => (String::new(), self.why("the program", "the program's", of)),
            Of::File(name) => (format!("{name}, "), self.why("it", "its", of)),
        };
        format!("{whose}{}: {why}", self.level())
    }

    fn level(&self) -> &'static str {
        match self {
            Shortfall::NoFile { .. } | Shortfall::Unusable { .. } => Names::None.level(),
            Shortfall::NoDebugInformation { names }
            | Shortfall::DebugFile { names, .. }
            | Shortfall::Compressed { names, .. }
            | Shortfall::Shared { names, .. } => names.level(),
            Shortfall::Split { .. } => Names::All.level(),
            Shortfall::InParts => "not everywhere",
            Shortfall::LinesOnly => "lines, but not all names",
        }
    }

    /// Says why it is so and what to do, with words for the file and for what is the file's.
    fn why(&self, it: &str, its: &str, of: Of<'_>) -> String {
        match self {
            Shortfall::NoFile { path, is_replaced: false } => format!(
                "{its} file, {path}, is gone, so {NAMELESS}; put it back, or restart the program from where it is now"
            ),
            Shortfall::NoFile { path, is_replaced: true } => {
                format!("what is at {path} now is not what is running, so {NAMELESS}; restart the program")
            }
            // A network's file system may let it be overwritten in place.
            Shortfall::Unusable { path } => format!(
                "{its} file, {path}, cannot be read, or was overwritten while it runs, so {NAMELESS}; let the program's user \
                 read it, or restart the program"
            ),
            Shortfall::NoDebugInformation { names } => without_debug_information(*names, it, of),
            Shortfall::DebugFile { name, names } => format!(
                "{its} debug information was put into a file of its own, {}, which is not there or belongs to another build, \
                 so {}; put it beside {it}, into .debug there, or below /usr/lib/debug, as .build-id/…",
                name.display(),
                names.so()
            ),
            Shortfall::Compressed { bytes, names } => format!(
                "{its} debug information is compressed and takes {} MiB inflated, more than the 64 MiB that are spent on it, \
                 so {}; run objcopy --decompress-debug-sections on it, or link it without compressing",
                bytes >> 20,
                names.so()
            ),
            Shortfall::Split { package, missing } => format!(
                "of {its} debug information, {missing} units are in files that are not there or belong to another build \
                 (split-debuginfo), so {WITHOUT}; put {} there, or build with split-debuginfo = \"off\"",
                package.display()
            ),
            Shortfall::InParts => {
                let parts = if of == Of::Program { "parts of the program" } else { "parts of it" };
                format!(
                    "{parts} were built without debug information, so their files, lines and inlined functions are missing; \
                     build all of it with debug information ([profile.release] debug = \"limited\" in Cargo.toml, -g for C)"
                )
            }
            Shortfall::LinesOnly => format!(
                "{it} was built with debug = \"line-tables-only\", so inlined functions stand without the path to them; \
                 write debug = \"limited\" in its place"
            ),
            Shortfall::Shared { name, names } => format!(
                "parts of {its} debug information are in a file that it shares with others, {}, which is not read, so {}; \
                 build or install it without dwz",
                name.display(),
                names.so()
            ),
        }
    }
}

/// What is told of a file that has no debug information, which most often is a default release build.
fn without_debug_information(names: Names, it: &str, of: Of<'_>) -> String {
    match (names, of) {
        (Names::All, Of::Program) => format!(
            "{it} was built without debug information, or a tool has taken it out, so {WITHOUT}, and {AT_CALLERS}; add two \
             lines to Cargo.toml: [profile.release] and debug = \"limited\""
        ),
        (Names::All, Of::File(_)) => format!(
            "{it} was built without debug information, or a tool has taken it out, so {WITHOUT}, and {AT_CALLERS}; {BUILD}"
        ),
        (_, Of::Program) => format!(
            "{it} was stripped of its symbols, or its file cannot be read, so {}; add three lines to Cargo.toml: \
             [profile.release] and debug = \"limited\" and strip = \"none\"",
            names.so()
        ),
        (_, Of::File(_)) => {
            format!(
                "{it} was stripped of its symbols, or its file cannot be read, so {}; {BUILD}",
                names.so()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_line_that_is_not_full_and_has_a_remedy() {
        let name = PathBuf::from("app.debug");
        let all = [
            (Shortfall::NoFile { path: "/srv/app".into(), is_replaced: false }, "names"),
            (Shortfall::NoFile { path: "/srv/app".into(), is_replaced: true }, "names"),
            (Shortfall::Unusable { path: "/srv/app".into() }, "names"),
            (Shortfall::NoDebugInformation { names: Names::All }, "lines"),
            (Shortfall::NoDebugInformation { names: Names::Exported }, "names"),
            (Shortfall::NoDebugInformation { names: Names::None }, "names"),
            (Shortfall::DebugFile { name: name.clone(), names: Names::All }, "lines"),
            (Shortfall::Compressed { bytes: 80 << 20, names: Names::None }, "names"),
            (Shortfall::Split { package: name.clone(), missing: 3 }, "lines"),
            (Shortfall::InParts, "lines"),
            (Shortfall::LinesOnly, "paths"),
            (Shortfall::Shared { name, names: Names::All }, "lines"),
        ];
        for (shortfall, lacks) in all {
            let program = shortfall.told(Of::Program);
            let library = shortfall.told(Of::File("libplugin.so"));
            for text in [&program, &library] {
                assert!(!text.starts_with(crate::symbols::FULL) && !text.contains('\n'), "{text}");
                assert!(text.contains(": ") && text.contains("; "), "{text}");
            }
            assert!(
                library.starts_with("libplugin.so, ") && !library.contains("the program was"),
                "{library}"
            );
            assert_eq!(shortfall.lacks(), lacks, "{program}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_still_the_one_that_was_started_is_not_called_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let inode = files::inode(file.path()).unwrap();
        let mut mapping = Mapping { path: path.clone(), inode, ..Mapping::default() };
        assert_eq!(Shortfall::no_file(&mapping), Shortfall::Unusable { path: path.clone() });
        mapping.inode += 1;
        assert_eq!(Shortfall::no_file(&mapping), Shortfall::NoFile { path: path.clone(), is_replaced: true });
        drop(file);
        assert_eq!(Shortfall::no_file(&mapping), Shortfall::NoFile { path, is_replaced: false });
    }
}

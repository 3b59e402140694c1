//! Why the functions of a file cannot be named in full, told in words.
//!
//! Path: *read path*.

use crate::mappings::{Mapping, files};
use std::fmt;
use std::path::PathBuf;

/// Some functions turned out to have no lines, in a program that has debug information.
pub(super) const IN_PARTS: &str = "not everywhere: parts of the program were built without debug information, so their files, \
    lines and inlined functions are missing; build all of it with debug information ([profile.release] debug = \"limited\" in Cargo.toml, -g for C)";

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// The file is gone, and what is at its path now, if anything, is of another build.
    NoFile { path: String, is_replaced: bool },
    /// The file at its path is the one that was started, but it cannot be used.
    Unusable { path: String },
    /// The file has no debug information, and does not say of any elsewhere.
    NoDebugInformation { has_symbols: bool },
    /// Its debug information is said to be in this file, which is not there, or is of another build.
    DebugFile { name: PathBuf, has_symbols: bool },
    /// Its debug information is compressed, and too large to be inflated.
    Compressed { bytes: u64, has_symbols: bool },
    /// All but the lines of some compilation units is in another file.
    Split { package: PathBuf, missing: usize },
    /// The program's own crate has no debug information, and other crates have. [`IN_PARTS`] says so.
    InParts,
    /// Names lack the path to them, since there is nothing but lines.
    LinesOnly,
    /// What several compilation units share is in this file (made by dwz), which is not read.
    Shared { name: PathBuf, has_symbols: bool },
}

impl Shortfall {
    pub(super) fn no_file(mapping: &Mapping) -> Shortfall {
        let path = mapping.path.clone();
        match files::inode(mapping.file()) {
            // mutant: D5 a file that cannot be read is called another
            Some(inode) if inode == mapping.inode => Shortfall::Unusable { path },
            _ => Shortfall::NoFile { path, is_replaced: mapping.file().exists() },
        }
    }
}

/// What a program without debug information is told.
const FUNCTIONS_ONLY: &str = "functions only: the program was built without debug information, or a tool has left \
    it out since (strip, or llvm-bolt without -update-debug-sections), so files, lines and inlined functions are \
    missing, and what an inlined function allocates stands on the row of its caller (axum's Handler::call, say, \
    instead of the handler); add two lines to Cargo.toml: [profile.release] and debug = \"limited\"";
/// What a program without symbols is told.
const STRIPPED: &str = "none: the program was stripped of its symbols, or its file cannot be read, so its \
    functions stand as file+0xaddress; write three lines in Cargo.toml: [profile.release] and debug = \"limited\" and \
    strip = \"none\"";
/// What a program is told whose debug information has lines alone.
const LINES_ONLY: &str = "lines, but not all names: the program was built with debug = \"line-tables-only\", so \
    inlined functions stand without the path to them; write debug = \"limited\" in Cargo.toml";

/// Says what there is, what there is not, and what to do about it, in one line.
impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WITHOUT: &str = "files, lines and inlined functions are missing";
        const NAMELESS: &str = "its functions stand as file+0xaddress";
        let level = |has_symbols: bool| if has_symbols { "functions only" } else { "none" };
        let so = |has_symbols: bool| if has_symbols { WITHOUT } else { NAMELESS };
        match self {
            Shortfall::NoFile { path, is_replaced: false } => write!(
                f,
                "none: the program's file, {path}, is gone, so {NAMELESS}; put it back, or restart the program from where it \
                 is now"
            ),
            Shortfall::NoFile { path, is_replaced: true } => write!(
                f,
                "none: what is at {path} now is not what is running, so {NAMELESS}; restart the program"
            ),
            // A network's file system may let it be overwritten in place.
            Shortfall::Unusable { path } => write!(
                f,
                "none: the program's file, {path}, cannot be read, or was overwritten while it runs, so {NAMELESS}; let the \
                 program's user read it, or restart the program"
            ),
            Shortfall::NoDebugInformation { has_symbols: true } => f.write_str(FUNCTIONS_ONLY),
            Shortfall::NoDebugInformation { has_symbols: false } => f.write_str(STRIPPED),
            Shortfall::DebugFile { name, has_symbols } => write!(
                f,
                "{}: the program's debug information was put into a file of its own, {}, which is not there or belongs to \
                 another build, so {}; put it beside the program, into .debug there, or below /usr/lib/debug, as \
                 .build-id/…",
                level(*has_symbols),
                name.display(),
                so(*has_symbols)
            ),
            Shortfall::Compressed { bytes, has_symbols } => write!(
                f,
                "{}: the program's debug information is compressed and takes {} MiB inflated, more than the 64 MiB that are \
                 spent on it, so {}; run objcopy --decompress-debug-sections on it, or link it without compressing",
                level(*has_symbols),
                bytes >> 20,
                so(*has_symbols)
            ),
            Shortfall::Split { package, missing } => write!(
                f,
                "functions only: of the program's debug information, {missing} units are in files that are not there or belong \
                 to another build (split-debuginfo), so files, lines and inlined functions are missing; put {} there, or \
                 build with split-debuginfo = \"off\"",
                package.display()
            ),
            Shortfall::InParts => f.write_str(IN_PARTS),
            Shortfall::LinesOnly => f.write_str(LINES_ONLY),
            Shortfall::Shared { name, has_symbols } => write!(
                f,
                "{}: parts of the program's debug information are in a file that it shares with others, {}, which is not \
                 read, so {}; build or install it without dwz",
                level(*has_symbols),
                name.display(),
                so(*has_symbols)
            ),
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
            Shortfall::NoFile { path: "/srv/app".into(), is_replaced: false },
            Shortfall::NoFile { path: "/srv/app".into(), is_replaced: true },
            Shortfall::Unusable { path: "/srv/app".into() },
            Shortfall::NoDebugInformation { has_symbols: true },
            Shortfall::NoDebugInformation { has_symbols: false },
            Shortfall::DebugFile { name: name.clone(), has_symbols: true },
            Shortfall::Compressed { bytes: 80 << 20, has_symbols: false },
            Shortfall::Split { package: name.clone(), missing: 3 },
            Shortfall::InParts,
            Shortfall::LinesOnly,
            Shortfall::Shared { name, has_symbols: true },
        ];
        for shortfall in all {
            let text = shortfall.to_string();
            assert!(!text.starts_with(crate::symbols::FULL) && !text.contains('\n'), "{text}");
            assert!(text.contains(": ") && text.contains("; "), "{text}");
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

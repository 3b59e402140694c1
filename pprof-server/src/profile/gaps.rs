//! This tells what names lack: which addresses of a profile have no function, or no line, and in which file they are.
//!
//! `stacks` makes it when names are found, and the notes of a profile tell it to people. Places are those of `stacks`.
//!
//! Path: *read path*.

use crate::kept_files;
use crate::mappings::{Mapping, Mappings};
use crate::symbols::role::Role;
use crate::symbols::{ResolvedAddress, SourceLine, Verdict};
use std::sync::Arc;

/// What is missing at one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Lack {
    /// Nothing is missing that anybody would miss: the function is named with its line, or is an entry or plumbing.
    #[default]
    Nothing,
    /// A function that somebody wrote is named, but neither its file and line nor what was inlined into it.
    Line,
    /// The function has no name.
    Name,
    /// The lines, and perhaps the name, were not looked up for want of time.
    Time,
}

/// The file that an address is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// It is the program's own file.
    Program,
    /// It is one of the system's, see [`Mapping::is_of_system`].
    System,
    /// It is another file.
    Library,
    /// It is a file that the profiler could not tell apart from others.
    UnknownLibrary,
    /// The address is in no file.
    Nowhere,
}

/// What is missing at one address, and in which file the address is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) lack: Lack,
    pub(crate) home: Home,
    /// Holds the index of the file among the profile's mappings.
    pub(crate) mapping: Option<usize>,
}

/// The lowest page is never mapped. What some unwinders end a stack with, such as 0, is no code.
const LOWEST_CODE: u64 = 4096;

/// What is missing at each place.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    by_place: Vec<Gap>,
    /// Holds the files, by index among the mappings.
    files: Vec<File>,
}

/// Describes the file of a mapping.
#[derive(Debug)]
struct File {
    name: String,
    /// What a library lacks as a whole, if addresses are in it.
    verdict: Option<Arc<Verdict>>,
}

impl Gaps {
    /// Examines `addresses`, which are ordered by place, and their names. The first `markers` of them are no code.
    pub(crate) fn of(
        addresses: &[u64],
        markers: usize,
        resolved: &[Arc<ResolvedAddress>],
        mappings: &Mappings,
    ) -> Gaps {
        let list = mappings.as_slice();
        let gap = |(place, (&address, resolved)): (usize, (&u64, &Arc<ResolvedAddress>))| {
            let mapping = mappings.index_of(address);
            let home = mapping.map_or(Home::Nowhere, |index| home(&list[index]));
            let is_code = place >= markers && address >= LOWEST_CODE;
            Gap { lack: if is_code { lack(resolved) } else { Lack::Nothing }, home, mapping }
        };
        let file = |mapping: &Mapping| File { name: mapping.file_name().to_owned(), verdict: None };
        let mut files: Vec<File> = list.iter().map(file).collect();
        for index in mappings.used(addresses) {
            let is_library = home(&list[index]) == Home::Library;
            // In a sandbox no file can be read, which is said for itself.
            if is_library && !kept_files::is_sandboxed() {
                files[index].verdict = Some(Verdict::of(&list[index]));
            }
        }
        Gaps { by_place: addresses.iter().zip(resolved).enumerate().map(gap).collect(), files }
    }

    pub(crate) fn at(&self, place: u32) -> Option<Gap> {
        self.by_place.get(place as usize).copied()
    }

    /// Notes that nothing is missing at a place after all.
    pub(crate) fn clear(&mut self, place: u32) {
        if let Some(gap) = self.by_place.get_mut(place as usize) {
            gap.lack = Lack::Nothing;
        }
    }

    /// Returns the name of the file of a mapping.
    pub(crate) fn file(&self, mapping: usize) -> Option<&str> {
        self.files.get(mapping).map(|file| &*file.name)
    }

    /// Returns what the file of a mapping lacks as a whole, if it is a library that lacks something.
    pub(crate) fn lacking(&self, mapping: usize) -> Option<&Arc<Verdict>> {
        self.files.get(mapping)?.verdict.as_ref().filter(|verdict| verdict.lacks().is_some())
    }

    /// Whether addresses were in any file at all. Without `/proc`, none is.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }
}

/// Tells what the function that was called lacks. The names of those inlined into it come from the same information.
fn lack(resolved: &ResolvedAddress) -> Lack {
    if resolved.is_provisional {
        return Lack::Time;
    }
    let Some(SourceLine { function, .. }) = resolved.lines.last() else { return Lack::Name };
    match (function.file.is_empty(), function.linkage_name.is_empty()) {
        (true, true) => Lack::Name,
        (true, false) if function.role == Role::User => Lack::Line,
        _ => Lack::Nothing,
    }
}

fn home(mapping: &Mapping) -> Home {
    if mapping.is_main {
        Home::Program
    } else if mapping.file_name() == "[unknown library]" {
        Home::UnknownLibrary
    } else if mapping.is_of_system() {
        Home::System
    } else {
        Home::Library
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::{Function, synthetic_line};

    fn line(linkage_name: &str, file: &str, role: Role) -> SourceLine {
        let function =
            Function { name: "f".into(), linkage_name: linkage_name.into(), file: file.into(), role };
        SourceLine { function: Arc::new(function), line: 0 }
    }

    #[test]
    fn what_is_missing_is_told_by_what_is_there() {
        for (lines, expected) in [
            (vec![line("f", "f.rs", Role::User)], Lack::Nothing),
            (vec![line("", "f.rs", Role::User)], Lack::Nothing),
            (vec![line("f", "", Role::User)], Lack::Line),
            (vec![line("main", "", Role::Entry)], Lack::Nothing),
            (vec![line("malloc", "", Role::Plumbing)], Lack::Nothing),
            (vec![synthetic_line("app+0x10", Role::User)], Lack::Name),
            (Vec::new(), Lack::Name),
        ] {
            let resolved = ResolvedAddress { lines: lines.into(), ..ResolvedAddress::default() };
            assert_eq!(lack(&resolved), expected, "{resolved:?}");
        }
        let for_now = ResolvedAddress {
            lines: [line("f", "", Role::User)].into(),
            is_provisional: true,
            ..ResolvedAddress::default()
        };
        assert_eq!(lack(&for_now), Lack::Time);
    }

    #[test]
    fn addresses_are_at_home_in_files() {
        let mapping = |start: u64, path: &str| Mapping {
            start,
            limit: start + 16,
            path: path.into(),
            is_main: start == 0x1000,
            ..Mapping::default()
        };
        let mappings = Mappings::new(vec![
            mapping(0x1000, "/opt/libc.so/app"),
            mapping(0x2000, "/lib/libc.so.6"),
            mapping(0x3000, "[vdso]"),
            mapping(0x4000, "/lib/libplugin.so"),
            mapping(0x5000, "[unknown library]"),
        ]);
        let addresses = [1, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 7];
        let nothing = Arc::new(ResolvedAddress::default());
        let resolved = vec![nothing; addresses.len()];
        let gaps = Gaps::of(&addresses, 1, &resolved, &mappings);
        use Home::{Library, Nowhere, Program, System, UnknownLibrary};
        let homes: Vec<Home> = (1..7).map(|place| gaps.at(place).unwrap().home).collect();
        assert_eq!(homes, [Program, System, System, Library, UnknownLibrary, Nowhere]);
        let library = gaps.at(4).unwrap().mapping.and_then(|mapping| gaps.file(mapping));
        assert_eq!((library, gaps.at(6).unwrap().mapping), (Some("libplugin.so"), None));
        assert_eq!(gaps.at(0).unwrap().lack, Lack::Nothing, "a marker is no address");
        assert_eq!(gaps.at(7).unwrap().lack, Lack::Nothing, "nor is this");
        assert!(gaps.at(8).is_none() && gaps.has_files() && !Gaps::default().has_files());
    }
}

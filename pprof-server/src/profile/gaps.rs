//! This tells what names lack: which addresses of a profile have no function, or no line, and in which file they are.
//!
//! `stacks` makes it when names are found, and the notes of a profile tell it to people. Places are those of `stacks`.
//!
//! Path: *read path*.

use super::marker::Place;
use crate::kept_files;
use crate::mappings::{Mapping, Mappings};
use crate::symbols::role::Role;
use crate::symbols::{ResolvedAddress, SourceLine, Verdict};
use std::ops::BitOr;
use std::sync::Arc;

/// What is missing at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// Nothing is missing that anybody would miss: the function is named with its line, or is an entry or plumbing.
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
enum Home {
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

/// This set holds what the addresses of a stack say of it. Each address has such a set, and that of a stack is their union. So a
/// stack of which nothing is to be told, as nearly all are, costs one look at each of its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs(u8);

impl Signs {
    /// A function that somebody wrote is shown.
    pub(crate) const USER: Signs = Signs(1 << 0);
    /// A function of the program's has no name, or no line.
    pub(crate) const PROGRAM: Signs = Signs(1 << 1);
    /// A function has no name, in a library that has names for others.
    pub(crate) const UNNAMED: Signs = Signs(1 << 2);
    /// A function of the system's has no name. Every thread begins in such a one, so it is missed in the first row only.
    pub(crate) const UNNAMED_OF_SYSTEM: Signs = Signs(1 << 3);
    /// The address is in a library that lacks names or lines as a whole. That is told of the library, and not of each of its
    /// functions.
    pub(crate) const LACKING: Signs = Signs(1 << 4);
    /// The address is in a library that could not be told apart.
    pub(crate) const UNKNOWN_LIBRARY: Signs = Signs(1 << 5);
    /// The address is in no file.
    pub(crate) const NOWHERE: Signs = Signs(1 << 6);
    /// There was no time to look the address up.
    pub(crate) const OUT_OF_TIME: Signs = Signs(1 << 7);

    fn of(lack: Lack, home: Home) -> Signs {
        match (lack, home) {
            (Lack::Nothing, _) => Signs::default(),
            (Lack::Time, _) => Signs::OUT_OF_TIME,
            (_, Home::Program) => Signs::PROGRAM,
            (_, Home::UnknownLibrary) => Signs::UNKNOWN_LIBRARY,
            (_, Home::Nowhere) => Signs::NOWHERE,
            // mutant: D6 names that are missing are not told
            (Lack::Name, Home::Library) => Signs::UNNAMED,
            (Lack::Name, Home::System) => Signs::UNNAMED_OF_SYSTEM,
            // The lines of libraries are told of the library, and nobody misses those of the system's files.
            (Lack::Line, Home::Library | Home::System) => Signs::default(),
        }
    }

    /// Whether both sets have a sign in common.
    pub(crate) fn has(self, other: Signs) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Signs {
    type Output = Signs;
    fn bitor(self, other: Signs) -> Signs {
        Signs(self.0 | other.0)
    }
}

/// The lowest page is never mapped. What some unwinders end a stack with, such as 0, is no code.
const LOWEST_CODE: u64 = 4096;

/// What is missing at each place.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// Holds the signs of each place.
    signs: Vec<Signs>,
    /// Tells the index of the mapping that each place is in.
    mappings: Vec<Option<usize>>,
    /// Holds the files, by index among the mappings.
    files: Vec<File>,
}

/// Describes the file of a mapping.
#[derive(Debug)]
struct File {
    name: String,
    home: Home,
    /// The verdict of a library that addresses are in, if the library lacks something as a whole.
    lacking: Option<Arc<Verdict>>,
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
        let file = |mapping: &Mapping| File {
            name: mapping.file_name().to_owned(),
            home: home(mapping),
            lacking: None,
        };
        let mut files: Vec<File> = list.iter().map(file).collect();
        for index in mappings.used(addresses) {
            // In a sandbox no file can be read, which is said for itself.
            if files[index].home == Home::Library && !kept_files::is_sandboxed() {
                files[index].lacking =
                    Some(Verdict::of(&list[index])).filter(|verdict| verdict.lacks().is_some());
            }
        }
        let places = addresses.iter().zip(resolved).enumerate().map(|(place, (&address, resolved))| {
            let mapping = mappings.index_of(address);
            let is_code = place >= markers && address >= LOWEST_CODE;
            (signs(resolved, is_code, mapping.map(|index| &files[index])), mapping)
        });
        let (signs, mappings) = places.unzip();
        Gaps { signs, mappings, files }
    }

    /// Returns the signs of a place.
    pub(crate) fn signs(&self, place: Place) -> Signs {
        self.signs.get(place as usize).copied().unwrap_or_default()
    }

    /// Returns the index of the mapping that a place is in.
    pub(crate) fn mapping(&self, place: Place) -> Option<usize> {
        *self.mappings.get(place as usize)?
    }

    /// Notes that nothing is missing at a place after all, unless its library lacks something as a whole.
    pub(crate) fn clear(&mut self, place: Place) {
        if let Some(signs) = self.signs.get_mut(place as usize) {
            signs.0 &= Signs::USER.0 | Signs::LACKING.0;
        }
    }

    /// Returns the name of the file of a mapping.
    pub(crate) fn file(&self, mapping: usize) -> Option<&str> {
        self.files.get(mapping).map(|file| &*file.name)
    }

    /// Returns the verdict of the library that a place is in, if the library lacks something as a whole.
    pub(crate) fn lacking(&self, place: Place) -> Option<&Arc<Verdict>> {
        self.files.get(self.mapping(place)?)?.lacking.as_ref()
    }

    /// Whether addresses were in any file at all. Without `/proc`, none is.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }
}

/// Returns the signs of an address in `file`.
fn signs(resolved: &ResolvedAddress, is_code: bool, file: Option<&File>) -> Signs {
    let is_user = resolved.lines.iter().any(|line| line.function.role == Role::User);
    let user = if is_user { Signs::USER } else { Signs::default() };
    let of_gap = match file {
        Some(File { lacking: Some(_), .. }) => Signs::LACKING,
        _ if is_code => Signs::of(lack(resolved), file.map_or(Home::Nowhere, |file| file.home)),
        _ => Signs::default(),
    };
    user | of_gap
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
        let mut gaps = Gaps::of(&addresses, 1, &resolved, &mappings);
        use Home::{Library, Nowhere, Program, System, UnknownLibrary};
        let homes: Vec<Home> =
            (1..7).map(|place| gaps.mapping(place).map_or(Nowhere, |index| gaps.files[index].home)).collect();
        assert_eq!(homes, [Program, System, System, Library, UnknownLibrary, Nowhere]);
        let signs: Vec<Signs> = (1..7).map(|place| gaps.signs(place)).collect();
        let of_system = Signs::UNNAMED_OF_SYSTEM;
        // The library is not there, so it lacks names as a whole.
        let expected =
            [Signs::PROGRAM, of_system, of_system, Signs::LACKING, Signs::UNKNOWN_LIBRARY, Signs::NOWHERE];
        assert_eq!(signs, expected);
        let library = gaps.mapping(4).and_then(|mapping| gaps.file(mapping));
        assert_eq!((library, gaps.mapping(6)), (Some("libplugin.so"), None));
        assert_eq!(gaps.lacking(4).map(|verdict| &*verdict.file), Some("libplugin.so"));
        assert!(gaps.lacking(1).is_none());
        assert_eq!(gaps.signs(0), Signs::default(), "a marker is no address");
        assert_eq!(gaps.signs(7), Signs::default(), "nor is this");
        assert!(gaps.mapping(8).is_none() && gaps.has_files() && !Gaps::default().has_files());
        assert_eq!(gaps.signs(8), Signs::default());
        (0..8).for_each(|place| gaps.clear(place));
        let left: Vec<Signs> = (1..7).map(|place| gaps.signs(place)).collect();
        let nothing = Signs::default();
        assert_eq!(left, [nothing, nothing, nothing, Signs::LACKING, nothing, nothing]);
    }

    #[test]
    fn what_an_address_says_follows_from_what_it_lacks_and_where_it_is() {
        use Home::{Library, Nowhere, Program, System, UnknownLibrary};
        let homes = [Program, System, Library, UnknownLibrary, Nowhere];
        let nothing = Signs::default();
        for (lack, expected) in [
            (Lack::Nothing, [nothing; 5]),
            (Lack::Time, [Signs::OUT_OF_TIME; 5]),
            (Lack::Line, [Signs::PROGRAM, nothing, nothing, Signs::UNKNOWN_LIBRARY, Signs::NOWHERE]),
            (
                Lack::Name,
                [
                    Signs::PROGRAM,
                    Signs::UNNAMED_OF_SYSTEM,
                    Signs::UNNAMED,
                    Signs::UNKNOWN_LIBRARY,
                    Signs::NOWHERE,
                ],
            ),
        ] {
            assert_eq!(homes.map(|home| Signs::of(lack, home)), expected, "{lack:?}");
        }
    }

    #[test]
    fn a_function_that_somebody_wrote_is_a_sign() {
        let of = |role| {
            Arc::new(ResolvedAddress {
                lines: [line("f", "f.rs", Role::Plumbing), line("g", "f.rs", role)].into(),
                ..ResolvedAddress::default()
            })
        };
        let resolved = [Role::User, Role::Entry, Role::Plumbing].map(of);
        let gaps = Gaps::of(&[0x1000, 0x2000, 0x3000], 0, &resolved, &Mappings::default());
        let signs = [0, 1, 2].map(|place| gaps.signs(place));
        assert_eq!(signs, [Signs::USER, Signs::default(), Signs::default()]);
    }
}

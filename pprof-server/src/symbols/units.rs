//! This tells what kind of debug information a file has: which crates it is of, whether parts of it are in other files
//! and whether those are there, and whether its names are whole.
//!
//! With `split-debuginfo` a program's file has only skeletons of its units, with lines and without functions. The rest
//! is in a package beside it (`.dwp`) or in files that the compiler left behind (`.dwo`). With `debug =
//! "line-tables-only"` names lack the path to them. Each package of a program may be built with debug information or
//! without it. The names of sections tell nothing of this.
//!
//! Path: *read path*. Cost: 256 bytes of each unit are read, usually of 256 units, and of 65 536 at most; and tables of
//! up to 16 MiB.

use super::own_crate::OwnCrate;
use super::role::is_standard_file;
use super::unit_heads::unit_heads;
use crate::mappings::files;
use addr2line::gimli::{
    self, Abbreviations, AttributeValue, DebugAbbrev, DebugCuIndex, DebugInfo, DebugLineStr, DebugStr,
    DebugStrOffsets, DwarfFileType, Encoding, EndianSlice, RunTimeEndian, UnitHeader, UnitType, constants::*,
};
use object::read::{Object, ObjectSection, ReadCache};
use object::{CompressionFormat, File};
use std::path::{Path, PathBuf};

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Entry<'a> = gimli::DebuggingInformationEntry<Slice<'a>>;

/// At most so many bytes of a section are read.
const MOST_BYTES: u64 = 16 << 20;
/// At most so many units are asked.
const MOST_UNITS: usize = 64 << 10;
/// So many units are asked first. That is usually enough, since the program's own come first.
const FEW_UNITS: usize = 256;
/// No name of a file is longer, in bytes.
const MOST_STRING_BYTES: usize = 4096;

/// What was found out about the units of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Units {
    /// The number of skeletons whose other part is not there.
    pub(super) missing: usize,
    /// Whether names are whole, with the path to them.
    pub(super) have_paths: bool,
    /// Whether there are units beside those of the standard library, which every program has.
    pub(super) have_own: bool,
    /// Whether the program's own crate has a unit, or may have one.
    pub(super) have_own_crate: bool,
}

impl Units {
    const WHOLE: Units = Units { missing: 0, have_paths: true, have_own: true, have_own_crate: true };

    /// Examines the file at `path`. What cannot be read is not said to be missing. `own_crate` is the
    /// program's own, if that is known.
    pub(super) fn of(path: &Path, own_crate: Option<OwnCrate<'_>>) -> Units {
        let mut found = Units::WHOLE;
        for most in [FEW_UNITS, MOST_UNITS] {
            let Some(sections) = Sections::of(path, most) else { return Units::WHOLE };
            found = sections.units(path, own_crate);
            if found.have_own && found.have_own_crate || sections.is_whole {
                return found;
            }
        }
        // Other units follow, of which nothing is known.
        Units { have_own: true, have_own_crate: true, ..found }
    }

    /// Returns the path at which the package of a file is looked for.
    pub(super) fn package(path: &Path) -> PathBuf {
        // `addr2line` makes the path in the same way.
        let extension = path.extension().map_or_else(
            || "dwp".into(),
            |extension| {
                let mut extension = extension.to_os_string();
                extension.push(".dwp");
                extension
            },
        );
        path.with_extension(extension)
    }
}

/// Holds the beginnings of some sections of a file.
struct Sections {
    endian: RunTimeEndian,
    has_addresses: bool,
    /// Whether `heads` is of all units.
    is_whole: bool,
    /// The beginning of each unit, see [`unit_heads`].
    heads: Vec<u8>,
    abbreviations: Vec<u8>,
    /// The file that has the strings, and their offset in it.
    strings: Option<(PathBuf, u64)>,
    /// The strings, where they were compressed in the file.
    inflated_strings: Vec<u8>,
    line_strings: Vec<u8>,
    string_offsets: Vec<u8>,
}

impl Sections {
    /// Reads the beginnings of up to `few` units, or of more if they may be skeletons.
    fn of(path: &Path, few: usize) -> Option<Sections> {
        let cache = ReadCache::new(files::open(path).ok()?);
        let object = File::parse(&cache).ok()?;
        let read = |name: &str, most: u64| {
            let section = object.section_by_name(name)?;
            let range = section.compressed_file_range().ok()?;
            if range.format != CompressionFormat::None {
                // A section that is too large was refused before.
                return Some(section.uncompressed_data().ok()?.into_owned());
            }
            let length = usize::try_from(range.uncompressed_size.min(most)).ok()?;
            // This may take megabytes, and may happen at the start of a program. Where there is no memory for them,
            // units are not looked at.
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(length).ok()?;
            bytes.resize(length, 0);
            let read = files::open(path).ok()?.read_at(&mut bytes, range.offset).ok()?;
            bytes.truncate(read);
            Some(bytes)
        };
        // Skeletons have their addresses in a section of its own. If a program has only skeletons, the units are small.
        let has_addresses = object.section_by_name(".debug_addr").is_some();
        let most = if has_addresses { MOST_UNITS } else { few };
        let strings = |name: &str| read(name, MOST_BYTES).unwrap_or_default();
        let range =
            object.section_by_name(".debug_str").and_then(|section| section.compressed_file_range().ok());
        let plain = range.filter(|range| range.format == CompressionFormat::None);
        let is_inflated = range.is_some() && plain.is_none();
        let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let (heads, is_whole) = unit_heads(path, &object.section_by_name(".debug_info")?, endian, most)?;
        let plain_strings = plain.map(|range| (path.to_owned(), range.offset));
        Some(Sections {
            endian,
            has_addresses,
            is_whole,
            heads,
            abbreviations: read(".debug_abbrev", MOST_BYTES)?,
            strings: plain_strings,
            inflated_strings: if is_inflated {
                read(".debug_str", 0).unwrap_or_default()
            } else {
                Vec::new()
            },
            line_strings: strings(".debug_line_str"),
            string_offsets: strings(".debug_str_offsets"),
        })
    }

    fn units(&self, path: &Path, own_crate: Option<OwnCrate<'_>>) -> Units {
        let abbreviations = DebugAbbrev::new(&self.abbreviations, self.endian);
        let package = if self.has_addresses { Package::of(&Units::package(path)) } else { None };
        let mut missing = 0;
        // The first unit that has functions tells: units of the program come before those of libraries.
        let mut have_paths = None;
        let (mut have_own, mut have_own_crate) = (false, own_crate.is_none());
        let mut headers = DebugInfo::new(&self.heads, self.endian).units();
        while let Ok(Some(header)) = headers.next() {
            if !self.has_addresses && have_paths.is_some() && have_own && have_own_crate {
                break;
            }
            let Ok(table) = header.abbreviations(&abbreviations) else { continue };
            if !(have_own && have_own_crate) {
                let name = self.name(&header, &table);
                have_own = have_own || !self.is_standard(&header, &table, name.as_deref());
                have_own_crate = have_own_crate || may_be_of(name.as_deref(), own_crate);
            }
            if let Some(skeleton) = self.skeleton(&header, &table) {
                let is_there = package.as_ref().is_some_and(|package| package.has(skeleton.id))
                    || skeleton.file.is_some_and(|file| files::open(&file).is_ok());
                missing += usize::from(!is_there);
            } else if have_paths.is_none() && self.is_rust(&header, &table) {
                have_paths = has_paths(&table);
            }
        }
        Units { missing, have_paths: have_paths.unwrap_or(true), have_own, have_own_crate }
    }

    /// Returns what a unit calls itself: the path of its source, and for Rust also the name of its crate. A skeleton
    /// may have none.
    fn name(&self, header: &UnitHeader<Slice<'_>>, table: &Abbreviations) -> Option<String> {
        let mut entries = header.entries(table);
        let root = entries.next_dfs().ok().flatten()?;
        let name = self.string(header.encoding(), root, root.attr_value(DW_AT_name)?)?;
        Some(String::from_utf8_lossy(&name).into_owned())
    }

    /// Whether the unit that calls itself `name` is of the standard library. Debian's is built where its sources are, so its
    /// names are relative to that folder.
    fn is_standard(&self, header: &UnitHeader<Slice<'_>>, table: &Abbreviations, name: Option<&str>) -> bool {
        let Some(name) = name else { return false };
        if Path::new(name).is_absolute() {
            return is_standard_file(name);
        }
        let mut entries = header.entries(table);
        let folder = entries
            .next_dfs()
            .ok()
            .flatten()
            .and_then(|root| self.string(header.encoding(), root, root.attr_value(DW_AT_comp_dir)?));
        folder.is_some_and(|folder| is_standard_file(&format!("{}/{name}", String::from_utf8_lossy(&folder))))
    }

    /// Whether a unit is of Rust, where every name should have a path.
    fn is_rust(&self, header: &UnitHeader<Slice<'_>>, table: &Abbreviations) -> bool {
        let mut entries = header.entries(table);
        let language = entries.next_dfs().ok().flatten().and_then(|root| root.attr_value(DW_AT_language));
        // mutant: D6 names of C are taken for incomplete
        language == Some(AttributeValue::Language(DW_LANG_Rust))
    }

    /// Returns the unit as a skeleton, if it is one.
    fn skeleton(&self, header: &UnitHeader<Slice<'_>>, table: &Abbreviations) -> Option<Skeleton> {
        let mut entries = header.entries(table);
        let root = entries.next_dfs().ok().flatten()?;
        let attribute = |names: [gimli::DwAt; 2]| names.iter().find_map(|name| root.attr_value(*name));
        let name = attribute([DW_AT_dwo_name, DW_AT_GNU_dwo_name])?;
        let id = match (header.type_(), root.attr_value(DW_AT_GNU_dwo_id)) {
            (UnitType::Skeleton(id), _) => id.0,
            (_, Some(AttributeValue::DwoId(id))) => id.0,
            (_, Some(AttributeValue::Udata(id) | AttributeValue::Data8(id))) => id,
            _ => 0,
        };
        let path = |value| Some(crate::mappings::to_path(&self.string(header.encoding(), root, value)?));
        let folder = root.attr_value(DW_AT_comp_dir).and_then(path);
        let file = path(name).map(|name| folder.unwrap_or_default().join(name));
        Some(Skeleton { id, file })
    }

    fn string(
        &self,
        encoding: Encoding,
        root: &Entry<'_>,
        value: AttributeValue<Slice<'_>>,
    ) -> Option<Vec<u8>> {
        let string_at = |offset: gimli::DebugStrOffset| {
            if let Some((file, start)) = &self.strings {
                let mut bytes = vec![0; MOST_STRING_BYTES];
                let read = files::open(file).ok()?.read_at(&mut bytes, start + offset.0 as u64).ok()?;
                return bytes[..read].split(|&byte| byte == 0).next().map(<[u8]>::to_vec);
            }
            let strings = DebugStr::new(&self.inflated_strings, self.endian);
            Some(strings.get_str(offset).ok()?.slice().to_vec())
        };
        let string = match value {
            AttributeValue::String(string) => string,
            AttributeValue::DebugStrRef(offset) => return string_at(offset),
            AttributeValue::DebugLineStrRef(offset) => {
                DebugLineStr::new(&self.line_strings, self.endian).get_str(offset).ok()?
            }
            AttributeValue::DebugStrOffsetsIndex(index) => {
                let base = match root.attr_value(DW_AT_str_offsets_base) {
                    Some(AttributeValue::DebugStrOffsetsBase(base)) => base,
                    _ => gimli::DebugStrOffsetsBase::default_for_encoding_and_file(
                        encoding,
                        DwarfFileType::Main,
                    ),
                };
                let offsets = DebugStrOffsets::from(EndianSlice::new(&self.string_offsets, self.endian));
                return string_at(offsets.get_str_offset(encoding.format, base, index).ok()?);
            }
            _ => return None,
        };
        Some(string.slice().to_vec())
    }
}

/// Whether the unit that calls itself `name` may be one of `own_crate`.
///
/// rustc calls units `src/main.rs/@/demo.68913b8193a21c8f-cgu.0`: the crate's root file, its name, a hash and a number. A
/// unit of an incremental build has only a hash in the place of the last three. There, the root file must do.
fn may_be_of(name: Option<&str>, own_crate: Option<OwnCrate<'_>>) -> bool {
    let (Some(name), Some(own_crate)) = (name, own_crate) else { return true };
    // The unit is of another language.
    let Some((root, unit)) = name.rsplit_once("/@/") else { return false };
    let unit_crate = unit.split_once('.').filter(|(_, rest)| rest.contains("-cgu.")).map(|(name, _)| name);
    // mutant: D6 debug information of another crate is taken for the program's
    unit_crate.map_or_else(|| may_have(root, own_crate.file), |unit_crate| unit_crate == own_crate.name)
}

/// Whether `file` may be of the crate with this root file: it lies beside that or below, or was generated elsewhere.
fn may_have(root: &str, file: &str) -> bool {
    let folder = Path::new(root).parent().unwrap_or(Path::new(""));
    Path::new(file).starts_with(folder) || Path::new(file).is_absolute() != folder.is_absolute()
}

/// A unit most of which is in another file.
struct Skeleton {
    id: u64,
    /// The name that the compiler gave the file that has the rest.
    file: Option<PathBuf>,
}

/// Whether a unit of Rust gives functions the names that linkers know them by. It is `None` if it has none that were
/// inlined, which need them.
fn has_paths(table: &Abbreviations) -> Option<bool> {
    let all = || (1..).map_while(|code| table.get(code));
    all().any(|entry| entry.tag() == DW_TAG_inlined_subroutine).then(|| {
        all().any(|entry| {
            let has_linkage_name = |name| [DW_AT_linkage_name, DW_AT_MIPS_linkage_name].contains(&name);
            entry.attributes().iter().any(|attribute| has_linkage_name(attribute.name()))
        })
    })
}

/// Holds the index of a package of split units.
struct Package {
    endian: RunTimeEndian,
    index: Vec<u8>,
}

impl Package {
    fn of(path: &Path) -> Option<Package> {
        let cache = ReadCache::new(files::open(path).ok()?);
        let object = File::parse(&cache).ok()?;
        let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let index = object.section_by_name(".debug_cu_index")?.uncompressed_data().ok()?.into_owned();
        Some(Package { endian, index })
    }

    fn has(&self, id: u64) -> bool {
        let index = DebugCuIndex::new(&self.index, self.endian).index();
        index.is_ok_and(|index| index.find(id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_crate_of_a_unit_is_in_its_name() {
        for (name, expected) in [
            (None, true),
            (Some("demo-leak/src/main.rs/@/demo_leak.68913b8193a21c8f-cgu.00"), true),
            (Some("demo-leak/src/main.rs/@/0ae42tzctbf91wogdtu4z2e8k"), true),
            (Some("main.rs/@/0ae42tzctbf91wogdtu4z2e8k"), true),
            (Some("/generated/main.rs/@/0ae42tzctbf91wogdtu4z2e8k"), true),
            (Some("pprof-server/src/lib.rs/@/0ae42tzctbf91wogdtu4z2e8k"), false),
            (Some("demo-leak/src/serve/lib.rs/@/0ae42tzctbf91wogdtu4z2e8k"), false),
            (Some("/registry/lexopt-0.3.2/src/lib.rs/@/lexopt.f7f992caa88bdd8b-cgu.0"), false),
            (Some("src/lib.rs/@/demo_leak_core.f7f992caa88bdd8b-cgu.0"), false),
            (Some("../sysdeps/x86_64/start.S"), false),
        ] {
            let own_crate = OwnCrate { name: "demo_leak", file: "demo-leak/src/serve.rs" };
            assert_eq!(may_be_of(name, Some(own_crate)), expected, "{name:?}");
        }
        assert!(may_be_of(Some("start.S"), None));
    }

    /// Compiles a program of the crate `app` with `flags`, and returns what its units are.
    fn units_of_program(flags: &[&str]) -> Units {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("app.rs");
        // This program has a megabyte of debug information of the standard library.
        std::fs::write(&source, "fn main() { std::process::Command::new(\"true\").status().unwrap(); }")
            .unwrap();
        let program = folder.path().join("app");
        let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        let status = Command::new(rustc).args(flags).arg("-o").args([&program, &source]).status().unwrap();
        assert!(status.success());
        let file = source.to_str().unwrap();
        Units::of(&program, Some(OwnCrate { name: "app", file }))
    }

    #[test]
    fn debug_information_of_others_is_not_the_programs_own() {
        let with = units_of_program(&["-Copt-level=1", "-Cdebuginfo=limited"]);
        assert_eq!(with, Units::WHOLE);
        let without = units_of_program(&["-Copt-level=1", "-Cdebuginfo=0", "-Cstrip=none"]);
        assert_eq!(without, Units { have_own: false, have_own_crate: false, ..Units::WHOLE });
    }
}

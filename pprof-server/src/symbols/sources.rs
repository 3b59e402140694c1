//! This finds where the names of a mapped file's code are: in the file itself, in a file apart from it, or in a package
//! beside it. If they are nowhere, it says why.
//!
//! Distributions and many images keep debug information apart. As debuggers do, we look for it below `/usr/lib/debug`
//! by the build id. We also look for the file that `.gnu_debuglink` names: beside the program, in `.debug` there, and
//! below `/usr/lib/debug`. A file that is of another build is not read.
//!
//! `debug_info` calls this for each file that it looks addresses up in, and `symbols` about the program.
//!
//! Path: *read path*. Cost: some headers are read; a file of debug information without a build id is read as a whole,
//! once.

use super::own_crate::own_crate_in;
use super::shortfall::{Names, Shortfall};
use super::units::Units;
use crate::kept_files;
use crate::mappings::elf_image::Image;
use crate::mappings::mapped_file::file_behind;
use crate::mappings::{Mapping, files};
use flate2::Crc;
use object::read::{Object, ObjectSection, ObjectSymbol, ReadCache};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Compressed debug information is inflated into memory as a whole. If there is more than this, we take symbols only.
const MAX_INFLATED_BYTES: u64 = 64 * 1024 * 1024;
const DEBUG_FOLDER: &str = "/usr/lib/debug";

/// Where to look names up.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The file that has the symbol table.
    pub(super) symbols: Option<PathBuf>,
    /// The file that has debug information that can be read.
    pub(super) debug: Option<PathBuf>,
    /// True if parts of the debug information are in files that are not there. What is left has lines, but not the
    /// functions that the lines are in.
    pub(super) is_in_parts: bool,
    /// Why not everything can be named, if that is so.
    pub(super) shortfall: Option<Shortfall>,
}

/// What the headers of a file say.
struct Headers {
    has_debug_information: bool,
    names: Names,
    /// The length of all compressed sections together when they are inflated, in bytes.
    inflated_bytes: u64,
    /// The file that debug information is in, and its checksum.
    link: Option<(PathBuf, u32)>,
    /// The file that shared parts of it are in.
    shared: Option<PathBuf>,
}

impl Sources {
    pub(super) fn of(mapping: &Mapping) -> Sources {
        let file = file_behind(mapping);
        let headers = file.as_deref().and_then(Headers::of);
        let Some((file, headers)) = file.zip(headers) else {
            // The mapped file itself is gone, but its debug information may still be there.
            let debug = apart_by_build_id(mapping).filter(|path| Headers::of(path).is_some());
            return match debug {
                Some(debug) => Sources::with_debug_file(mapping, debug, None, Names::All),
                None => Sources { shortfall: Some(Shortfall::no_file(mapping)), ..Sources::default() },
            };
        };
        if headers.has_debug_information {
            let symbols = (headers.names == Names::All).then(|| file.clone());
            return Sources::of_debug_file(mapping, file, &headers, symbols, headers.names);
        }
        let symbols = Some(file);
        let names = headers.names;
        if kept_files::is_sandboxed() {
            let shortfall = Shortfall::NoDebugInformation { names };
            return Sources { symbols, shortfall: Some(shortfall), ..Sources::default() };
        }
        match apart(mapping, headers.link.as_ref()) {
            Ok(Some(debug)) => Sources::with_debug_file(mapping, debug, symbols, names),
            Ok(None) => {
                let shortfall = Some(Shortfall::NoDebugInformation { names });
                Sources { symbols, shortfall, ..Sources::default() }
            }
            Err(link) => {
                let shortfall = Some(Shortfall::DebugFile { name: link, names });
                Sources { symbols, shortfall, ..Sources::default() }
            }
        }
    }

    /// Adds a debug file that is apart. `names` says which functions have one in the symbol table of `symbols`.
    fn with_debug_file(mapping: &Mapping, debug: PathBuf, symbols: Option<PathBuf>, names: Names) -> Sources {
        match Headers::of(&debug) {
            Some(headers) => {
                let symbols = symbols.filter(|_| names == Names::All).unwrap_or_else(|| debug.clone());
                let names = if names == Names::All { names } else { headers.names };
                Sources::of_debug_file(mapping, debug, &headers, Some(symbols), names)
            }
            None => {
                let shortfall = Some(Shortfall::DebugFile { name: debug, names });
                Sources { symbols, shortfall, ..Sources::default() }
            }
        }
    }

    fn of_debug_file(
        mapping: &Mapping,
        debug: PathBuf,
        headers: &Headers,
        symbols: Option<PathBuf>,
        names: Names,
    ) -> Sources {
        let symbols = symbols.or_else(|| Some(debug.clone()));
        let bytes = headers.inflated_bytes;
        if bytes > MAX_INFLATED_BYTES {
            let shortfall = Some(Shortfall::Compressed { bytes, names });
            return Sources { symbols, shortfall, ..Sources::default() };
        }
        if let Some(name) = &headers.shared {
            // Nearly every name is in that file, and the reader does not follow all references to it.
            let shortfall = Some(Shortfall::Shared { name: name.clone(), names });
            return Sources { symbols, shortfall, ..Sources::default() };
        }
        let units = Units::of(&debug, own_crate_in(mapping));
        let shortfall = match () {
            () if units.missing > 0 => {
                Some(Shortfall::Split { package: Units::package(&debug), missing: units.missing })
            }
            () if !units.have_own => Some(Shortfall::NoDebugInformation { names }),
            () if !units.have_own_crate => Some(Shortfall::InParts),
            () if !units.have_paths => Some(Shortfall::LinesOnly),
            () => None,
        };
        Sources { symbols, debug: Some(debug), is_in_parts: units.missing > 0, shortfall }
    }
}

impl Headers {
    fn of(path: &Path) -> Option<Headers> {
        let cache = ReadCache::new(files::open(path).ok()?);
        let object = object::File::parse(&cache).ok()?;
        let compressed = object.sections().filter_map(|section| section.compressed_file_range().ok());
        let inflated = compressed.filter(|range| range.format != object::CompressionFormat::None);
        // A section that was moved to a debug file leaves a header here that has no bytes.
        let has_bytes = |name: &str| {
            let section = object.section_by_name(name);
            section.is_some_and(|section| section.file_range().is_some_and(|(_, bytes)| bytes > 0))
        };
        let exports = || {
            let mut symbols = object.dynamic_symbols();
            symbols.any(|symbol| symbol.is_definition() && symbol.kind() == object::SymbolKind::Text)
        };
        let names = match () {
            () if has_bytes(".symtab") => Names::All,
            () if exports() => Names::Exported,
            () => Names::None,
        };
        let link = object.gnu_debuglink().ok().flatten();
        let shared = object.gnu_debugaltlink().ok().flatten();
        Some(Headers {
            has_debug_information: has_bytes(".debug_info"),
            names,
            inflated_bytes: inflated.fold(0, |sum, range| sum.saturating_add(range.uncompressed_size)),
            link: link.map(|(name, crc)| (crate::mappings::to_path(name), crc)),
            shared: shared.map(|(name, _)| crate::mappings::to_path(name)),
        })
    }
}

/// Finds the debug file of `mapping`, by its build id or by `link`. The error is the name of a file that should be
/// there and is not, or that is of another build.
fn apart(mapping: &Mapping, link: Option<&(PathBuf, u32)>) -> Result<Option<PathBuf>, PathBuf> {
    if let Some(path) = apart_by_build_id(mapping) {
        return Ok(Some(path));
    }
    let Some((name, crc)) = link else { return Ok(None) };
    let folder = mapping.file().parent().unwrap_or(Path::new("/"));
    let below_debug = Path::new(DEBUG_FOLDER).join(folder.strip_prefix("/").unwrap_or(folder));
    let candidates = [folder.join(name), folder.join(".debug").join(name), below_debug.join(name)];
    let is_it = |path: &PathBuf| path != mapping.file() && is_debug_file(path, mapping, *crc);
    candidates.into_iter().find(is_it).map(Some).ok_or_else(|| name.clone())
}

fn apart_by_build_id(mapping: &Mapping) -> Option<PathBuf> {
    let path = by_build_id(&mapping.build_id)?;
    (Image::in_file(&path, None)?.build_id == mapping.build_id).then_some(path)
}

fn by_build_id(build_id: &str) -> Option<PathBuf> {
    let (folder, name) = build_id.split_at_checked(2).filter(|(_, name)| !name.is_empty())?;
    Some(Path::new(DEBUG_FOLDER).join(".build-id").join(folder).join(format!("{name}.debug")))
}

/// Whether the file at `path` is of the build that is mapped. The build id tells it, or the checksum in the link where
/// there is no build id.
fn is_debug_file(path: &Path, mapping: &Mapping, crc: u32) -> bool {
    let Some(image) = Image::in_file(path, None) else { return false };
    match (&mapping.build_id[..], &image.build_id[..]) {
        ("", _) | (_, "") => checksum(path) == Some(crc),
        (ours, theirs) => ours == theirs,
    }
}

fn checksum(path: &Path) -> Option<u32> {
    let mut file = files::open(path).ok()?;
    let mut crc = Crc::new();
    let mut bytes = vec![0; 64 << 10];
    loop {
        match file.read(&mut bytes).ok()? {
            0 => return Some(crc.sum()),
            count => crc.update(&bytes[..count]),
        }
    }
}

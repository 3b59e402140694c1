//! This lists the images of this process as the system's loader tells them, where there is no `/proc`: on macOS and on Windows.
//!
//! `go tool pprof` needs no more than the path of an image and where it begins to find names by the tools of those systems. With debug
//! information in the file, or beside it on macOS, we find them too. This was run by an emulator of Windows, and on no macOS.
//!
//! Path: *read path*. Cost: some system calls for each image, and on Windows the headers of its file are read.

use super::Mapping;
use super::files;
use findshlibs::{Segment, SharedLibrary, SharedLibraryId, TargetSharedLibrary};
use object::read::{Object, ReadCache};
use std::path::{Path, PathBuf};

/// Returns the images that are loaded, the program's first.
pub(super) fn mappings() -> Vec<Mapping> {
    let mut list = Vec::new();
    TargetSharedLibrary::each(|image| list.extend(mapping(image)));
    let program = std::env::current_exe().ok().as_deref().and_then(canonical);
    let is_program = |mapping: &Mapping| program.is_some() && canonical(mapping.file()) == program;
    // Both systems tell the program first, if nothing else is known.
    let program = list.iter().position(is_program).unwrap_or(0);
    if let Some(program) = list.get_mut(program) {
        program.is_main = true;
    }
    list
}

/// Whether the file at `path` is the one that is mapped.
pub(super) fn is_of_build(path: &Path, mapping: &Mapping) -> bool {
    if cfg!(windows) {
        // Nobody can write into a file that is loaded there.
        return path == mapping.file();
    }
    let uuid = || {
        let cache = ReadCache::new(files::open(path).ok()?);
        object::File::parse(&cache).ok()?.mach_uuid().ok()?
    };
    uuid().is_some_and(|uuid| build_id(&SharedLibraryId::Uuid(uuid)) == mapping.build_id)
}

fn mapping(image: &TargetSharedLibrary<'_>) -> Option<Mapping> {
    let exact_path = PathBuf::from(image.name());
    let code = || image.segments().filter(Segment::is_code);
    let start = code().map(|segment| segment.actual_virtual_memory_address(image).0).min()?;
    let limit = code().map(|segment| segment.actual_virtual_memory_address(image).0 + segment.len()).max()?;
    let bias = image.virtual_memory_bias().0 as u64;
    // Go's own profiles have a whole image of Windows as one mapping, and its readers count addresses from there.
    let start = if cfg!(windows) { bias } else { start as u64 };
    Some(Mapping {
        start,
        limit: limit as u64,
        load_bias: bias.wrapping_sub(preferred_base(&exact_path)),
        path: exact_path.to_string_lossy().into_owned(),
        build_id: image.id().as_ref().map(build_id).unwrap_or_default(),
        exact_path,
        ..Mapping::default()
    })
}

/// Returns the address from which the addresses in the file count, beside what the loader tells. Windows tells addresses from where the
/// image begins, and the file counts them from where it would like to begin.
fn preferred_base(path: &Path) -> u64 {
    let base = || {
        let cache = ReadCache::new(files::open(path).ok()?);
        Some(object::File::parse(&cache).ok()?.relative_address_base())
    };
    if cfg!(windows) { base().unwrap_or(0) } else { 0 }
}

/// Returns what tells builds apart: the UUID that the linker of macOS gives, or, on Windows, the time and size by which servers of symbols
/// know an image.
fn build_id(id: &SharedLibraryId) -> String {
    match id {
        SharedLibraryId::PeSignature(time, bytes) => format!("{time:08X}{bytes:x}"),
        id => id.to_string().replace('-', "").to_ascii_lowercase(),
    }
}

fn canonical(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_first_and_has_its_own_code() {
        let mappings = super::super::Mappings::of_process();
        let here = the_program_is_first_and_has_its_own_code as fn() as usize as u64;
        assert!(mappings.as_slice()[0].is_main);
        assert_eq!(mappings.index_of(here), Some(0));
        assert!(is_of_build(&std::env::current_exe().unwrap(), &mappings.as_slice()[0]));
    }
}

//! This finds the path under which the very file that is mapped can be opened, where there is one.
//!
//! Path: *read path*. Cost: the headers of one file or two.

#[cfg(not(any(target_os = "macos", windows)))]
use super::elf_image::Image;
#[cfg(any(target_os = "macos", windows))]
use super::loaded::is_of_build;
use super::{Mapping, files};
use crate::kept_files;
use std::path::{Path, PathBuf};

/// Returns the path under which to open the very file that is mapped.
pub(crate) fn file_behind(mapping: &Mapping) -> Option<PathBuf> {
    if mapping.is_main && kept_files::is_sandboxed() {
        return Some(files::RUNNING_PROGRAM.into());
    }
    if mapping.path.starts_with('[') {
        return None;
    }
    // The link leads to the running file even if its name is gone or another file's. But it leads to the loader's if
    // the loader was started as a command. The name is better while it is right, since split debug information (`.dwp`)
    // is looked for beside it.
    let running = mapping.is_main.then_some(Path::new(files::RUNNING_PROGRAM));
    let candidates = [Some(mapping.file()), running];
    candidates.into_iter().flatten().find(|path| is_of_build(path, mapping)).map(Path::to_owned)
}

/// Whether the file at `path` is of the build that is mapped.
#[cfg(not(any(target_os = "macos", windows)))]
fn is_of_build(path: &Path, mapping: &Mapping) -> bool {
    let Some(on_disk) = Image::in_file(path, None) else { return false };
    match mapping.build_id.is_empty() {
        // mutant: C3 another build's file is asked
        false => on_disk.build_id == mapping.build_id,
        // The running file is the program's or the loader's, whose first pages differ.
        true if path == Path::new(files::RUNNING_PROGRAM) => on_disk.fingerprint == mapping.fingerprint,
        // Nothing else tells two builds apart for certain.
        true => on_disk.inode == mapping.inode && on_disk.build_id.is_empty(),
    }
}

#[cfg(all(test, not(any(target_os = "macos", windows))))]
mod tests {
    use super::*;

    fn mapping(path: &Path, build_id: &str) -> Mapping {
        Mapping { path: path.to_str().unwrap().into(), build_id: build_id.into(), ..Mapping::default() }
    }

    #[test]
    fn a_file_of_another_build_is_not_asked() {
        let this = std::env::current_exe().unwrap();
        let id = Image::in_file(&this, None).unwrap().build_id;
        assert_eq!(file_behind(&mapping(&this, &id)), Some(this.clone()));
        assert_eq!(file_behind(&mapping(&this, "0123")), None);
        // Without a build id, it must be the very file.
        assert_eq!(file_behind(&mapping(&this, "")), None);
        assert_eq!(file_behind(&mapping(Path::new("/nonexistent"), "0123")), None);
        assert_eq!(file_behind(&mapping(Path::new("[vdso]"), "0123")), None);
    }
}

//! The files that the types of tasks are read from, and memory as a file.
//!
//! Path: *read path*.

use crate::mappings::Mappings;
use crate::mappings::files::{self, OpenFile};
use crate::symbols;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tasks::{Image, Memory, ReadAt, Unreadable};

/// A file that has debug information, as it was when it was looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The mapped file that it is of: its path, its build id and where it is loaded.
    mapped: (PathBuf, String, u64),
    /// Where the debug information is, if there is any.
    debug: Option<PathBuf>,
    contents: Option<Contents>,
    /// Of the package beside it, if there is one.
    package: Option<Contents>,
}

/// What tells that a file is still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Returns the debug information of the program, and of each library that has one of `addresses`. `before` is what this returned last
/// time: where the debug information was then, it need not be looked for.
pub(super) fn images(addresses: &[u64], mappings: &Mappings, before: &[Known]) -> (Vec<Image>, Vec<Known>) {
    let (mut images, mut known): (Vec<Image>, Vec<Known>) = (Vec::new(), Vec::new());
    for index in mappings.used(addresses) {
        let mapping = &mappings.as_slice()[index];
        // A file may be mapped in several places.
        let is_known = known.iter().any(|known| known.mapped.2 == mapping.load_bias);
        if is_known || mapping.is_of_system() {
            continue;
        }
        let mapped = (mapping.file().to_owned(), mapping.build_id.clone(), mapping.load_bias);
        let same = before.iter().find(|known| known.mapped == mapped);
        let debug = same.and_then(|known| known.debug.clone()).or_else(|| symbols::debug_file(mapping));
        let open = |path: &Path| files::open(path).ok();
        let file = debug.as_deref().and_then(open);
        let package = debug.as_deref().and_then(|path| open(&symbols::package_of(path)));
        let contents = |file: &Option<OpenFile>| file.as_ref().and_then(Contents::of);
        known.push(Known { mapped, contents: contents(&file), package: contents(&package), debug });
        let boxed = |file| Box::new(DebugFile(file)) as Box<dyn ReadAt>;
        let package = package.map(boxed);
        images.extend(file.map(|file| Image { debug: boxed(file), bias: mapping.load_bias, package }));
    }
    (images, known)
}

#[cfg(test)]
impl Known {
    /// Returns one for a file of this name.
    pub(super) fn made_up(name: &str) -> Known {
        Known { mapped: (name.into(), String::new(), 0), debug: None, contents: None, package: None }
    }
}

impl Contents {
    fn of(file: &OpenFile) -> Option<Contents> {
        let metadata = file.metadata().ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Contents { inode, bytes: metadata.len(), modified: metadata.modified().ok() })
    }
}

struct DebugFile(OpenFile);

impl ReadAt for DebugFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// This process's memory as a file, which was opened while that was allowed.
pub(super) struct MemoryFile(pub(super) OpenFile);

impl Memory for MemoryFile {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.0.read_at(&mut bytes[filled..], address.wrapping_add(filled as u64)) {
                Ok(read @ 1..) => filled += read,
                _ => return Err(Unreadable { address }),
            }
        }
        Ok(())
    }
}

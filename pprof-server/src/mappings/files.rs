//! Every file that finding names opens by itself is opened here: the running program's, those of its libraries, and
//! what the kernel tells of its address space.
//!
//! (Two libraries open more: `addr2line` opens the file that it is pointed at, and split debug information beside it.)
//!
//! Where the program has entered a sandbox since it began to serve, nothing is opened. Then the files that have been
//! open since it began must do, see `kept_files`.
//!
//! Path: *read path*.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crate::kept_file::{KeptFile, read_at};
use crate::kept_files::{self, KeptFiles};

/// This path leads to the running program's file even if its name is gone or has become another file's.
pub(crate) const RUNNING_PROGRAM: &str = "/proc/self/exe";

/// Opens a regular file to be read.
///
/// # Errors
///
/// Any error of the system is returned. It is also an error if the file is no regular file, since anything else, such
/// as a pipe, could be waited for in vain; and in a sandbox, if it is not the running program's file.
pub(crate) fn open(path: &Path) -> io::Result<OpenFile> {
    if let Some(kept) = sandboxed() {
        let is_program = path == Path::new(RUNNING_PROGRAM) || path == kept.program_path;
        let file = is_program.then(|| OpenFile::kept(kept, |kept| kept.program.as_ref())).flatten();
        return file.ok_or_else(|| io::ErrorKind::PermissionDenied.into());
    }
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path).map(OpenFile::own)
}

/// Returns the lines of `/proc/self/maps`; it is empty where there is no `/proc`.
pub(crate) fn maps() -> Vec<u8> {
    let maps = match sandboxed() {
        Some(kept) => kept.maps.as_ref().and_then(KeptFile::bytes),
        None => fs::read("/proc/self/maps").ok(),
    };
    maps.unwrap_or_default()
}

/// Opens this process's memory as a file, where reading fails and a pointer would fault.
pub(crate) fn memory() -> Option<OpenFile> {
    match sandboxed() {
        Some(kept) => OpenFile::kept(kept, |kept| kept.memory.as_ref()),
        None => File::open("/proc/self/mem").ok().map(OpenFile::own),
    }
}

/// Returns the inode of the file at `path`.
#[cfg(unix)]
pub(crate) fn inode(path: &Path) -> Option<u64> {
    if sandboxed().is_some() {
        return None;
    }
    Some(std::os::unix::fs::MetadataExt::ino(&path.metadata().ok()?))
}

/// Returns nothing, since there are no inodes here.
#[cfg(not(unix))]
pub(crate) fn inode(_path: &Path) -> Option<u64> {
    None
}

fn sandboxed() -> Option<Arc<KeptFiles>> {
    kept_files::kept().filter(|kept| kept.is_sandboxed())
}

/// An open file: it was opened just now, or when the process began to serve. It has a position of its own in either
/// case.
#[derive(Debug)]
pub(crate) struct OpenFile {
    source: Source,
    position: u64,
}

#[derive(Debug)]
enum Source {
    Own(File),
    Kept(Arc<KeptFiles>, fn(&KeptFiles) -> Option<&KeptFile>),
}

impl OpenFile {
    fn own(file: File) -> OpenFile {
        OpenFile { source: Source::Own(file), position: 0 }
    }

    fn kept(kept: Arc<KeptFiles>, which: fn(&KeptFiles) -> Option<&KeptFile>) -> Option<OpenFile> {
        which(&kept)?.file()?;
        Some(OpenFile { source: Source::Kept(kept, which), position: 0 })
    }

    fn file(&self) -> io::Result<&File> {
        match &self.source {
            Source::Own(file) => Ok(file),
            Source::Kept(kept, which) => which(kept)
                .and_then(KeptFile::file)
                .ok_or_else(|| io::Error::other("the program has closed the file")),
        }
    }

    /// Reads up to as many bytes as there is room for, from `offset`.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(self.file()?, bytes, offset)
    }

    /// Returns what the system says of the file.
    pub(crate) fn metadata(&self) -> io::Result<fs::Metadata> {
        self.file()?.metadata()
    }
}

impl Read for OpenFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(bytes, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, offset) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::Current(offset) => (self.position, offset),
            SeekFrom::End(offset) => (self.metadata()?.len(), offset),
        };
        let position = from.checked_add_signed(offset);
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

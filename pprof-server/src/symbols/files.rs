//! Every file that finding names opens by itself, in one place: the running program's, those of its libraries, and what the
//! kernel tells of its address space.
//!
//! (Two libraries open more: `addr2line` the file that it is pointed at, and split debug information beside it.)
//!
//! Path: *read path*.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Leads to the running program's file even if its name is gone or has become another file's.
pub(crate) const RUNNING_PROGRAM: &str = "/proc/self/exe";

/// Opens a regular file to be read.
///
/// # Errors
///
/// Whatever the system says; and that it is no regular file, for anything else, such as a pipe, could be waited for in
/// vain.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}

/// The lines of `/proc/self/maps`; empty where there is no `/proc`.
pub(crate) fn maps() -> Vec<u8> {
    fs::read("/proc/self/maps").unwrap_or_default()
}

/// This process's memory as a file: to read it fails where a pointer would fault.
pub(crate) fn memory() -> Option<File> {
    File::open("/proc/self/mem").ok()
}

/// What the kernel calls the running program's file.
pub(crate) fn program_path() -> PathBuf {
    fs::read_link(RUNNING_PROGRAM).unwrap_or_default()
}

//! Debug information as it is in a file: its sections, and its units one at a time.
//!
//! Files are read piece by piece, never mapped: a mapped file that somebody cuts short would end the program.

mod bases;
mod context;
mod elf;
mod entry;
mod line_files;
#[cfg(test)]
pub(crate) mod made_up_elf;
mod package;
mod parts;
mod strings;
mod unit;

pub(crate) use context::Context;
pub(crate) use elf::{DebugFile, Section};
pub(crate) use entry::{Entry, Slice, UnitPlace};
pub(crate) use parts::Skeleton;
pub(crate) use unit::{Unit, abbreviations, header};

#[cfg(unix)]
use std::fs::File;
use std::io;

/// A file that is read at any place.
pub trait ReadAt: Send + Sync {
    /// Reads up to as many bytes as there is room for, from `offset`.
    ///
    /// # Errors
    ///
    /// Any error of the system is returned.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Returns how long the file is, in bytes.
    ///
    /// # Errors
    ///
    /// Any error of the system is returned.
    fn size_bytes(&self) -> io::Result<u64>;
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, bytes, offset)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(copy_at(self, bytes, offset))
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// Copies what there is of `from` behind `offset`, and returns how many bytes that is.
fn copy_at(from: &[u8], into: &mut [u8], offset: u64) -> usize {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(from.len());
    let count = into.len().min(from.len() - start);
    into[..count].copy_from_slice(&from[start..start + count]);
    count
}

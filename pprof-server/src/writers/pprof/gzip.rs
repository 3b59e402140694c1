//! This compresses by gzip, which a profile goes without where memory is short.
//!
//! The compressor asks for its memory at once, some 370 KiB with its buffer, and panics where it cannot have it. So the
//! profiler looks first whether there is so much. Between the look and the need, another thread may take the last of it;
//! then its own next block ends the program too.
//!
//! Path: *read path*.

use crate::process;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, ErrorKind, Write};

/// Compresses fast rather than small, like Go. Profiles are full of repetition, and shrink to less than half anyway.
/// The next level saves a quarter of the bytes and takes twice the time.
///
/// Where memory is too short for that, it returns `bytes` as they are: readers take the plain message just as well.
pub(crate) fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    compressed(&bytes).unwrap_or(bytes)
}

/// Compresses; `None` where memory is too short for that.
pub(crate) fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    // mutant: D13 the compressor is given memory that is not there
    if !process::can_work() {
        return None;
    }
    let mut packed = Packed(Vec::new());
    packed.0.try_reserve(bytes.len() / 4).ok()?;
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).ok().map(|packed| packed.0)
}

/// Collects bytes, and refuses them where there is no memory for them. (A vector would end the program.)
struct Packed(Vec<u8>);

impl Write for Packed {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0.try_reserve(part.len()).map_err(|_| ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

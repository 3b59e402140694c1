//! A kept file was opened once, to be read whenever somebody asks.
//!
//! A descriptor is a number, and the program may have closed ours and got the same number for a file of its own. So the
//! descriptor is looked at before it is read.
//!
//! Path: *read path*.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file that was opened once.
#[derive(Debug)]
pub(crate) struct KeptFile {
    file: File,
    identity: Identity,
}

impl KeptFile {
    pub(crate) fn open(path: impl AsRef<Path>) -> Option<KeptFile> {
        let file = File::open(path).ok()?;
        // Where none can be told, nobody could tell later whether the descriptor is still ours.
        let identity = Identity::of(&file)?;
        Some(KeptFile { file, identity })
    }

    /// The file, if the descriptor is still what was opened.
    pub(crate) fn file(&self) -> Option<&File> {
        (Identity::of(&self.file).as_ref() == Some(&self.identity)).then_some(&self.file)
    }

    /// Closes the descriptor, if it is still what was opened. Otherwise it is the program's, and stays open.
    pub(crate) fn close(self) {
        if self.file().is_none() {
            std::mem::forget(self);
        }
    }

    /// The whole file, as it is now.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        const FIRST_BYTES: usize = 16 << 10;
        let file = self.file()?;
        let mut bytes = vec![0; FIRST_BYTES];
        let mut len = 0;
        loop {
            match read_at(file, &mut bytes[len..], len as u64).ok()? {
                0 => break,
                read => len += read,
            }
            if len == bytes.len() {
                bytes.resize(2 * len, 0);
            }
        }
        bytes.truncate(len);
        Some(bytes)
    }

    /// As [`bytes`](Self::bytes), with a replacement for what is no text: the program's name may be anything, and is cut after 15
    /// bytes, maybe within a character.
    pub(crate) fn text(&self) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }
}

/// Reads at an offset. The position of the descriptor plays no part, so others may read it as well.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(not(unix))]
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::io::{Read, Seek};
    let mut file = file;
    file.seek(io::SeekFrom::Start(offset))?;
    file.read(bytes)
}

/// What makes two descriptors those of one file.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    #[cfg(unix)]
    fn of(file: &File) -> Option<Identity> {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata().ok()?;
        Some(Identity { device: metadata.dev(), inode: metadata.ino() })
    }

    #[cfg(not(unix))]
    fn of(_file: &File) -> Option<Identity> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_kept_file_is_read_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "first").unwrap();
        let kept = KeptFile::open(&path).unwrap();
        assert_eq!(kept.text().unwrap(), "first");
        let long = "second ".repeat(10_000);
        fs::write(&path, &long).unwrap();
        assert_eq!(kept.text().unwrap(), long);
        let status = KeptFile::open("/proc/self/status").unwrap();
        assert!(status.text().unwrap().contains("VmRSS"));
        assert_eq!(status.bytes().is_some(), status.file().is_some());
    }

    #[test]
    fn a_number_that_became_another_files_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
        fs::write(&ours, "ours").unwrap();
        fs::write(&theirs, "theirs").unwrap();
        let mut kept = KeptFile::open(&ours).unwrap();
        assert_eq!(kept.text().as_deref(), Some("ours"));
        // As if the program had closed ours and opened its own, which got the same number.
        kept.file = File::open(&theirs).unwrap();
        assert_eq!((kept.text(), kept.bytes()), (None, None));
    }
}

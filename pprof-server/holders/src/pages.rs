//! Which pages are in memory. A page that is not must not be read: the system would bring it in.

use std::io;

/// A page has so many bytes.
pub const PAGE_BYTES: u64 = 4096;

/// Tells which pages are in memory.
pub trait Pages {
    /// Sets `resident` for the pages that begin at `start`, one after another.
    ///
    /// # Errors
    ///
    /// It is an error if the system does not tell.
    fn resident(&self, start: u64, resident: &mut [bool]) -> io::Result<()>;
}

/// What the kernel says in `/proc/self/pagemap`.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct PageMap(std::fs::File);

#[cfg(target_os = "linux")]
impl PageMap {
    /// The bit of an entry that says that the page is in memory.
    const PRESENT: u64 = 1 << 63;
    /// So many entries are read at once.
    const ENTRIES: usize = 512;

    /// Opens the file.
    ///
    /// # Errors
    ///
    /// It is an error if the file cannot be opened, if it does not tell that a page is there which surely is, or if pages are
    /// not of [`PAGE_BYTES`].
    pub fn open() -> io::Result<PageMap> {
        let map = PageMap(std::fs::File::open("/proc/self/pagemap")?);
        let mut is_there = [false];
        let here = &raw const map as u64;
        map.resident(here / PAGE_BYTES * PAGE_BYTES, &mut is_there)?;
        match is_there {
            [true] => Ok(map),
            _ => Err(io::Error::other("/proc/self/pagemap does not tell which pages are in memory")),
        }
    }
}

#[cfg(target_os = "linux")]
impl Pages for PageMap {
    fn resident(&self, start: u64, resident: &mut [bool]) -> io::Result<()> {
        let mut bytes = [0_u8; 8 * PageMap::ENTRIES];
        let mut page = start / PAGE_BYTES;
        for part in resident.chunks_mut(PageMap::ENTRIES) {
            let entries = &mut bytes[..8 * part.len()];
            std::os::unix::fs::FileExt::read_exact_at(&self.0, entries, 8 * page)?;
            for (is_there, entry) in part.iter_mut().zip(entries.as_chunks::<8>().0) {
                *is_there = u64::from_ne_bytes(*entry) & PageMap::PRESENT != 0;
            }
            page += part.len() as u64;
        }
        Ok(())
    }
}

/// It would say which pages are in memory. Only Linux tells.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub enum PageMap {}

#[cfg(not(target_os = "linux"))]
impl PageMap {
    /// Refuses, since the system does not tell.
    ///
    /// # Errors
    ///
    /// It always returns an error.
    pub fn open() -> io::Result<PageMap> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux tells which pages are in memory"))
    }
}

#[cfg(not(target_os = "linux"))]
impl Pages for PageMap {
    fn resident(&self, _start: u64, _resident: &mut [bool]) -> io::Result<()> {
        match *self {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_nobody_has_touched_is_not_in_memory_and_does_not_become_so() {
        let map = PageMap::open().unwrap();
        // A block of this size is mapped for itself, and zeroed memory is not touched.
        let bytes = vec![0_u8; 64 << 20];
        let start = (bytes.as_ptr() as u64).next_multiple_of(PAGE_BYTES);
        for _ in 0..2 {
            let mut resident = vec![true; 1000];
            map.resident(start + (32 << 20), &mut resident).unwrap();
            assert_eq!(resident.iter().filter(|&&is_there| is_there).count(), 0);
        }
    }
}

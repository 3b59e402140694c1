//! One pass over memory: every word of every page that is there is looked at once.

use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::pages::{PAGE_BYTES, Pages};
use crate::region::{Region, RegionKind};
use tasks::Memory;

/// So much is copied at once, in bytes. It stays in the processor's cache until all words are looked at.
const COPIED_BYTES: usize = 128 << 10;
const COPIED_PAGES: usize = COPIED_BYTES / PAGE_BYTES as usize;
/// The system is asked about so many pages at once, which matters where many are reserved and few are there.
const ASKED_PAGES: usize = 256;
/// So many pages are copied at once where chunks are followed.
const WINDOW_PAGES: usize = 16;

/// A word as it was copied.
pub(crate) type RawWord = [u8; 8];

/// How a pass goes over memory.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After so many bytes there is a pause, so that the program does not feel the search.
    pub slice_bytes: u64,
    /// How long the pause is.
    pub pause: Duration,
    /// How long the whole search may take.
    pub most_time: Duration,
}

/// Goes over memory as often as it is told to.
pub(crate) struct Passes<'a> {
    memory: &'a dyn Memory,
    pages: &'a dyn Pages,
    regions: &'a [Region],
    pace: Pace,
    until: Instant,
    bytes: Vec<u8>,
    /// How many bytes were looked at in all passes.
    pub(crate) searched_bytes: u64,
    /// How many bytes could not be read, since they were unmapped meanwhile.
    pub(crate) unread_bytes: u64,
}

impl<'a> Passes<'a> {
    pub(crate) fn new(
        memory: &'a dyn Memory,
        pages: &'a dyn Pages,
        regions: &'a [Region],
        pace: Pace,
    ) -> Passes<'a> {
        Passes {
            memory,
            pages,
            regions,
            pace,
            until: Instant::now() + pace.most_time,
            bytes: vec![0; COPIED_BYTES],
            searched_bytes: 0,
            unread_bytes: 0,
        }
    }

    /// Calls `look` with runs of words, the address of the first of each, and what they are part of.
    ///
    /// # Errors
    ///
    /// It is an error if the time is over, or if the system does not tell which pages are there.
    pub(crate) fn each_run(
        &mut self,
        mut look: impl FnMut(RegionKind, u64, &[RawWord]),
    ) -> Result<(), Failure> {
        let mut since_pause = 0;
        let mut resident = [false; ASKED_PAGES];
        for region in self.regions {
            let mut start = region.start;
            while start < region.limit {
                let pages = ((region.limit - start) / PAGE_BYTES).min(ASKED_PAGES as u64) as usize;
                if pages == 0 {
                    break;
                }
                let part = &mut resident[..pages];
                self.pages.resident(start, part).map_err(|error| Failure::Pages(error.to_string()))?;
                let mut at = start;
                for run in part.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(COPIED_PAGES)) {
                    let bytes = run.len() as u64 * PAGE_BYTES;
                    // mutant: H2 pages that are not in memory are read
                    if run[0] {
                        self.run(region.kind, at, bytes, &mut look);
                        since_pause += bytes;
                    }
                    at += bytes;
                }
                start = at;
                if since_pause >= self.pace.slice_bytes {
                    since_pause = 0;
                    if Instant::now() >= self.until {
                        return Err(Failure::Time);
                    }
                    std::thread::sleep(self.pace.pause);
                }
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        kind: RegionKind,
        start: u64,
        bytes: u64,
        look: &mut impl FnMut(RegionKind, u64, &[RawWord]),
    ) {
        let into = &mut self.bytes[..bytes as usize];
        if self.memory.read(start, into).is_err() {
            // One page of it has gone.
            if bytes == PAGE_BYTES {
                self.unread_bytes += bytes;
            } else {
                for page in (start..start + bytes).step_by(PAGE_BYTES as usize) {
                    self.run(kind, page, PAGE_BYTES, look);
                }
            }
            return;
        }
        self.searched_bytes += bytes;
        look(kind, start, into.as_chunks().0);
    }

    /// Appends the words from `start`, the beginning of a page, to `words`: as many as are in memory, before `limit`, and within
    /// the size of a copy.
    pub(crate) fn copy_from(&mut self, start: u64, limit: u64, words: &mut Vec<u64>) {
        let pages = (limit.saturating_sub(start) / PAGE_BYTES).min(WINDOW_PAGES as u64) as usize;
        let mut resident = [false; WINDOW_PAGES];
        if self.pages.resident(start, &mut resident[..pages]).is_err() {
            return;
        }
        let there = resident[..pages].iter().take_while(|&&is_there| is_there).count();
        let into = &mut self.bytes[..there * PAGE_BYTES as usize];
        if self.memory.read(start, into).is_ok() {
            words.extend(into.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)));
        }
    }

    /// Reads the word at `address` if its page is in memory.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let mut resident = [false];
        self.pages.resident(address / PAGE_BYTES * PAGE_BYTES, &mut resident).ok()?;
        let mut word = [0; 8];
        (resident[0] && self.memory.read(address, &mut word).is_ok()).then(|| u64::from_ne_bytes(word))
    }

    /// Returns where the copy lies.
    pub(crate) fn own_range(&self) -> (u64, u64) {
        crate::block::own_range(&self.bytes)
    }
}

impl Drop for Passes<'_> {
    fn drop(&mut self) {
        crate::block::wipe(&mut self.bytes, 0);
    }
}

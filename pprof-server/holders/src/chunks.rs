//! Blocks that were not sampled, by what glibc's allocator writes before each block: how long it is, and whether the one before
//! it is in use. (`slots` has musl's.)
//!
//! A block is found by walking from a known one to the next and the next, so nothing is guessed: where the lengths make no sense,
//! the block is not known.

use crate::block::Block;
use crate::chunk::Chunk;
use crate::pages::PAGE_BYTES;
use crate::pass::Passes;
use crate::region::Region;

/// The allocator's own words before a block, in bytes.
const HEADER_BYTES: u64 = 16;
/// The word that holds the length lies so many bytes before a block.
const LENGTH_BELOW: u64 = 8;
/// A chunk is longer than what was asked for by at most so much, unless it is mapped for itself.
const SLACK_BYTES: u64 = 64;
/// The lowest bits of the length: the chunk before it is in use, it is mapped for itself, it belongs to another arena.
const PREVIOUS_IN_USE: u64 = 1;
const IS_MAPPED: u64 = 2;
const FLAGS: u64 = 7;
const MIN_CHUNK_BYTES: u64 = 32;
const MAX_CHUNK_BYTES: u64 = 1 << 40;
/// The chunk in which the allocator lists the free blocks of a thread. What it points to is free. It has a count and an address for each
/// size.
const THREAD_CACHE_BYTES: u64 = 0x290;
/// Memory of an arena other than the main one begins at a multiple of this.
const HEAP_BYTES: u64 = 64 << 20;
/// Such memory begins with so many bytes of the allocator's words, the first number before glibc 2.35 and the second one since. The
/// arena itself follows in the first memory that it has.
const HEAP_INFO_BYTES: [u64; 2] = [0x20, 0x30];
/// An arena (`struct malloc_state`) has so many bytes from glibc 2.27 on.
const ARENA_BYTES: u64 = 0x898;
/// The address of its last chunk is at this offset in an arena.
const TOP_OFFSET: u64 = 96;
const THREAD_CACHE_SIZES: u64 = 64;
/// The allocator keeps so many blocks of one size for a thread at most, whatever it is told.
const MAX_CACHED: u64 = 127;
/// Each block in that list has a key at this offset, which is random and the same for all.
const KEY_OFFSET: u64 = 8;
/// A key is hardly ever smaller. What a block in use has there, such as a count, mostly is.
const MIN_KEY: u64 = 1 << 32;
/// A walk is given up after so many chunks.
const MAX_STEPS: usize = 1 << 22;

/// Whether this block is glibc's: before it is a length that fits.
pub(crate) fn is_chunk(passes: &Passes<'_>, block: &Block) -> bool {
    let Some(length) = passes.word(block.address.wrapping_sub(LENGTH_BELOW)) else { return false };
    let slack = if length & IS_MAPPED == 0 { SLACK_BYTES } else { 3 * PAGE_BYTES };
    let least = block.bytes + LENGTH_BELOW;
    (least..=least + slack).contains(&(length & !FLAGS))
}

/// Finds the chunks of `places`, which are ascending.
pub(crate) fn chunks(
    passes: &mut Passes<'_>,
    regions: &[Region],
    blocks: &[Block],
    places: &[u64],
) -> Vec<Chunk> {
    let mut walk = Walk { header: 0, limit: 0, window: Window::default(), steps: 0, key: None };
    walk.key = regions.iter().find_map(|region| walk.key_in(passes, region));
    places.iter().map(|&place| walk.to(passes, regions, blocks, place)).collect()
}

/// This walks from chunk to chunk.
struct Walk {
    /// Where the header of the current chunk is; 0 if none is known.
    header: u64,
    /// Where the region ends that the walk is in.
    limit: u64,
    window: Window,
    steps: usize,
    /// What blocks have in them that were freed last, if that is known.
    key: Option<u64>,
}

impl Walk {
    fn to(&mut self, passes: &mut Passes<'_>, regions: &[Region], blocks: &[Block], place: u64) -> Chunk {
        let after = regions.partition_point(|region| region.start <= place);
        let Some(region) = after.checked_sub(1).map(|index| &regions[index]) else { return Chunk::Unknown };
        if self.header == 0 || self.limit != region.limit || place < self.header + HEADER_BYTES {
            (self.header, self.limit) = (region.start, region.limit);
        }
        // mutant: H12 the first chunk of an arena is not known
        if let Some(first) = self.first_of_arena(passes, place, region.limit) {
            self.header = self.header.max(first);
        }
        let below = blocks.partition_point(|block| block.address <= place);
        if let Some(block) = below.checked_sub(1).map(|index| &blocks[index])
            && block.address - HEADER_BYTES.min(block.address) > self.header
        {
            self.header = block.address - HEADER_BYTES;
        }
        // The allocator's own record points to what is free.
        if place < self.header {
            return Chunk::Free;
        }
        let found = self.search(passes, place);
        if found.is_none() {
            self.header = 0;
        }
        found.unwrap_or(Chunk::Unknown)
    }

    /// Finds the header of the first chunk of the arena that `place` lies in, unless it is the main one, whose memory begins with
    /// it. Where the arena is not laid out as expected, no walk begins.
    fn first_of_arena(&mut self, passes: &mut Passes<'_>, place: u64, limit: u64) -> Option<u64> {
        let heap = place / HEAP_BYTES * HEAP_BYTES;
        if self.header > heap || heap == 0 {
            return None;
        }
        let arena = self.window.word(passes, heap, limit)?;
        let first = arena.checked_add(ARENA_BYTES)?.next_multiple_of(HEADER_BYTES);
        if !HEAP_INFO_BYTES.iter().any(|bytes| heap + bytes == arena) {
            return None;
        }
        let top = self.window.word(passes, arena + TOP_OFFSET, limit)?;
        ((first..heap + HEAP_BYTES).contains(&top) && top.is_multiple_of(HEADER_BYTES)).then_some(first)
    }

    /// Returns what blocks have in them that were freed last. Where memory of the allocator's begins, there often is the list of a thread's
    /// free blocks.
    fn key_in(&mut self, passes: &mut Passes<'_>, region: &Region) -> Option<u64> {
        (self.header, self.limit) = (region.start, region.limit);
        if let Some(first) = self.first_of_arena(passes, region.start, region.limit) {
            self.header = first;
        }
        let length = self.window.word(passes, self.header + LENGTH_BELOW, self.limit)?;
        let key = if length & !FLAGS == THREAD_CACHE_BYTES { self.key_of_thread(passes) } else { None };
        self.header = 0;
        key
    }

    fn search(&mut self, passes: &mut Passes<'_>, place: u64) -> Option<Chunk> {
        loop {
            let length = self.window.word(passes, self.header + LENGTH_BELOW, self.limit)?;
            let bytes = length & !FLAGS;
            let is_chunk =
                (MIN_CHUNK_BYTES..MAX_CHUNK_BYTES).contains(&bytes) && bytes.is_multiple_of(HEADER_BYTES);
            self.steps += 1;
            if !is_chunk || self.steps > MAX_STEPS {
                return None;
            }
            let next = self.header + bytes;
            // The first word of the next chunk belongs to this block as long as it is in use.
            if place >= next + LENGTH_BELOW {
                self.header = next;
                continue;
            }
            if place < self.header + HEADER_BYTES {
                return None;
            }
            let is_mapped = length & IS_MAPPED != 0;
            // What the allocator has not handed out yet is the last chunk of its memory.
            let is_free = !is_mapped
                && (next == self.limit
                    || self.window.word(passes, next + LENGTH_BELOW, self.limit)? & PREVIOUS_IN_USE == 0);
            return Some(match is_free {
                // mutant: H3 words in free memory hold
                true => Chunk::Free,
                _ if bytes == THREAD_CACHE_BYTES && self.key_of_thread(passes).is_some() => Chunk::Free,
                _ if bytes == THREAD_CACHE_BYTES => Chunk::Unknown,
                _ if self.is_cached(passes)? => Chunk::Free,
                _ => Chunk::InUse { start: self.header + HEADER_BYTES, end: next },
            });
        }
    }

    /// Whether the current chunk is one that was freed last.
    fn is_cached(&mut self, passes: &mut Passes<'_>) -> Option<bool> {
        let Some(key) = self.key else { return Some(false) };
        let found = self.window.word(passes, self.header + HEADER_BYTES + KEY_OFFSET, self.limit)?;
        Some(found == key)
    }

    /// Returns the key of the blocks that the current chunk lists, if it is the list of a thread's free blocks: each size has an address
    /// if and only if it has a count, and all blocks there have the same key.
    fn key_of_thread(&mut self, passes: &mut Passes<'_>) -> Option<u64> {
        let start = self.header + HEADER_BYTES;
        let mut key = None;
        for size in 0..THREAD_CACHE_SIZES {
            let counts = self.window.word(passes, start + size / 4 * 8, self.limit)?;
            let count = counts >> (size % 4 * 16) & 0xffff;
            let at = start + 2 * THREAD_CACHE_SIZES + 8 * size;
            let block = self.window.word(passes, at, self.limit)?;
            if count > MAX_CACHED || (count == 0) != (block == 0) {
                return None;
            }
            if block != 0 {
                let found = passes.word(block.checked_add(KEY_OFFSET)?)?;
                if found < MIN_KEY || *key.get_or_insert(found) != found {
                    return None;
                }
            }
        }
        key
    }
}

/// A piece of memory that was copied.
#[derive(Default)]
struct Window {
    start: u64,
    words: Vec<u64>,
}

impl Window {
    fn word(&mut self, passes: &mut Passes<'_>, address: u64, limit: u64) -> Option<u64> {
        if address >= limit {
            return None;
        }
        let offset = address.wrapping_sub(self.start) / 8;
        if let Some(&word) = self.words.get(usize::try_from(offset).ok()?) {
            return Some(word);
        }
        crate::block::wipe(&mut self.words, 0);
        self.words.clear();
        self.start = address / PAGE_BYTES * PAGE_BYTES;
        passes.copy_from(self.start, limit, &mut self.words);
        self.words.get(((address - self.start) / 8) as usize).copied()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        crate::block::wipe(&mut self.words, 0);
    }
}

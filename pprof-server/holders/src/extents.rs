//! jemalloc's notes on where its memory begins, which are no pointers of the program's.
//!
//! jemalloc keeps a record of each piece of memory that it hands out blocks from (`edata_t`, "extent" in its own words). The record has the
//! address at which the piece begins, which is that of its first block. So nearly each block of a page or more has its address in such a
//! record, and without a look at what is around that word, the record would be a holder that is not known.

use crate::block::{Block, BlockTable};
use crate::edges::Edge;
use crate::pages::PAGE_BYTES;
use crate::pass::RawWord;

/// Each record begins at a multiple of this (`EDATA_ALIGNMENT`).
const RECORD_BYTES: u64 = 128;
/// The second word of a record is the address (`e_addr`), and the third the length of the piece (`e_size_esn`).
const ADDRESS_OFFSET: u64 = 8;
/// The length is a multiple of the page. The lower bits of the word are a serial number.
const LENGTH: u64 = !(PAGE_BYTES - 1);
/// The first word (`e_bits`) has the number of the piece's size class in these eight bits, from jemalloc 5.3 on.
const CLASS_SHIFT: u32 = 20;
/// No piece is that long. In a list of pointers to blocks the next pointer stands where the length would, and that is larger.
const MAX_LENGTH: u64 = 1 << 40;
/// Fewer blocks do not tell which allocator it is.
const MIN_JUDGED: usize = 8;

/// Whether the word with this index, which is an address in `block`, lies as one in a record of jemalloc's does. The length after it leads
/// from the page of the word beyond the block's end, and the word before it says of which size the blocks are. A vector has its length behind
/// its pointer too, but its capacity before it. `address` is where the word lies.
pub(crate) fn is_in_record(words: &[RawWord], index: usize, address: u64, block: &Block) -> bool {
    if address % RECORD_BYTES != ADDRESS_OFFSET {
        return false;
    }
    let word = |index: usize| words.get(index).map(|word| u64::from_ne_bytes(*word));
    let (Some(bits), Some(begin), Some(length)) =
        (index.checked_sub(1).and_then(word), word(index), word(index + 1))
    else {
        return false;
    };
    let fits = length < MAX_LENGTH && block.end() <= (begin & LENGTH).saturating_add(length & LENGTH);
    // mutant: H32 a vector is taken for a record of jemalloc's
    (bits >> CLASS_SHIFT) & 0xff == size_class(block.bytes) && fits
}

/// The number of the size class that a block of so many bytes is in: 8 bytes are a class, then come those that are 16 bytes apart up to 128,
/// and then each power of two is divided into four (`sz_size2index_compute`).
fn size_class(bytes: u64) -> u64 {
    if bytes <= 8 {
        return 0;
    }
    // The power of two that is not below it, as an exponent.
    let power = u64::from((bytes - 1).ilog2() + 1);
    let (group, step) = (power.saturating_sub(6), power.saturating_sub(3).max(4));
    1 + 4 * group + ((bytes - 1) >> step & 3)
}

/// Whether the program's allocator keeps such records: nearly all known blocks that begin with a page have one.
pub(crate) fn has_records(table: &BlockTable, edges: &[Edge]) -> bool {
    let begins_page = |block: &Block| block.address.is_multiple_of(PAGE_BYTES);
    let judged = table.blocks().iter().filter(|block| begins_page(block)).count();
    let mut recorded: Vec<u32> = edges
        .iter()
        .filter(|edge| edge.is_in_record && table.blocks()[edge.node as usize].address == edge.word)
        .filter(|edge| begins_page(&table.blocks()[edge.node as usize]))
        .map(|edge| edge.node)
        .collect();
    recorded.sort_unstable();
    recorded.dedup();
    judged >= MIN_JUDGED && recorded.len() * 10 >= judged * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_jemallocs() {
        let classes = [8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640];
        for (number, bytes) in (0_u64..).zip(classes) {
            let smallest = number.checked_sub(1).map_or(1, |before| classes[before as usize] + 1);
            assert_eq!((size_class(smallest), size_class(bytes)), (number, number), "{bytes}");
        }
        for (bytes, number) in [(4096, 28), (4097, 29), (5120, 29), (8192, 32), (1 << 20, 60), (1 << 26, 84)]
        {
            assert_eq!(size_class(bytes), number, "{bytes}");
        }
    }
}

//! The blocks that are looked for, by address.

use std::cmp::Reverse;

/// A bit stands for so many bytes of addresses, as a power of two.
const PAGE_SHIFT: u32 = 12;
/// So many bits tell quickly that no block is at an address.
const BITS: usize = 1 << 18;

/// A block of memory that a program has allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins.
    pub address: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// A number for the site that allocated it. Blocks of one site are likely to have holders of one site.
    pub site: u32,
    /// The number under which somebody wants to know who holds it; `None` if it is a possible holder alone.
    pub target: Option<u32>,
}

impl Block {
    /// What is written over a block that is not needed any more.
    pub(crate) const NONE: Block = Block { address: 0, bytes: 0, site: 0, target: None };

    /// Returns the first address after it.
    pub(crate) fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes.max(1))
    }
}

/// Blocks in the order of their addresses.
pub(crate) struct BlockTable {
    blocks: Vec<Block>,
    first: u64,
    span: u64,
    bits: Box<[u64]>,
    /// How many blocks were left out because there are more than the limit.
    pub(crate) left_out: usize,
}

impl BlockTable {
    /// Takes at most `most` of the blocks: first targets, then the largest, since these are the likeliest holders.
    pub(crate) fn new(mut blocks: Vec<Block>, most: usize) -> BlockTable {
        let left_out = blocks.len().saturating_sub(most);
        if left_out > 0 {
            blocks.select_nth_unstable_by_key(most, |block| (block.target.is_none(), Reverse(block.bytes)));
            // What is cut off would lie in free memory as a pointer to each block.
            blocks[most..].fill(Block::NONE);
            blocks.truncate(most);
        }
        blocks.sort_unstable_by_key(|block| block.address);
        let first = blocks.first().map_or(0, |block| block.address);
        let last = blocks.iter().map(Block::end).max().unwrap_or(0);
        let mut bits = vec![0_u64; BITS / 64].into_boxed_slice();
        for block in &blocks {
            let pages = (block.address >> PAGE_SHIFT)..=((block.end() - 1) >> PAGE_SHIFT);
            for page in pages.take(BITS) {
                let bit = page as usize % BITS;
                bits[bit / 64] |= 1 << (bit % 64);
            }
        }
        BlockTable { blocks, first, span: last - first, bits, left_out }
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Returns the index of the block that has `address` in it.
    #[inline(always)]
    pub(crate) fn containing(&self, address: u64) -> Option<usize> {
        // Nearly all words are no pointers, and end here.
        if address.wrapping_sub(self.first) >= self.span {
            return None;
        }
        let bit = (address >> PAGE_SHIFT) as usize % BITS;
        if self.bits[bit / 64] >> (bit % 64) & 1 == 0 {
            return None;
        }
        self.search(address)
    }

    fn search(&self, address: u64) -> Option<usize> {
        let after = self.blocks.partition_point(|block| block.address <= address);
        let index = after.checked_sub(1)?;
        (address < self.blocks[index].end()).then_some(index)
    }

    /// Returns where the table itself lies.
    pub(crate) fn own_range(&self) -> (u64, u64) {
        own_range(&self.blocks)
    }
}

impl Drop for BlockTable {
    fn drop(&mut self) {
        wipe(&mut self.blocks, Block::NONE);
    }
}

/// Returns the range of addresses that a vector has allocated.
pub(crate) fn own_range<T>(items: &Vec<T>) -> (u64, u64) {
    let start = items.as_ptr() as u64;
    (start, start + (items.capacity() * size_of::<T>()) as u64)
}

/// It empties a list, and writes over all of its room: memory that is freed keeps what was in it, and the next search would take that for
/// pointers. What was removed from a list lies behind the items that are left.
pub(crate) fn wipe<T: Copy>(items: &mut Vec<T>, with: T) {
    // mutant: H33 what was removed from a list is left behind
    items.resize(items.capacity(), with);
    items.fill(with);
    // The compiler would leave out a write that nobody reads.
    std::hint::black_box(items.as_mut_slice());
    items.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: u64, bytes: u64, is_target: bool) -> Block {
        Block { address, bytes, site: 0, target: is_target.then_some(7) }
    }

    #[test]
    fn an_address_in_a_block_finds_it() {
        let table = BlockTable::new(
            vec![block(0x9000, 0x3000, false), block(0x1000, 16, true), block(0x1010, 0, true)],
            9,
        );
        for (address, expected) in [
            (0, None),
            (0xfff, None),
            (0x1000, Some(0)),
            (0x100f, Some(0)),
            (0x1010, Some(1)),
            (0x1011, None),
            (0x8fff, None),
            (0x9000, Some(2)),
            (0xa800, Some(2)),
            (0xbfff, Some(2)),
            (0xc000, None),
            (u64::MAX, None),
        ] {
            assert_eq!(table.containing(address), expected, "{address:#x}");
        }
        assert_eq!(BlockTable::new(Vec::new(), 9).containing(0), None);
    }

    /// Values that were removed from a list lie behind its end, and this test reads them there as the search reads memory.
    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_of_a_list_is_left_behind() {
        use tasks::Memory;
        let mut list = vec![7_u64; 16];
        list.truncate(4);
        list.remove(0);
        let room = own_range(&list);
        wipe(&mut list, 0);
        let mut left = [1; 16 * 8];
        tasks::OwnMemory::open().unwrap().read(room.0, &mut left).unwrap();
        assert_eq!(left, [0; 16 * 8]);
    }

    #[test]
    fn targets_and_large_blocks_are_kept() {
        let table = BlockTable::new(
            vec![block(0x1000, 8, false), block(0x2000, 8, true), block(0x3000, 9, false)],
            2,
        );
        assert_eq!(table.blocks(), [block(0x2000, 8, true), block(0x3000, 9, false)]);
        assert_eq!(table.left_out, 1);
    }
}

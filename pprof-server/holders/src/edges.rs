//! The words that were found to point to blocks.
//!
//! There is room for a bounded number of them, and what there is no room for is known to be missing.

use crate::block::Block;
use crate::region::RegionKind;

/// So many words are kept that point to blocks.
pub(crate) const MAX_EDGES: usize = 128 << 10;
/// So many of them point to one block.
pub(crate) const MAX_EDGES_EACH: u32 = 64;

/// A word that points to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) node: u32,
    pub(crate) address: u64,
    pub(crate) word: u64,
    /// Whether it lies as words do that jemalloc has for itself.
    pub(crate) is_in_record: bool,
}

/// Collects words that point to nodes.
pub(crate) struct Edges<'a> {
    pub(crate) edges: &'a mut Vec<Edge>,
    pub(crate) counts: &'a mut [u32],
    pub(crate) is_full: &'a mut bool,
}

impl Edges<'_> {
    #[inline(never)]
    pub(crate) fn add(&mut self, block: &Block, edge: Edge, kind: RegionKind) {
        // What points to a block from within does not hold it.
        if (block.address..block.end()).contains(&edge.address) {
            return;
        }
        // Where a block lies, there may have been a text before of which many pointers to its parts were left behind. So the words that tell
        // most have room of their own: those of variables, which are few, and those to where the block begins, as an owner has them.
        // mutant: H29 words into a block leave no room for that of its owner
        let tells_most = kind != RegionKind::Other || edge.word == block.address;
        let most = if tells_most { 2 * MAX_EDGES_EACH } else { MAX_EDGES_EACH };
        let count = &mut self.counts[edge.node as usize];
        if *count > most {
            return;
        }
        *count += 1;
        if *count > most {
            return;
        }
        if self.edges.len() == MAX_EDGES {
            *self.is_full = true;
            return;
        }
        self.edges.push(edge);
    }
}

//! The result is a chain for each target: the blocks between a root and it.

use crate::block::Block;
use crate::edges::Edge;
use crate::forks::{Fork, Forks};
use crate::graph::{Step, Ways};
use crate::hold::{Hold, Holder, Node};
use crate::region::Root;
use tasks::Masked;

/// Blocks of one site that follow one another in a chain, as in a linked list, are given as one beyond this number of blocks.
const MAX_LINKS: usize = 64;
/// The words of longer chains are not given.
const MAX_WORDS: usize = 16;

/// What holds a target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain {
    /// The number of the target, as the block had it.
    pub target: u32,
    /// The blocks that hold it, the nearest first. At most 64 are given.
    pub links: Vec<Link>,
    /// What holds the last of them, or the target itself if there are none.
    pub end: End,
    /// Other variables lead to it as well. One of the words may have been left behind, so the owner is uncertain between all.
    pub forks: Vec<Fork>,
    /// The words by which each holds the next: the first points to the target, the second to the first of the links, and so on. There are
    /// none if there are more than 16.
    pub way: Vec<Word>,
    /// How many words point to the target itself; 64 stands for all larger numbers.
    pub words: u32,
    /// Whether a single word that was left behind could be the cause.
    pub may_be_stale: bool,
}

/// A word that points to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where the word lies.
    pub place: Masked,
    /// The address that it is.
    pub target: Masked,
}

/// This is a block in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A sampled block of this site.
    Sampled {
        /// This is the site that allocated it.
        site: u32,
        /// How many bytes the block has.
        bytes: u64,
    },
    /// A block that was not sampled.
    Unsampled {
        /// How many bytes it has.
        bytes: u64,
    },
}

/// Where a chain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It begins with a variable.
    Root(Root),
    /// It begins in a block that was not sampled, or in free memory; nobody knows what holds that.
    Unsampled,
    /// Nothing points there.
    Lost,
    /// Only blocks point there that are held by it, directly or through others.
    Cycle,
    /// Not all holders are known, so nothing is said.
    NotJudged,
}

/// Makes the chains of all targets.
pub(crate) fn chains(
    blocks: &[Block],
    climbed: &[Block],
    ways: &Ways,
    nodes: &[Node],
    holds: &[Hold],
    edges: &[Edge],
    doubtful: u64,
) -> Vec<Chain> {
    let mut words = vec![0_u32; ways.steps.len()];
    holds.iter().for_each(|hold| words[hold.node as usize] += 1);
    let known = Known { blocks, climbed, ways, edges, words, forks: Forks::of(ways, nodes, holds), doubtful };
    let targets =
        blocks.iter().enumerate().filter_map(|(index, block)| block.target.map(|target| (index, target)));
    targets.map(|(index, target)| known.chain(index, target)).collect()
}

/// This holds what the search has found. Chains are made from it.
struct Known<'a> {
    blocks: &'a [Block],
    climbed: &'a [Block],
    ways: &'a Ways,
    edges: &'a [Edge],
    /// How many words point to each node.
    words: Vec<u32>,
    forks: Forks<'a>,
    /// A way that costs as much leads over a word that may have been left behind.
    doubtful: u64,
}

impl Known<'_> {
    /// Goes from the block with this index to its root, and returns what it came by.
    fn chain(&self, index: usize, target: u32) -> Chain {
        let (mut links, mut way, mut node, mut end) = (Vec::new(), Vec::new(), index, End::NotJudged);
        let mut forks = Vec::new();
        // No way is longer than there are nodes.
        for _ in 0..=self.ways.steps.len() {
            self.forks.add(node as u32, links.len(), &mut forks);
            let step = &self.ways.steps[node];
            if let Step::By { edge, .. } = step
                && way.len() <= MAX_WORDS
            {
                let Edge { address, word, .. } = self.edges[*edge as usize];
                way.push(Word { place: Masked::of(address), target: Masked::of(word) });
            }
            let Step::By { holder: Holder::Node(by), .. } = step else {
                end = end_of(step);
                break;
            };
            node = *by as usize;
            if links.len() < MAX_LINKS {
                links.push(self.link(node));
            }
        }
        if way.len() > MAX_WORDS {
            way = Vec::new();
        }
        let may_be_stale = self.may_be_stale(index, node, end);
        Chain { target, links, end, forks, way, words: self.words[index], may_be_stale }
    }

    fn link(&self, node: usize) -> Link {
        match self.blocks.get(node) {
            Some(block) => Link::Sampled { site: block.site, bytes: block.bytes },
            None => Link::Unsampled { bytes: self.climbed[node - self.blocks.len()].bytes },
        }
    }

    /// Whether the way from the block `index` over the last node to the end may begin with a word that was left behind.
    fn may_be_stale(&self, index: usize, last: usize, end: End) -> bool {
        // A stack often has more than one word of a variable. What makes a way from another variable doubtful is a single word.
        let is_single = match end {
            End::Root(Root::Stack(_)) => self.words[last] < 2 || self.ways.costs[index] >> 32 >= 10_000,
            End::Root(_) => true,
            _ => false,
        };
        self.ways.costs[index] >= self.doubtful && is_single
    }
}

/// Where a chain ends at whose last block this step is.
fn end_of(step: &Step) -> End {
    match *step {
        Step::By { holder: Holder::Root(root), .. } => End::Root(root),
        Step::By { holder: Holder::RunningStack(thread), .. } => End::Root(Root::Stack(thread)),
        Step::By { holder: Holder::Unsampled, .. } => End::Unsampled,
        Step::Lost => End::Lost,
        Step::Cycle => End::Cycle,
        Step::By { holder: Holder::Node(_), .. } | Step::NotJudged => End::NotJudged,
    }
}

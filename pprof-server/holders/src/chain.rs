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
    let link = |node: usize| match blocks.get(node) {
        Some(block) => Link::Sampled { site: block.site, bytes: block.bytes },
        None => Link::Unsampled { bytes: climbed[node - blocks.len()].bytes },
    };
    let forks = Forks::of(ways, nodes, holds);
    let chain = |(index, block): (usize, &Block)| {
        let (mut links, mut way, mut node, mut end) = (Vec::new(), Vec::new(), index, End::NotJudged);
        let mut others = Vec::new();
        for _ in 0..=ways.steps.len() {
            forks.add(node as u32, links.len(), &mut others);
            if let Step::By { edge, .. } = ways.steps[node]
                && way.len() <= MAX_WORDS
            {
                let Edge { address, word, .. } = edges[edge as usize];
                way.push(Word { place: Masked::of(address), target: Masked::of(word) });
            }
            end = match ways.steps[node] {
                Step::By { holder: Holder::Node(by), .. } => {
                    node = by as usize;
                    if links.len() < MAX_LINKS {
                        links.push(link(node));
                    }
                    continue;
                }
                Step::By { holder: Holder::Root(root), .. } => End::Root(root),
                Step::By { holder: Holder::RunningStack(thread), .. } => End::Root(Root::Stack(thread)),
                Step::By { holder: Holder::Unsampled, .. } => End::Unsampled,
                Step::Lost => End::Lost,
                Step::Cycle => End::Cycle,
                Step::NotJudged => End::NotJudged,
            };
            break;
        }
        if way.len() > MAX_WORDS {
            way = Vec::new();
        }
        // A stack often has more than one word of a variable. What makes a way from another variable doubtful is a single word.
        let is_single = match end {
            End::Root(Root::Stack(_)) => words[node] < 2 || ways.costs[index] >> 32 >= 10_000,
            End::Root(_) => true,
            _ => false,
        };
        let may_be_stale = ways.costs[index] >= doubtful && is_single;
        Chain {
            target: block.target.unwrap_or_default(),
            links,
            end,
            forks: others,
            way,
            words: words[index],
            may_be_stale,
        }
    };
    blocks.iter().enumerate().filter(|(_, block)| block.target.is_some()).map(chain).collect()
}

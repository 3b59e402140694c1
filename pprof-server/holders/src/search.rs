//! The search: passes over memory, and after each what is known by then.

use std::time::{Duration, Instant};

use crate::allocator::Allocator;
use crate::block::{Block, BlockTable, own_range, wipe};
use crate::chain::{Chain, chains};
use crate::chunk::SHARED_BYTES;
use crate::edges::{Edge, Edges, MAX_EDGES, MAX_EDGES_EACH};
use crate::error::Failure;
use crate::extents;
use crate::graph::{DOUBTFUL, Step, Ways, ways};
use crate::hold::{Hold, Holder, Holds, Node};
use crate::pages::Pages;
use crate::pass::{Pace, Passes};
use crate::region::{Place, Places, Region, Thread, is_within, merged};
use crate::thread_pointers::Candidates;
use tasks::Memory;

/// So many blocks are looked for at most.
const MAX_BLOCKS: usize = 64 << 10;
/// So many times the search climbs over blocks that were not sampled.
const MAX_HOPS: usize = 3;
/// The time between two looks.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(10);

/// What is searched, and how.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// These ranges are searched. They are ascending.
    pub regions: &'a [Region],
    /// All threads; the first one is the first of the process.
    pub threads: &'a [Thread],
    /// How many bytes below the thread pointer the program's own thread-local variables have.
    pub thread_local_bytes: u64,
    /// These ranges are not searched, since they belong to the profiler.
    pub left_out: &'a [(u64, u64)],
    /// These are variables of the profiler's own, which hold nothing of the program's.
    pub own_variables: &'a [(u64, u64)],
    /// This says how fast the search may go.
    pub pace: Pace,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// There is a chain for each target, in the order of their addresses.
    pub chains: Vec<Chain>,
    /// How many bytes were looked at, in all passes together.
    pub searched_bytes: u64,
    /// How many times memory was gone over.
    pub passes: usize,
    /// How long it took.
    pub time: Duration,
    /// How many bytes could not be read.
    pub unread_bytes: u64,
    /// How many blocks were not looked for, because there are too many.
    pub blocks_left_out: usize,
    /// Whether there were more words than are kept, so that holders may be missing.
    pub is_cut: bool,
    /// Whether blocks that were not sampled can be told, as glibc's and musl's can.
    pub tells_unsampled: bool,
}

/// Finds what holds the targets among `blocks`.
///
/// `blocks` are all sampled blocks. Nothing is written, no page is brought into memory, and no pointer is followed but by a copy.
///
/// # Errors
///
/// It is an error if the time is over, if the system does not tell which pages are in memory, or if there is no memory for the
/// tables, which have at most 16 MiB.
///
/// # Cost
///
/// There are one to five passes. Each copies all private memory that is resident, and pauses as [`Pace`] says.
pub fn search(
    memory: &dyn Memory,
    pages: &dyn Pages,
    scene: Scene<'_>,
    blocks: Vec<Block>,
) -> Result<Found, Failure> {
    let start = Instant::now();
    let mut search = Search::new(memory, pages, scene, blocks)?;
    search.look_for_blocks(None)?;
    search.thread_pointers = search.pointers.thread_pointers(&search.passes, scene.threads);
    let mut ways = search.judged();
    for _ in 0..MAX_HOPS {
        if !search.climb(&ways)? {
            break;
        }
        ways = search.judged();
    }
    // mutant: H6 one look is enough to call a block lost
    if search.has_unreached_target(&ways) {
        std::thread::sleep(SECOND_LOOK_AFTER);
        search.look_for_blocks(Some(&ways))?;
        ways = search.judged();
    }
    let ways = search.confirmed(ways);
    Ok(Found {
        chains: chains(
            search.table.blocks(),
            &search.climbed,
            &ways,
            &search.nodes(),
            &search.holds(),
            &search.edges,
            DOUBTFUL,
        ),
        searched_bytes: search.passes.searched_bytes,
        passes: search.pass_count,
        time: start.elapsed(),
        unread_bytes: search.passes.unread_bytes,
        blocks_left_out: search.table.left_out,
        is_cut: search.is_full,
        tells_unsampled: search.allocator.is_some(),
    })
}

/// A search that is under way.
pub(crate) struct Search<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) passes: Passes<'a>,
    pub(crate) pass_count: usize,
    pub(crate) table: BlockTable,
    /// Blocks that were not sampled, ascending by address. Their nodes come after those of the table.
    pub(crate) climbed: Vec<Block>,
    pub(crate) edges: Vec<Edge>,
    /// How many words point to each node.
    pub(crate) counts: Vec<u32>,
    pub(crate) pointers: Candidates,
    pub(crate) thread_pointers: Vec<(u64, usize)>,
    /// Words that are in free memory, masked, since this list is searched too.
    pub(crate) free: Vec<u64>,
    pub(crate) is_full: bool,
    pub(crate) allocator: Option<Allocator>,
    /// Whether the allocator keeps records that have the addresses of blocks.
    has_records: bool,
}

impl<'a> Search<'a> {
    fn new(
        memory: &'a dyn Memory,
        pages: &'a dyn Pages,
        scene: Scene<'a>,
        blocks: Vec<Block>,
    ) -> Result<Search<'a>, Failure> {
        let table = BlockTable::new(blocks, MAX_BLOCKS);
        let passes = Passes::new(memory, pages, scene.regions, scene.pace);
        let mut edges = Vec::new();
        edges.try_reserve_exact(MAX_EDGES).map_err(|_| Failure::NoMemory)?;
        let allocator = Allocator::of(&passes, table.blocks());
        let counts = vec![0; table.blocks().len()];
        Ok(Search {
            scene,
            passes,
            pass_count: 0,
            table,
            climbed: Vec::new(),
            edges,
            counts,
            pointers: Candidates::default(),
            thread_pointers: Vec::new(),
            free: Vec::new(),
            is_full: false,
            allocator,
            has_records: false,
        })
    }

    /// Returns the ranges in which words do not count.
    pub(crate) fn left_out(&self, ways: Option<&Ways>) -> Vec<(u64, u64)> {
        let own = [self.table.own_range(), own_range(&self.edges), own_range(&self.climbed)];
        let steps = ways.map(|ways| own_range(&ways.steps));
        merged(
            [
                self.scene.left_out,
                self.scene.own_variables,
                &own,
                steps.as_slice(),
                &[self.passes.own_range()],
            ]
            .concat(),
        )
    }

    /// Looks for words that point to blocks of the table, in one pass: to all of them, or to those that no root reaches.
    fn look_for_blocks(&mut self, unreached: Option<&Ways>) -> Result<(), Failure> {
        let left_out = self.left_out(unreached);
        let is_unreached = |node: usize| {
            unreached.is_some_and(|ways| matches!(end_of(ways, node), Step::Lost | Step::Cycle))
        };
        let is_wanted: Vec<bool> =
            (0..self.counts.len()).map(|node| unreached.is_none() || is_unreached(node)).collect();
        // What is looked for again is counted again.
        let again = self.counts.iter_mut().zip(&is_wanted);
        again.for_each(|(count, is_wanted)| *count = if *is_wanted { 0 } else { *count });
        let (table, pointers) = (&self.table, &mut self.pointers);
        let mut edges =
            Edges { edges: &mut self.edges, counts: &mut self.counts, is_full: &mut self.is_full };
        self.pass_count += 1;
        self.passes.each_run(|kind, start, words| {
            for (index, word) in words.iter().enumerate() {
                let word = u64::from_ne_bytes(*word);
                let address = start + 8 * index as u64;
                pointers.look(words, index, address);
                if let Some(node) = table.containing(word)
                    && is_wanted[node]
                    && !is_within(&left_out, address)
                {
                    let block = &table.blocks()[node];
                    let is_in_record = extents::is_in_record(words, index, address, block);
                    edges.add(block, Edge { node: node as u32, address, word, is_in_record }, kind);
                }
            }
        })?;
        self.edges.sort_unstable();
        self.edges.dedup();
        self.has_records = self.allocator.is_none() && extents::has_records(&self.table, &self.edges);
        self.drop_free();
        Ok(())
    }

    /// Drops the words that are in free memory.
    pub(crate) fn drop_free(&mut self) {
        self.edges.retain(|edge| self.free.binary_search(&!edge.address).is_err());
    }

    fn nodes(&self) -> Vec<Node> {
        let is_cut = |index: usize| self.is_full || self.counts[index] > MAX_EDGES_EACH;
        let sampled = self.table.blocks().iter().enumerate();
        let sampled = sampled.map(|(index, block)| Node { site: Some(block.site), is_cut: is_cut(index) });
        let climbed = (0..self.climbed.len()).map(|index| is_cut(self.table.blocks().len() + index));
        sampled.chain(climbed.map(|is_cut| Node { site: None, is_cut })).collect()
    }

    /// Tells of each word what it is part of.
    pub(crate) fn holds(&self) -> Holds {
        let left_out = self.left_out(None);
        let places = Places {
            regions: self.scene.regions,
            threads: self.scene.threads,
            thread_pointers: &self.thread_pointers,
            thread_local_bytes: self.scene.thread_local_bytes,
            left_out: &left_out,
        };
        let hold = |(edge, number): (&Edge, u32)| {
            let holder = match self.node_at(edge.address) {
                Some(node) => Holder::Node(node),
                None => match places.place(edge.address) {
                    Place::Root(root) => Holder::Root(root),
                    Place::RunningStack(thread) => Holder::RunningStack(thread),
                    // mutant: H32 a record of jemalloc's holds a block
                    Place::Unsampled if edge.is_in_record && self.has_records => return None,
                    Place::Unsampled => Holder::Unsampled,
                    Place::BelowStack(_) | Place::Allocator | Place::Nothing => return None,
                },
            };
            (holder != Holder::Node(edge.node)).then_some(Hold { node: edge.node, holder, edge: number })
        };
        Holds::collect(self.edges.len(), self.edges.iter().zip(0..).filter_map(hold))
    }

    fn node_at(&self, address: u64) -> Option<u32> {
        let sampled = self.table.containing(address).map(|node| node as u32);
        sampled.or_else(|| {
            let after = self.climbed.partition_point(|block| block.address <= address);
            let index = after.checked_sub(1)?;
            (address < self.climbed[index].end() + SHARED_BYTES)
                .then_some((self.table.blocks().len() + index) as u32)
        })
    }

    fn judged(&self) -> Ways {
        ways(&self.nodes(), &self.holds())
    }

    fn has_unreached_target(&self, ways: &Ways) -> bool {
        let targets = self.table.blocks().iter().enumerate().filter(|(_, block)| block.target.is_some());
        targets.map(|(index, _)| end_of(ways, index)).any(|end| matches!(end, Step::Lost | Step::Cycle))
    }

    /// Looks once more at the words that the ways go by, and goes without those that have changed.
    fn confirmed(&mut self, mut ways: Ways) -> Ways {
        for _ in 0..MAX_HOPS {
            let mut changed: Vec<u32> = Vec::new();
            for step in &ways.steps {
                if let Step::By { edge, .. } = *step {
                    let Edge { address, word, .. } = self.edges[edge as usize];
                    // mutant: H7 a word that has changed meanwhile holds
                    if self.passes.word(address) != Some(word) {
                        changed.push(edge);
                    }
                }
            }
            if changed.is_empty() {
                break;
            }
            changed.sort_unstable();
            changed.dedup();
            for &edge in changed.iter().rev() {
                let node = self.edges.remove(edge as usize).node as usize;
                // What held it has moved, so it is not lost.
                self.counts[node] = self.counts[node].max(MAX_EDGES_EACH + 1);
            }
            ways = self.judged();
        }
        ways
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        wipe(&mut self.edges, Edge { node: 0, address: 0, word: 0, is_in_record: false });
        wipe(&mut self.climbed, Block::NONE);
    }
}

/// Follows the best way to a node up to where it begins.
fn end_of(ways: &Ways, mut node: usize) -> Step {
    for _ in 0..ways.steps.len() {
        match ways.steps[node] {
            Step::By { holder: Holder::Node(by), .. } => node = by as usize,
            end => return end,
        }
    }
    Step::NotJudged
}

//! Climbing over blocks that were not sampled: which blocks hold targets so, and what points to these.

use crate::block::{Block, BlockTable, own_range, wipe};
use crate::chunk::Chunk;
use crate::edges::{Edge, Edges};
use crate::error::Failure;
use crate::graph::{DOUBTFUL, Step, Ways};
use crate::hold::{Hold, Holder};
use crate::region::{is_within, merged};
use crate::search::Search;

/// So many blocks that were not sampled are looked for at most, in all passes.
const MAX_CLIMBED: usize = 16 << 10;

impl Search<'_> {
    /// Finds the blocks that hold targets and were not sampled, and looks for what points to them. Returns false if there is
    /// no more to find.
    pub(crate) fn climb(&mut self, ways: &Ways) -> Result<bool, Failure> {
        let Some(allocator) = self.allocator.filter(|_| self.climbed.len() < MAX_CLIMBED) else {
            return Ok(false);
        };
        let mut places = self.unsampled_places(ways);
        let (passes, regions) = (&mut self.passes, self.scene.regions);
        let mut found = allocator.chunks(passes, regions, self.table.blocks(), &places);
        let known_free = self.free.len();
        let free = places.iter().zip(&found).filter(|(_, chunk)| **chunk == Chunk::Free);
        self.free.extend(free.map(|(&place, _)| !place));
        self.free.sort_unstable();
        let has_new_free = self.free.len() > known_free;
        self.drop_free();
        // A vector that grows leaves what was in it behind.
        let mut new: Vec<Block> = Vec::with_capacity(found.len());
        for chunk in &found {
            if let Chunk::InUse { start, end } = *chunk
                && self.climbed.len() + new.len() < MAX_CLIMBED
                && new.last().is_none_or(|last| last.address != start)
            {
                new.push(Block { address: start, bytes: end - start, site: 0, target: None });
            }
        }
        wipe(&mut places, 0);
        // The other variants leave in their room what was there.
        wipe(&mut found, Chunk::InUse { start: 0, end: 0 });
        if new.is_empty() {
            return Ok(has_new_free);
        }
        self.add_climbed(new, ways)?;
        Ok(true)
    }

    /// Returns the words outside of known blocks by which the best ways to targets go, ascending.
    fn unsampled_places(&self, ways: &Ways) -> Vec<u64> {
        let mut is_on_way = vec![false; ways.steps.len()];
        for (index, block) in self.table.blocks().iter().enumerate() {
            let mut node = index;
            // A target that a static holds needs no more.
            while block.target.is_some() && ways.costs[index] >= DOUBTFUL && !is_on_way[node] {
                is_on_way[node] = true;
                match ways.steps[node] {
                    Step::By { holder: Holder::Node(by), .. } => node = by as usize,
                    _ => break,
                }
            }
        }
        let unsampled = |hold: &Hold| hold.holder == Holder::Unsampled && is_on_way[hold.node as usize];
        let holds = self.holds();
        let mut places = Vec::with_capacity(holds.len());
        places.extend(
            holds.iter().filter(|hold| unsampled(hold)).map(|hold| self.edges[hold.edge as usize].address),
        );
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Adds blocks that were not sampled, and looks for words that point to them, in one pass.
    fn add_climbed(&mut self, new: Vec<Block>, ways: &Ways) -> Result<(), Failure> {
        let table = BlockTable::new(new, MAX_CLIMBED);
        let mut climbed = [&self.climbed[..], table.blocks()].concat();
        climbed.sort_unstable_by_key(|block| block.address);
        self.renumber(climbed);
        let climbed = &self.climbed;
        let own = [own_range(climbed), table.own_range()];
        let left_out = merged([&self.left_out(Some(ways))[..], &own].concat());
        let sampled = self.table.blocks().len();
        let mut edges =
            Edges { edges: &mut self.edges, counts: &mut self.counts, is_full: &mut self.is_full };
        self.pass_count += 1;
        self.passes.each_run(|kind, start, words| {
            for (index, word) in words.iter().enumerate() {
                let word = u64::from_ne_bytes(*word);
                let address = start + 8 * index as u64;
                if let Some(found) = table.containing(word)
                    && !is_within(&left_out, address)
                {
                    let block = &table.blocks()[found];
                    let index = climbed.partition_point(|other| other.address < block.address);
                    edges.add(
                        block,
                        Edge { node: (sampled + index) as u32, address, word, is_in_record: false },
                        kind,
                    );
                }
            }
        })?;
        self.edges.sort_unstable();
        // A word that was known to be in free memory may point to another block by now.
        self.drop_free();
        Ok(())
    }

    /// Gives the nodes of blocks that were not sampled their numbers among `climbed`, which are kept.
    fn renumber(&mut self, climbed: Vec<Block>) {
        let sampled = self.table.blocks().len();
        let number = |block: &Block| sampled + climbed.partition_point(|other| other.address < block.address);
        let mut counts = vec![0; sampled + climbed.len()];
        counts[..sampled].copy_from_slice(&self.counts[..sampled]);
        for (old, block) in self.climbed.iter().enumerate() {
            counts[number(block)] = self.counts[sampled + old];
        }
        for edge in &mut self.edges {
            if let Some(old) = (edge.node as usize).checked_sub(sampled) {
                edge.node = number(&self.climbed[old]) as u32;
            }
        }
        wipe(&mut self.climbed, Block::NONE);
        (self.climbed, self.counts) = (climbed, counts);
    }
}

//! The search: passes over memory for words that point to blocks, and what each of these words is part of.

use std::collections::BTreeMap;

use tasks::{Masked, Memory};

use super::Finder;
use crate::allocator::Allocator;
use crate::block::{Block, BlockTable, own_range};
use crate::chunk::{Chunk, SHARED_BYTES};
use crate::error::Failure;
use crate::pages::Pages;
use crate::pass::Passes;
use crate::region::{Place, Places, Root, is_within, merged};
use crate::search::Scene;
use crate::thread_pointers::Candidates;

/// So many blocks are looked for at most.
const MAX_BLOCKS: usize = 64 << 10;
/// So many words are kept that point to blocks.
const MAX_WORDS: usize = 256 << 10;
/// So many of them point to one block.
pub(super) const MAX_WORDS_EACH: u32 = 4096;

/// A block that is looked for, or at which ways end.
pub(super) struct Node {
    pub(super) start: Masked,
    pub(super) end: Masked,
    pub(super) is_end: bool,
    pub(super) is_searched: bool,
    /// How many words point to it.
    pub(super) words: u32,
}

/// A word that points to a node.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) node: u32,
    /// Where it lies.
    pub(super) place: Masked,
    /// Whether it is the address at which the block begins.
    pub(super) is_start: bool,
    pub(super) holder: Holder,
}

/// What a word is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    NotNamed,
    Node(u32),
    Root(Root),
    /// What a thread has left behind, unless it has run since.
    BelowStack(u32),
    Unknown,
    /// A variable of the profiler's own. What only such lead to is in use, and nobody else can use it.
    Own,
    /// Memory that is free, or the search's own.
    Nothing,
}

/// A search that is under way. It keeps addresses masked, since it goes over its own memory too.
pub(super) struct Search<'a> {
    scene: Scene<'a>,
    pub(super) passes: Passes<'a>,
    pub(super) pass_count: usize,
    sampled: BlockTable,
    allocator: Option<Allocator>,
    pub(super) nodes: Vec<Node>,
    /// The number of each node by where it begins. The order of masked addresses is descending.
    by_start: BTreeMap<Masked, u32>,
    pub(super) words: Vec<Word>,
    pub(super) is_full: bool,
    candidates: Candidates,
    thread_pointers: Vec<(u64, usize)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        memory: &'a dyn Memory,
        pages: &'a dyn Pages,
        scene: Scene<'a>,
        blocks: Vec<Block>,
    ) -> Result<Search<'a>, Failure> {
        let sampled = BlockTable::new(blocks, MAX_BLOCKS);
        let passes = Passes::new(memory, pages, scene.regions, scene.pace);
        let mut words = Vec::new();
        words.try_reserve_exact(MAX_WORDS).map_err(|_| Failure::NoMemory)?;
        let allocator = Allocator::of(&passes, sampled.blocks());
        Ok(Search {
            scene,
            passes,
            pass_count: 0,
            sampled,
            allocator,
            nodes: Vec::new(),
            by_start: BTreeMap::new(),
            words,
            is_full: false,
            candidates: Candidates::default(),
            thread_pointers: Vec::new(),
        })
    }

    /// Returns the nodes of the blocks that have these places.
    pub(super) fn blocks_of(&mut self, places: &[Masked], finder: &mut dyn Finder) -> Vec<Option<u32>> {
        let mut unsampled: Vec<u64> =
            places.iter().map(|place| place.address()).filter(|&place| self.known(place).is_none()).collect();
        unsampled.sort_unstable();
        unsampled.dedup();
        self.add_chunks(&unsampled, finder);
        crate::block::wipe(&mut unsampled, 0);
        places.iter().map(|place| self.node_at(place.address(), finder)).collect()
    }

    /// Returns the block that has the address, if it is known: where it begins and ends.
    fn known(&self, address: u64) -> Option<(u64, u64)> {
        let index = self.sampled.containing(address)?;
        let block = &self.sampled.blocks()[index];
        Some((block.address, block.end()))
    }

    /// Returns the node of the block that has the address, if that is sampled or was found before.
    fn node_at(&mut self, address: u64, finder: &mut dyn Finder) -> Option<u32> {
        if let Some((start, end)) = self.known(address) {
            return Some(self.node(start, end, finder));
        }
        let (_, &number) = self.by_start.range(Masked::of(address)..).next()?;
        let end = self.nodes[number as usize].end.address();
        (address < end.saturating_add(SHARED_BYTES)).then_some(number)
    }

    /// Returns the node of a block, and makes it if there is none.
    fn node(&mut self, start: u64, end: u64, finder: &mut dyn Finder) -> u32 {
        let start = Masked::of(start);
        if let Some(&number) = self.by_start.get(&start) {
            return number;
        }
        let number = self.nodes.len() as u32;
        // mutant: H20 what points to a task that waits leads on
        let is_end = finder.is_end(start);
        self.nodes.push(Node { start, end: Masked::of(end), is_end, is_searched: false, words: 0 });
        self.by_start.insert(start, number);
        number
    }

    /// Makes nodes of the chunks in use that have these places, which are ascending. Returns what is known of each place.
    fn add_chunks(&mut self, places: &[u64], finder: &mut dyn Finder) -> Vec<Holder> {
        let Some(allocator) = self.allocator else { return vec![Holder::Unknown; places.len()] };
        let (passes, regions) = (&mut self.passes, self.scene.regions);
        let mut found = allocator.chunks(passes, regions, self.sampled.blocks(), places);
        let holders = found
            .iter()
            .map(|chunk| match *chunk {
                Chunk::InUse { start, end } => Holder::Node(self.node(start, end, finder)),
                // mutant: H21 what is in free memory leads to a block
                Chunk::Free => Holder::Nothing,
                Chunk::Unknown => Holder::Unknown,
            })
            .collect();
        crate::block::wipe(&mut found, Chunk::InUse { start: 0, end: 0 });
        holders
    }

    /// Lists the nodes that were not looked for yet.
    pub(super) fn fresh(&self) -> Vec<u32> {
        let is_fresh = |node: &Node| !node.is_end && !node.is_searched;
        let fresh = (0..).zip(&self.nodes).filter(|(_, node)| is_fresh(node)).map(|(number, _)| number);
        fresh.take(MAX_BLOCKS).collect()
    }

    /// Looks for words that point to these nodes, in one pass.
    pub(super) fn look_for(&mut self, fresh: &[u32]) -> Result<(), Failure> {
        let block = |&number: &u32| {
            let node = &self.nodes[number as usize];
            let (start, end) = (node.start.address(), node.end.address());
            Block { address: start, bytes: end - start, site: number, target: None }
        };
        let wanted = BlockTable::new(fresh.iter().map(block).collect(), MAX_BLOCKS);
        fresh.iter().for_each(|&number| self.nodes[number as usize].is_searched = true);
        let left_out = merged([&self.left_out()[..], &[wanted.own_range()]].concat());
        let is_first = self.pass_count == 0;
        self.pass_count += 1;
        let (nodes, all, is_full) = (&mut self.nodes, &mut self.words, &mut self.is_full);
        let candidates = &mut self.candidates;
        self.passes.each_run(|_, start, words| {
            for (index, word) in words.iter().enumerate() {
                let word = u64::from_ne_bytes(*word);
                let address = start + 8 * index as u64;
                if is_first {
                    candidates.look(words, index, address);
                }
                let Some(found) = wanted.containing(word) else { continue };
                let block = &wanted.blocks()[found];
                // What points to a block from within does not hold it.
                if (block.address..block.end()).contains(&address) || is_within(&left_out, address) {
                    continue;
                }
                let count = &mut nodes[block.site as usize].words;
                *count = count.saturating_add(1);
                if all.len() == MAX_WORDS {
                    *is_full = true;
                } else if *count <= MAX_WORDS_EACH {
                    let (place, is_start) = (Masked::of(address), word == block.address);
                    all.push(Word { node: block.site, place, is_start, holder: Holder::NotNamed });
                }
            }
        })?;
        if is_first {
            self.thread_pointers = self.candidates.thread_pointers(&self.passes, self.scene.threads);
        }
        Ok(())
    }

    /// Returns the ranges in which words do not count.
    fn left_out(&self) -> Vec<(u64, u64)> {
        let own = [self.sampled.own_range(), own_range(&self.words), own_range(&self.nodes)];
        merged([self.scene.left_out, &own, &[self.passes.own_range()]].concat())
    }

    /// Tells of each new word what it is part of.
    pub(super) fn name_holders(&mut self, finder: &mut dyn Finder) {
        let (left_out, own_variables) = (self.left_out(), merged(self.scene.own_variables.to_vec()));
        let first = self.words.partition_point(|word| word.holder != Holder::NotNamed);
        let mut unsampled = Vec::with_capacity(self.words.len() - first);
        for index in first..self.words.len() {
            let address = self.words[index].place.address();
            self.words[index].holder = match self.node_at(address, finder) {
                Some(number) => Holder::Node(number),
                None => match self.place(address, &left_out) {
                    Holder::NotNamed => {
                        unsampled.push(address);
                        Holder::NotNamed
                    }
                    // mutant: H17 the profiler's own variables lead to what a task waits for
                    Holder::Root(_) if is_within(&own_variables, address) => Holder::Own,
                    holder => holder,
                },
            };
        }
        unsampled.sort_unstable();
        unsampled.dedup();
        let holders = self.add_chunks(&unsampled, finder);
        for word in &mut self.words[first..] {
            if word.holder == Holder::NotNamed {
                let known = unsampled.binary_search(&word.place.address());
                word.holder = known.map_or(Holder::Unknown, |index| holders[index]);
            }
        }
        crate::block::wipe(&mut unsampled, 0);
    }

    /// Returns the variable or the stack that has the address.
    pub(super) fn root_at(&self, address: u64) -> Option<Root> {
        match self.place(address, &[]) {
            Holder::Root(root) => Some(root),
            _ => None,
        }
    }

    /// Tells what a word is part of that is in no block that is known.
    fn place(&self, address: u64, left_out: &[(u64, u64)]) -> Holder {
        let places = Places {
            regions: self.scene.regions,
            threads: self.scene.threads,
            thread_pointers: &self.thread_pointers,
            thread_local_bytes: self.scene.thread_local_bytes,
            left_out,
        };
        match places.place(address) {
            Place::Root(root) => Holder::Root(root),
            Place::RunningStack(thread) => Holder::Root(Root::Stack(thread)),
            Place::BelowStack(thread) => Holder::BelowStack(thread),
            Place::Allocator => Holder::Unknown,
            Place::Unsampled => Holder::NotNamed,
            Place::Nothing => Holder::Nothing,
        }
    }
}

//! One look at all tasks: what each waits for, what leads to that, and what is to be concluded.
//!
//! Path: *read path*. Cost: that of reading the tasks, and of the search for all ways to what they wait for.

use super::found_tasks::FoundTasks;
use super::threads::Turns;
use super::verdict::{Facts, Reason, Verdict, Waker, verdicts};
use crate::mappings::Mappings;
use crate::sources::goroutine::tasks::Cells;
use crate::sources::holders::{PACE, RootNames, Surroundings};
use alloc_profiler::internal::live_blocks;
use holders::{Block, Finder, Origin, PageMap, Reached, Root, origins};
use std::collections::{BTreeMap, BTreeSet};
use tasks::{Masked, Memory, Part, TypeIndex, Wait, Waiting};

/// What leads to a task may be tasks that were not known, and so on. So many times the search begins anew for these.
const MAX_ROUNDS: usize = 6;
/// The first two words behind an `Arc` are the numbers of its strong and weak pointers. Larger numbers are none.
const MAX_POINTERS: u64 = 1 << 24;

/// What was found.
pub(super) struct Look<'a> {
    pub(super) found: FoundTasks<'a>,
    /// There is one for each task, in their order.
    pub(super) facts: Vec<Facts>,
    pub(super) verdicts: Vec<Verdict>,
    /// The names of variables and stacks that lead to what tasks wait for.
    pub(super) roots: RootNames,
    pub(super) searched_bytes: u64,
    pub(super) passes: usize,
}

/// Looks at all tasks in `cells`. Of those that are not among `suspected`, if that is given, it is only found whether they have ended.
///
/// # Errors
///
/// A sentence says why memory cannot be searched.
pub(super) fn look<'a>(
    cells: &Cells,
    index: &'a mut TypeIndex,
    memory: &'a dyn Memory,
    mappings: &Mappings,
    suspected: Option<&[bool]>,
) -> Result<Look<'a>, String> {
    // What threads do from here on counts as done during the search.
    let turns = Turns::now();
    let surroundings = Surroundings::of_process(mappings)?;
    let pages = PageMap::open().map_err(|error| {
        format!("it is not known which pages are in memory ({error}); allow reading /proc/self/pagemap")
    })?;
    let mut search = Search {
        found: FoundTasks::read(cells, index, memory, suspected),
        turns,
        reached: BTreeMap::new(),
        searched_bytes: 0,
        passes: 0,
        is_reliable: true,
    };
    search.run(memory, &pages, &surroundings)?;
    let joined = search.found.joined();
    let facts = search.found.facts(|task, waiting| {
        let mut wakers = search.wakers(memory, task, waiting);
        if waiting.has_handle {
            // There is one handle, so that whoever waits for it is whoever has it.
            let by = joined.get(&search.found.tasks[task].cell);
            wakers.insert(by.map_or(Waker::Handle, |&by| Waker::Task(by)));
        }
        wakers.into_iter().collect()
    });
    let roots: BTreeSet<Root> = search.reached.values().flat_map(roots_of).collect();
    Ok(Look {
        verdicts: verdicts(&facts),
        facts,
        roots: RootNames::of(&roots, &surroundings, mappings),
        searched_bytes: search.searched_bytes,
        passes: search.passes,
        found: search.found,
    })
}

fn roots_of(reached: &Reached) -> impl Iterator<Item = Root> {
    reached.origins.iter().filter_map(|origin| match origin {
        Origin::Root(root) => Some(*root),
        _ => None,
    })
}

struct Search<'a> {
    found: FoundTasks<'a>,
    turns: Turns,
    /// What leads to each place that a task waits for.
    reached: BTreeMap<Masked, Reached>,
    searched_bytes: u64,
    passes: usize,
    /// Whether all memory could be read.
    is_reliable: bool,
}

/// Tells the search where ways end: at tasks that have not ended.
struct AtTasks<'s, 'a> {
    found: &'s mut FoundTasks<'a>,
    turns: &'s Turns,
}

impl Finder for AtTasks<'_, '_> {
    fn is_end(&mut self, start: Masked) -> bool {
        self.found.at(start).is_some_and(|task| !self.found.has_ended(task))
    }

    fn is_sure(&mut self, end: Masked, place: Masked, target: Masked) -> bool {
        self.found.has_pointer(end, place, target)
    }

    fn ran_meanwhile(&mut self) -> Vec<u32> {
        self.turns.ran_since()
    }
}

impl Search<'_> {
    /// Searches for all that leads to what the undecided tasks wait for, and to what those wait for that it finds so.
    fn run(
        &mut self,
        memory: &dyn Memory,
        pages: &PageMap,
        surroundings: &Surroundings,
    ) -> Result<(), String> {
        for _ in 0..MAX_ROUNDS {
            let places = self.new_places();
            if places.is_empty() {
                break;
            }
            let mut listed = live_blocks(|_, _| true);
            let blocks = listed.blocks.iter().map(|block| Block {
                address: block.address as u64,
                bytes: block.size as u64,
                site: 0,
                target: None,
            });
            let blocks: Vec<Block> = blocks.collect();
            listed.wipe();
            let mut finder = AtTasks { found: &mut self.found, turns: &self.turns };
            let found = origins(memory, pages, surroundings.scene(PACE), blocks, &places, &mut finder)
                .map_err(|failure| failure.to_string())?;
            self.reached.extend(places.into_iter().zip(found.reached));
            self.searched_bytes += found.searched_bytes;
            self.passes += found.passes;
            self.is_reliable &= found.unread_bytes == 0;
        }
        Ok(())
    }

    /// Lists the places that undecided tasks wait for and that were not searched for yet.
    fn new_places(&mut self) -> Vec<Masked> {
        let mut places = BTreeSet::new();
        let mut number = 0;
        // A handle may be of a task that was not known, which then comes last.
        while number < self.found.tasks.len() {
            let waits = self.found.undecided(number).map_or_else(Vec::new, |waiting| waiting.waits.clone());
            for wait in waits {
                match wait {
                    Wait::Shared { parts, .. } => places.extend(parts.iter().map(|part| part.address)),
                    Wait::Task(task) => drop(self.found.at(task)),
                    _ => {}
                }
            }
            number += 1;
        }
        places.into_iter().filter(|place| !self.reached.contains_key(place)).collect()
    }

    /// Returns what could wake a task by what it waits for.
    fn wakers(&self, memory: &dyn Memory, task: usize, waiting: &Waiting) -> BTreeSet<Waker> {
        let mut wakers = BTreeSet::new();
        if !self.is_reliable {
            wakers.insert(Waker::NotKnown(Reason::Changed));
        }
        for wait in &waiting.waits {
            match wait {
                Wait::Shared { parts, .. } => {
                    parts.iter().for_each(|part| self.add_wakers(memory, task, *part, &mut wakers));
                }
                Wait::Task(other) => {
                    let other = self.found.known(*other);
                    wakers.insert(other.map_or(Waker::NotKnown(Reason::Place), Waker::Task));
                }
                Wait::Never => {}
                _ => drop(wakers.insert(Waker::NotKnown(Reason::Future))),
            }
        }
        wakers
    }

    /// Adds what could wake a task by what is at `part`.
    fn add_wakers(&self, memory: &dyn Memory, task: usize, part: Part, wakers: &mut BTreeSet<Waker>) {
        let unknown = |reason| Waker::NotKnown(reason);
        let Some(reached) = self.reached.get(&part.address) else {
            wakers.insert(unknown(Reason::Place));
            return;
        };
        let Some(block) = reached.block else {
            let root = roots_of(reached).next();
            wakers.insert(root.map_or(unknown(Reason::Place), Waker::Root));
            return;
        };
        if part.is_counted && block != part.address || reached.origins.contains(&Origin::End(block)) {
            wakers.insert(unknown(Reason::Place));
        }
        if reached.has_lost {
            wakers.insert(unknown(Reason::Lost));
        }
        if !reached.is_whole {
            wakers.insert(unknown(Reason::TooMany));
        }
        if lacks_pointers(memory, block, part.is_counted, reached.start_words) {
            wakers.insert(unknown(Reason::Pointers));
        }
        for origin in &reached.origins {
            match *origin {
                Origin::Root(root) => drop(wakers.insert(Waker::Root(root))),
                Origin::Unknown => drop(wakers.insert(unknown(Reason::Unsampled))),
                Origin::End(cell) => match self.found.known(cell) {
                    Some(own) if own == task => {}
                    other => drop(wakers.insert(other.map_or(unknown(Reason::Place), Waker::Task))),
                },
            }
        }
    }
}

/// Whether there are more pointers to a block than words that are its address, as far as the block says so: an `Arc` counts its
/// pointers. Those that were not found may be in a register, or masked.
fn lacks_pointers(memory: &dyn Memory, block: Masked, is_counted: bool, words: u32) -> bool {
    let mut bytes = [0; 16];
    if memory.read(block.address(), &mut bytes).is_err() {
        return true;
    }
    let [strong, weak] = [0, 8].map(|at| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte])));
    let are_counts = (1..MAX_POINTERS).contains(&strong) && (1..MAX_POINTERS).contains(&weak);
    // All strong pointers together count as one weak pointer.
    match are_counts {
        // mutant: E83 pointers that were not found wake nobody
        true => strong + weak - 1 > u64::from(words),
        false => is_counted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasks::Unreadable;

    /// Memory that has these two words everywhere but at address 0.
    struct Words(u64, u64);

    impl Memory for Words {
        fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
            let words = [self.0.to_ne_bytes(), self.1.to_ne_bytes()].concat();
            bytes.copy_from_slice(&words[..bytes.len()]);
            if address == 0 { Err(Unreadable { address }) } else { Ok(()) }
        }
    }

    #[test]
    fn an_arc_that_counts_more_pointers_than_were_found_lacks_some() {
        let at = Masked::of(0x1000);
        let lacks =
            |strong, weak, is_counted, words| lacks_pointers(&Words(strong, weak), at, is_counted, words);
        assert!(!lacks(2, 1, true, 2) && !lacks(2, 1, true, 3) && lacks(2, 1, true, 1));
        // Weak pointers count too: they may become strong ones.
        assert!(!lacks(2, 3, true, 4) && lacks(2, 3, true, 3));
        // Where nothing says that it is an `Arc`, it is taken for one if it looks so.
        assert!(lacks(2, 1, false, 1) && !lacks(0, 0x5555_0000_1000, false, 1));
        assert!(lacks(0, 1, true, 9), "a counted block has counts");
        assert!(lacks_pointers(&Words(1, 1), Masked::of(0), false, 9), "what cannot be read is not known");
    }
}

//! Where the ways to a block begin: all of them, while the search for holders looks for the best one.
//!
//! ```text
//! places ─▶ the blocks that have them ─▶ pass over memory ─▶ words that point to these ─▶ the blocks that have those, and so on
//!   ─▶ variables, stacks, blocks at which the ways end for whoever asks
//! ```
//!
//! Whatever holds a block is found among these, so that who asks may conclude from what is *not* there. That is why the doubts of the
//! search for holders are decided the other way: every word counts, unless it is surely in memory that is free.

mod leads;
mod search;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tasks::{Masked, Memory};

use crate::block::Block;
use crate::error::Failure;
use crate::pages::Pages;
use crate::region::Root;
use crate::search::Scene;
use leads::Leads;
use search::Search;

/// So many times the search climbs from blocks to what points to them.
const MAX_HOPS: usize = 12;
/// What the search asks while it goes on.
pub trait Finder {
    /// Whether the ways end at the block that begins there, so that what points to that block does not matter.
    fn is_end(&mut self, start: Masked) -> bool;

    /// Whether the word at `place` is surely a pointer that is in use. It lies in the block that begins at `end`, at which ways end, and
    /// is an address in the block that begins at `target`. A word that is not sure may have been left behind: a way begins there, but it does
    /// not make up for a pointer that is not seen.
    fn is_sure(&mut self, end: Masked, place: Masked, target: Masked) -> bool;

    /// Lists the numbers of the threads that have run since the stack pointers in [`Scene`] were read, or have begun since. What
    /// they have left behind may be in use by now.
    fn ran_meanwhile(&mut self) -> Vec<u32>;
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Origins {
    /// There is one for each place, in their order.
    pub reached: Vec<Reached>,
    /// How many bytes were looked at, in all passes together.
    pub searched_bytes: u64,
    /// How many times memory was gone over.
    pub passes: usize,
    /// How long it took.
    pub time: Duration,
    /// How many bytes could not be read, so that pointers may have been there.
    pub unread_bytes: u64,
}

/// What leads to a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// The block that has the place; `None` if it is in none that is known to be in use, such as in a variable.
    pub block: Option<Masked>,
    /// Where the ways to that block begin. If there is no block, it is the variable or the stack that has the place, if there is one.
    pub origins: BTreeSet<Origin>,
    /// How many words are the address at which the block begins, as an `Arc` is, without those that are not sure.
    pub start_words: u32,
    /// Whether all words that lead there are known.
    pub is_whole: bool,
    /// Whether a block leads there to which nothing leads, or only blocks to which it leads itself. Either nobody can use what is in it, or
    /// somebody holds it in a way that the search does not see.
    pub has_lost: bool,
}

/// Where a way begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It begins in the block with this address, at which ways end.
    End(Masked),
    /// It begins in a variable or on a stack.
    Root(Root),
    /// It begins in memory of which it is not known what it is part of.
    Unknown,
}

/// Finds where all ways to the blocks begin that have these `places`.
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
/// There is a pass for each block on the longest way, and at most 12. Each copies all private memory that is resident, and pauses as
/// the scene's [`Pace`](crate::Pace) says.
pub fn origins(
    memory: &dyn Memory,
    pages: &dyn Pages,
    scene: Scene<'_>,
    blocks: Vec<Block>,
    places: &[Masked],
    finder: &mut dyn Finder,
) -> Result<Origins, Failure> {
    let start = Instant::now();
    let mut search = Search::new(memory, pages, scene, blocks)?;
    let sought = search.blocks_of(places, finder);
    for _ in 0..MAX_HOPS {
        let fresh = search.fresh();
        if fresh.is_empty() {
            break;
        }
        search.look_for(&fresh)?;
        search.name_holders(finder);
    }
    let leads = Leads::of(&search, finder);
    let reached = |(place, node): (&Masked, Option<u32>)| match node {
        Some(node) => leads.to(&search, node),
        // A variable is there as long as the program.
        None => Reached {
            origins: search.root_at(place.address()).map(Origin::Root).into_iter().collect(),
            ..Reached::default()
        },
    };
    Ok(Origins {
        reached: places.iter().zip(sought).map(reached).collect(),
        searched_bytes: search.passes.searched_bytes,
        passes: search.pass_count,
        time: start.elapsed(),
        unread_bytes: search.passes.unread_bytes,
    })
}

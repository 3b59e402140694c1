//! Blocks that were not sampled, as the program's allocator tells of them.

use crate::block::Block;
use crate::chunk::Chunk;
use crate::pass::Passes;
use crate::region::Region;
use crate::{chunks, slots};

/// So many known blocks are looked at to tell the allocator.
const JUDGED: usize = 64;
/// Fewer blocks do not tell.
const MIN_JUDGED: usize = 4;

/// An allocator that tells of blocks which were not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allocator {
    Glibc,
    Musl,
}

impl Allocator {
    /// Tells whose the known blocks are: before nearly all of them is what this allocator writes there.
    pub(crate) fn of(passes: &Passes<'_>, blocks: &[Block]) -> Option<Allocator> {
        let is_of = |allocator: &Allocator| {
            let fits = |block: &Block| match allocator {
                Allocator::Glibc => chunks::is_chunk(passes, block),
                Allocator::Musl => slots::is_slot(passes, block),
            };
            let step = blocks.len().div_ceil(JUDGED).max(1);
            let judged: Vec<bool> = blocks.iter().step_by(step).map(fits).collect();
            let fitting = judged.iter().filter(|&&fits| fits).count();
            judged.len() >= MIN_JUDGED && fitting * 10 >= judged.len() * 9
        };
        [Allocator::Glibc, Allocator::Musl].into_iter().find(is_of)
    }

    /// Finds the blocks of `places`, which are ascending.
    pub(crate) fn chunks(
        self,
        passes: &mut Passes<'_>,
        regions: &[Region],
        blocks: &[Block],
        places: &[u64],
    ) -> Vec<Chunk> {
        match self {
            Allocator::Glibc => chunks::chunks(passes, regions, blocks, places),
            Allocator::Musl => slots::slots(passes, blocks, places),
        }
    }
}

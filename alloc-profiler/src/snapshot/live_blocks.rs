//! Sampled blocks that are in use, one by one, for readers that look at what is in them.
//!
//! A snapshot sums samples up by stack, and no address is in it. Here each sampled block keeps its address. Whoever reads such
//! a block must copy what is there in a way that cannot fault, because the program may free the block at any time, and must
//! ask afterwards whether it was the same block all the while ([`LiveBlock::is_in_use`]).
//!
//! Path: *read path*.

use std::collections::HashMap;
use std::hint;
use std::time::Duration;

use super::StackTrace;
use super::copy::age;
use crate::estimate::variance;
use crate::process::c_library;
use crate::tables::live::{self, LiveSample};
use crate::tables::stacks;
use crate::{control, unsampled};
use unwinder::hash;

/// A sampled block that was in use when it was listed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LiveBlock {
    /// Where the block begins.
    pub address: usize,
    /// How many bytes were asked for.
    pub size: usize,
    /// How many objects the block stands for in an estimate.
    pub weight: f64,
    /// Tells how much the block adds to the variance of a number of objects.
    pub objects_variance: f64,
    /// How long ago it was allocated, in steps of a sixteenth of a second.
    pub age: Duration,
    /// The index of the stack that allocated it in [`LiveBlocks::stacks`], or `None` if there was no room to keep its stack.
    pub stack: Option<usize>,
    sample: LiveSample,
}

/// Sampled blocks that were in use, with the stacks that allocated them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LiveBlocks {
    /// The blocks, in no particular order.
    pub blocks: Vec<LiveBlock>,
    /// Each stack that allocated one of the blocks, once.
    pub stacks: Vec<StackTrace>,
}

impl LiveBlocks {
    /// Forgets the blocks, so that their addresses are not left behind in freed memory.
    pub fn wipe(&mut self) {
        for block in &mut self.blocks {
            (block.address, block.sample.address) = (0, 0);
        }
        hint::black_box(&self.blocks);
    }
}

impl LiveBlock {
    /// Makes a block that was never allocated, for tests of readers.
    #[must_use]
    pub fn of_test(address: usize, size: usize) -> LiveBlock {
        let sample = LiveSample { address, size, weight: 1.0, site_id: 0, born: 0, after_snapshot: 0 };
        LiveBlock {
            address,
            size,
            weight: 1.0,
            objects_variance: 0.0,
            age: Duration::ZERO,
            stack: None,
            sample,
        }
    }

    /// Returns a number by which the block is known again in a later list. It is no address, so whoever keeps it does not seem to
    /// hold the block.
    ///
    /// Another block has the same number in one of 2^64 cases, or if it was sampled at the same address, with the same size, by the
    /// same stack, and within the same sixteenth of a second.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let LiveSample { address, size, site_id, born, .. } = self.sample;
        let words = [size as u64, u64::from(site_id) << 32 | u64::from(born)];
        words.into_iter().fold(hash::multiply(address as u64), hash::add)
    }

    /// Tells whether the block that was listed is still in use. It takes no lock.
    ///
    /// If so, the memory was this block's from when it was listed until now. The answer may be `false` although the block is in
    /// use, where its record is just being moved. It may be `true` for another block only if that one was sampled at the
    /// same address, with the same size, by the same stack, and within the same sixteenth of a second as this one.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        live::copy(self.address) == Some(self.sample)
    }
}

/// Lists the sampled blocks in use that `is_wanted` picks by address and size.
///
/// Threads go on allocating meanwhile, as during a [`snapshot`](crate::snapshot). `is_wanted` is called without any lock. What
/// the list itself allocates is not in the profile.
///
/// # Cost
///
/// It copies the records of all live samples twice, once to count them, and takes memory for those that are wanted.
#[must_use]
pub fn live_blocks(is_wanted: impl Fn(usize, usize) -> bool) -> LiveBlocks {
    control::prepare();
    unsampled(|| {
        let now = c_library::ticks();
        let mut count = 0;
        let is_it = |sample: &&LiveSample| is_wanted(sample.address, sample.size);
        live::for_each_shard(|samples| count += samples.iter().filter(is_it).count());
        // A list that grows leaves addresses of blocks behind, and who searches memory for pointers would find them.
        let mut wanted: Vec<LiveSample> = Vec::with_capacity(count + count / 8 + 64);
        live::for_each_shard(|samples| wanted.extend(samples.iter().filter(is_it)));
        // Stacks are looked up afterwards, since each was there before its samples were.
        let (stack_of_site, stacks) = stacks_of(&wanted);
        let block = |sample: LiveSample| LiveBlock {
            address: sample.address,
            size: sample.size,
            weight: sample.weight,
            objects_variance: variance::of_objects(sample.weight),
            age: age(&sample, now),
            stack: stack_of_site.get(&sample.site_id).copied().flatten(),
            sample,
        };
        let blocks = wanted.iter().map(|&sample| block(sample)).collect();
        wanted.iter_mut().for_each(|sample| sample.address = 0);
        // The compiler would leave out a write that nobody reads.
        hint::black_box(&wanted);
        LiveBlocks { blocks, stacks }
    })
}

/// Returns the stacks of these samples, and the index of the stack of each site.
fn stacks_of(samples: &[LiveSample]) -> (HashMap<u32, Option<usize>>, Vec<StackTrace>) {
    let mut of_site: HashMap<u32, Option<usize>> =
        samples.iter().map(|sample| (sample.site_id, None)).collect();
    let mut stacks = Vec::new();
    let mut current: Option<&'static stacks::Stack> = None;
    stacks::for_each(|stack, site| {
        let (Some(stack), Some(index)) = (stack, of_site.get_mut(&site.id())) else { return };
        // The sites of a stack follow one another.
        if !current.is_some_and(|current| std::ptr::eq(current, stack)) {
            current = Some(stack);
            stacks.push(StackTrace::new(
                stack.frames.iter().rev().copied().collect::<Box<[_]>>(),
                stack.is_truncated,
            ));
        }
        *index = Some(stacks.len() - 1);
    });
    (of_site, stacks)
}

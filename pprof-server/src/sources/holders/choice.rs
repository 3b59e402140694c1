//! Whose holders are looked for.
//!
//! Path: *read path*.

use super::sites::Sites;
use alloc_profiler::internal::{LiveBlock, LiveBlocks};
use alloc_profiler::{CodeAddress, Snapshot};
use std::collections::HashSet;
use std::time::Duration;

/// Whose holders are looked for: all conditions that are set must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// The stacks have a function with this text in its name.
    pub(crate) function: Option<String>,
    /// So many stacks are taken, those with the most bytes in use.
    pub(crate) top: Option<usize>,
    /// The blocks are at least so old.
    pub(crate) min_age: Option<Duration>,
    /// The stacks are these.
    pub(crate) stacks: Option<HashSet<Box<[CodeAddress]>>>,
    /// Why these were chosen, if nobody asked for them.
    pub(crate) note: Option<String>,
}

impl Choice {
    /// Chooses the stacks of `snapshot`.
    pub(crate) fn of_stacks(snapshot: &Snapshot) -> Choice {
        let frames = snapshot.stacks.iter().map(|stack| stack.trace.frames.clone());
        Choice { stacks: Some(frames.collect()), ..Choice::default() }
    }

    pub(super) fn needs_functions(&self) -> bool {
        self.function.is_some()
    }

    /// Whether no stack is chosen, so that blocks without one count too.
    pub(super) fn is_everything(&self) -> bool {
        self.function.is_none() && self.top.is_none() && self.stacks.is_none()
    }

    pub(super) fn is_old_enough(&self, block: &LiveBlock) -> bool {
        self.min_age.is_none_or(|age| block.age >= age)
    }

    /// Tells of each stack in `listed` whether it is chosen.
    pub(super) fn stacks(&self, listed: &LiveBlocks, sites: &Sites) -> Vec<bool> {
        let mut chosen: Vec<bool> = (0..listed.stacks.len())
            .map(|index| {
                let has_function = self.function.as_ref().is_none_or(|text| sites.has_function(index, text));
                let frames = &listed.stacks[index].frames;
                has_function && self.stacks.as_ref().is_none_or(|stacks| stacks.contains(frames))
            })
            .collect();
        if let Some(top) = self.top {
            let mut bytes = vec![0.0; listed.stacks.len()];
            for block in listed.blocks.iter().filter(|block| self.is_old_enough(block)) {
                if let Some(stack) = block.stack.filter(|&stack| chosen[stack]) {
                    bytes[stack] += block.weight * block.size as f64;
                }
            }
            let mut heaviest: Vec<usize> = (0..bytes.len()).filter(|&stack| chosen[stack]).collect();
            heaviest.sort_by(|&a, &b| f64::total_cmp(&bytes[b], &bytes[a]).then(a.cmp(&b)));
            heaviest.iter().skip(top).for_each(|&stack| chosen[stack] = false);
        }
        chosen
    }
}

//! The stacks of a snapshot with their frames spelled out.
//!
//! Path: *read path*.

use crate::mappings::Mappings;
use crate::profile::{AddressMap, DistinctLines, Frame, Frames, Stacks, Symbolize};
use crate::sources::heap;
use alloc_profiler::Snapshot;

/// The stacks of a snapshot, and names for their addresses.
pub(crate) struct NamedStacks(Stacks);

impl NamedStacks {
    /// Cost: that of finding the names.
    pub(crate) fn of(snapshot: &Snapshot) -> NamedStacks {
        NamedStacks::with(snapshot, Symbolize::Full)
    }

    /// The stacks with names from where `symbolize` says; without any, a frame is its address.
    pub(crate) fn with(snapshot: &Snapshot, symbolize: Symbolize) -> NamedStacks {
        NamedStacks(heap::stacks(snapshot, Mappings::of_process(), symbolize))
    }

    /// For each stack of `snapshot`, which they are of: the index of the first one that is shown the same, with the same
    /// functions and lines. One line has several addresses where its function was compiled for several types.
    pub(super) fn groups(&self, snapshot: &Snapshot) -> Vec<usize> {
        let mut lines = DistinctLines::new(&self.0);
        let mut first: AddressMap<Vec<u32>, usize> = AddressMap::default();
        let stacks = (0..snapshot.stacks.len()).map(|index| (index, self.0.shown(index, Frames::UserFirst)));
        stacks.map(|(index, stack)| *first.entry(lines.of_stack(stack)).or_insert(index)).collect()
    }

    /// What is missing from `snapshot`, which they are of, a line each.
    pub(super) fn losses(&self, snapshot: &Snapshot) -> impl Iterator<Item = String> {
        heap::losses(snapshot, Some(&self.0)).into_iter().map(|loss| loss.text)
    }

    /// The frames of the stack at `index`, leaf first. Never empty.
    pub(super) fn frames(&self, index: usize) -> Vec<Frame> {
        let mut lines = DistinctLines::new(&self.0);
        let ids = lines.of_stack(self.0.shown(index, Frames::UserFirst));
        lines.frames(&ids).cloned().collect()
    }
}

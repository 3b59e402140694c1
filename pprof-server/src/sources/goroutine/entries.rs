//! Where threads begin: of each stack, the outermost function that somebody wrote, and what lies outside of it.
//!
//! For a thread of the standard library that is the closure given to `spawn`, and for the main thread it is `main`.
//!
//! Path: *read path*.

use crate::mappings::Mappings;
use crate::profile::{Location, Stacks, Symbolize};
use crate::symbols::role::Role;
use alloc_profiler::{CodeAddress, StackTrace};

/// Cuts each stack down to where its thread began. A stack has no frames if that is not known: it has no names, or its outer
/// frames are missing.
///
/// Cost: it takes as long as naming the addresses, which are then known.
pub(super) fn cut(traces: &mut [&mut StackTrace]) {
    let whole: Vec<&StackTrace> = traces.iter().map(|trace| &**trace).collect();
    let stacks = Stacks::of(whole.iter().copied(), &[], Mappings::of_process(), Symbolize::Full);
    let entries: Vec<Option<usize>> = (0..traces.len()).map(|index| entry(&stacks, index)).collect();
    drop(stacks);
    for (trace, entry) in traces.iter_mut().zip(entries) {
        let outer: Vec<CodeAddress> = match entry {
            Some(entry) if !trace.is_truncated => trace.frames.iter().skip(entry).copied().collect(),
            _ => Vec::new(),
        };
        **trace = StackTrace::new(outer, false);
    }
}

/// The index of the outermost frame of a stack that has a function of the user's.
fn entry(stacks: &Stacks, stack: usize) -> Option<usize> {
    stacks.places(stack).iter().rposition(|&place| {
        let lines = stacks.lines(Location { place, skipped_lines: 0 });
        lines.iter().any(|line| line.function.role == Role::User && !line.function.file.is_empty())
    })
}

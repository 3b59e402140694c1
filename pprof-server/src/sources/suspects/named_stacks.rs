//! The stacks of a snapshot with their frames spelled out, and which of them are one group to a person.
//!
//! Path: *read path*.

use crate::mappings::Mappings;
use crate::profile::{AddressMap, DistinctLines, Frame, Frames, Stacks, Symbolize};
use crate::sources::{goroutine, heap};
use crate::symbols::Origin;
use alloc_profiler::Snapshot;

/// The stacks of a snapshot, and names for their addresses.
pub(crate) struct NamedStacks(Stacks);

/// Which stacks of a snapshot are one.
#[derive(Debug)]
pub(super) struct Groups {
    /// For each stack, the index of the first of its group: that has the same functions and lines of the program's own code,
    /// whatever libraries are in between.
    pub(super) of_stack: Vec<usize>,
    /// For each stack, the index of the first that is shown the same: that has the same functions and lines. One line has
    /// several addresses where its function was compiled for several types.
    pub(super) shown_as: Vec<usize>,
}

impl NamedStacks {
    /// Cost: it finds the names, as [`crate::symbols`] does.
    pub(crate) fn of(snapshot: &Snapshot) -> NamedStacks {
        NamedStacks::with(snapshot, Symbolize::Full)
    }

    /// The stacks with names from where `symbolize` says; without any, a frame is its address.
    pub(crate) fn with(snapshot: &Snapshot, symbolize: Symbolize) -> NamedStacks {
        NamedStacks(heap::stacks(snapshot, Mappings::of_process(), symbolize))
    }

    /// Takes stacks with the names that a test has made up.
    #[cfg(test)]
    pub(super) fn fixed(stacks: Stacks) -> NamedStacks {
        NamedStacks(stacks)
    }

    /// Groups the stacks of `snapshot`, which these are of.
    pub(super) fn groups(&self, snapshot: &Snapshot) -> Groups {
        let mut lines = DistinctLines::new(&self.0);
        let mut first_shown: AddressMap<Vec<u32>, usize> = AddressMap::default();
        let mut first_of_group: AddressMap<Vec<u32>, usize> = AddressMap::default();
        let mut groups = Groups { of_stack: Vec::new(), shown_as: Vec::new() };
        for index in 0..snapshot.stacks.len() {
            let ids = lines.of_stack(self.0.shown(index, Frames::UserFirst));
            let shown_as = first_shown.get(&ids).copied().unwrap_or(index);
            let of_stack = match groups.of_stack.get(shown_as) {
                Some(&of_stack) => of_stack,
                // mutant: D14 a leak is as many rows as it has stacks
                None => *first_of_group.entry(lines.own_code(&ids)).or_insert(index),
            };
            first_shown.entry(ids).or_insert(index);
            groups.shown_as.push(shown_as);
            groups.of_stack.push(of_stack);
        }
        groups
    }

    /// Returns the name of the function that spawns tasks on the stack at `index`, if it is one that makes tasks.
    pub(super) fn spawner(&self, index: usize) -> Option<String> {
        if !goroutine::makes_tasks(&self.0, index) {
            return None;
        }
        let first = self.0.shown(index, Frames::UserFirst).locations().next()?;
        self.0.lines(first).first().map(|line| line.function.name.to_string())
    }

    /// What is missing from `snapshot`, which they are of, a line each.
    pub(super) fn losses(&self, snapshot: &Snapshot) -> impl Iterator<Item = String> {
        heap::losses(snapshot, Some(&self.0)).into_iter().map(|loss| loss.text)
    }

    /// Returns the frames of the stacks at `indices`. The leaf is the first, and there is always one.
    pub(super) fn frames(&self, indices: impl Iterator<Item = usize>) -> Vec<Vec<Frame>> {
        let mut lines = DistinctLines::new(&self.0);
        let frames = indices.map(|index| {
            let ids = lines.of_stack(self.0.shown(index, Frames::UserFirst));
            lines.frames(&ids).cloned().collect()
        });
        frames.collect()
    }
}

/// Returns the index of the frame that a person would name the stack by: the first of the program's own code, or the leaf.
pub(in crate::sources) fn named_frame(frames: &[Frame]) -> usize {
    let in_task = frames.iter().map(Frame::origin).take_while(|origin| *origin != Origin::Runtime);
    in_task.enumerate().find(|(_, origin)| *origin == Origin::Own).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::role::role;
    use crate::symbols::{Function, SourceLine};
    use alloc_profiler::internal::literal;
    use alloc_profiler::{StackTotals, StackTrace};
    use std::sync::Arc;

    const HYPER: &str = "/home/me/.cargo/registry/src/index.crates.io-1/hyper-1.7.0/src/lib.rs";
    const TOKIO: &str =
        "/home/me/.cargo/registry/src/index.crates.io-1/tokio-1.54.0/src/runtime/task/core.rs";
    /// What function, file and line each call address is in.
    const LINES: [(&str, &str, u32); 9] = [
        ("shop::Session::new", "src/sessions.rs", 7),
        // This was compiled for another type.
        ("shop::Session::new", "src/sessions.rs", 7),
        ("shop::Session::new", "src/sessions.rs", 8),
        ("shop::log_in", "src/main.rs", 1),
        ("hyper::poll", HYPER, 1),
        ("hyper::poll_again", HYPER, 2),
        ("tokio::runtime::task::core::Core<T,S>::poll", TOKIO, 1),
        ("shop::main", "src/main.rs", 2),
        ("alloc::raw_vec::RawVec<T,A>::grow_one", "", 0),
    ];

    fn groups(stacks: &[&[usize]]) -> Groups {
        let stack = |addresses: &&[usize]| {
            literal!(StackTotals {
                trace: StackTrace::of_return_addresses(addresses.iter().map(|address| 101 + address)),
                ..StackTotals::default()
            })
        };
        let stacks = stacks.iter().map(stack).collect();
        let snapshot = literal!(Snapshot { stacks, ..alloc_profiler::snapshot() });
        let named = Stacks::fixed(snapshot.stacks.iter().map(|stack| &stack.trace), |address| {
            let (name, file, line) = LINES[address as usize - 100];
            let function = Function {
                name: name.into(),
                linkage_name: "".into(),
                file: file.into(),
                role: role(name, file),
            };
            [SourceLine { function: Arc::new(function), line }].into()
        });
        NamedStacks(named).groups(&snapshot)
    }

    #[test]
    fn one_leak_is_one_group() {
        let groups = groups(&[
            &[0, 3, 4, 6],
            // The function was compiled for another type, the allocation was inlined, and it ran on the main thread.
            &[8, 1, 3, 4, 6, 7],
            // The library came another way.
            &[0, 3, 5, 4, 6],
            // These are another line, and another caller.
            &[2, 3, 4, 6],
            &[0, 4, 6],
        ]);
        assert_eq!(groups.of_stack, [0, 0, 0, 3, 4]);
        assert_eq!(groups.shown_as, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn stacks_without_own_code_are_told_apart_by_all_of_theirs() {
        // What started the runtime is not what allocates in it.
        assert_eq!(groups(&[&[4, 6, 7], &[5, 6, 7], &[4, 6, 7], &[4, 6]]).of_stack, [0, 1, 0, 3]);
    }

    #[test]
    fn a_group_is_named_by_the_first_own_line() {
        let frame = |&index: &usize| {
            let (function, file, line) = LINES[index];
            Frame { function: function.into(), file: file.into(), line, is_inlined: false }
        };
        let named = |stack: &[usize]| named_frame(&stack.iter().map(frame).collect::<Vec<_>>());
        assert_eq!(named(&[4, 5, 3, 4, 6, 7]), 2);
        assert_eq!(named(&[0, 3]), 0);
        assert_eq!(named(&[4, 5, 6, 7]), 0);
        assert_eq!(named(&[]), 0);
    }
}

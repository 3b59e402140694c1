//! The heaviest stacks as a table for a terminal, without leaving the program.
//!
//! What `go tool pprof -top` and `-traces` would show, for a program that has no file to hand to them: a demo, a
//! test, a log line. Built by `encode::top_table`.
//!
//! Path: *read path*.

#[cfg(feature = "http")]
use crate::mappings::Mappings;
use crate::profile::{AddressMap, Ages, Location, Names, ProfileOptions, ShownStack};
#[cfg(feature = "http")]
use crate::profile::{Frames, Symbolize};
#[cfg(feature = "http")]
use crate::sources::heap::losses;
use crate::sources::heap::{SampleType, notes};
use crate::symbols::SourceLine;
use alloc_profiler::{AgeTotals, Snapshot, Totals};
use std::collections::HashMap;
use std::time::Duration;

/// What is held, what grew, or what was allocated, by stack. `{table}` prints the first ten rows, `{table:.3}` three.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopTable {
    /// By `sample_type`, largest first; in a difference, so, what grew most. At most [`MAX_ROWS`], and as many as fit into
    /// 32 MiB of names, to be bounded in memory. None of those that have nothing of it.
    pub rows: Vec<TopRow>,
    /// Distinct stacks, those included that are not in `rows`.
    pub stacks: usize,
    /// How many of them have nothing of `sample_type`: what was allocated there is freed again, say.
    pub idle_stacks: usize,
    /// What rows are ordered by.
    pub sample_type: SampleType,
    /// Estimated objects and bytes: the sum over all stacks.
    pub totals: Totals,
    /// The sum of `sample_type` without signs, so that growth does not cancel out: what shares are shares of.
    pub gross: f64,
    /// The time in which it grew; `None` if the table is of a snapshot.
    pub duration: Option<Duration>,
    /// How sure it is, and what is missing, in words: a line each.
    pub notes: Vec<String>,
}

/// One stack: all that was allocated on it, whatever its size.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopRow {
    /// Estimated objects and bytes.
    pub totals: Totals,
    /// How old what is in use is; `None` if nothing is, or if the snapshot was taken without ages.
    pub ages: Option<Ages>,
    /// Leaf first; inlined functions as frames of their own. Never empty.
    pub frames: Vec<Frame>,
}

/// One function on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub struct Frame {
    /// As its author would call it, whatever types it was compiled for; `file+0xaddress` where there is no name, or
    /// `0xaddress` if names were not asked for.
    pub function: String,
    /// Source file; empty if unknown.
    pub file: String,
    /// Line in `file`; 0 if unknown.
    pub line: u32,
    /// True if inlined into the next frame, wherever this line is on a stack.
    pub is_inlined: bool,
}

/// The table of `snapshot`. Stacks are the same if their frames are, lines included.
pub(crate) fn build(snapshot: &Snapshot, options: &ProfileOptions, names: &Names) -> TopTable {
    let mut lines = DistinctLines::new(names);
    let mut by_lines: AddressMap<Vec<u32>, (Totals, Vec<&[AgeTotals]>)> = AddressMap::default();
    let stacks = names.stacks(options.frames).zip(snapshot.stacks.iter().map(|stack| &stack.by_size));
    for (stack, by_size) in stacks.chain([(ShownStack::overflow(), &snapshot.overflow)]) {
        if !by_size.is_empty() {
            let (totals, ages) = by_lines.entry(lines.of_stack(stack)).or_default();
            for size in by_size {
                *totals += size.totals;
                ages.push(&size.ages);
            }
        }
    }
    let sample_type = options.shown_type();
    let all = by_lines.len();
    let mut stacks: Vec<_> = by_lines.into_iter().collect();
    // mutant: D12 stacks with nothing in use have rows
    stacks.retain(|(_, (totals, _))| sample_type.of(totals).round() != 0.0);
    stacks.sort_by(|(a_lines, (a, _)), (b_lines, (b, _))| {
        let by_size = sample_type.of(b).total_cmp(&sample_type.of(a));
        by_size.then_with(|| lines.frames(a_lines).cmp(lines.frames(b_lines)))
    });
    let row = |(ids, (totals, ages)): &(Vec<u32>, (Totals, Vec<&[AgeTotals]>))| TopRow {
        totals: *totals,
        ages: Ages::of(ages),
        frames: lines.frames(ids).cloned().collect(),
    };
    let mut text_bytes = 0;
    let has_room = |row: &TopRow| {
        text_bytes += row.text_bytes();
        text_bytes <= MAX_TEXT_BYTES
    };
    TopTable {
        rows: stacks.iter().take(MAX_ROWS).map(row).take_while(has_room).collect(),
        stacks: all,
        idle_stacks: all - stacks.len(),
        sample_type,
        totals: snapshot.totals(),
        gross: stacks.iter().map(|(_, (totals, _))| sample_type.of(totals).abs()).sum(),
        duration: snapshot.duration,
        notes: notes(snapshot, names),
    }
}

impl TopRow {
    /// What its frames take in memory.
    fn text_bytes(&self) -> usize {
        self.frames.iter().map(|frame| size_of::<Frame>() + frame.function.len() + frame.file.len()).sum()
    }
}

/// Frames are text: we compare their numbers, and spell them out for the rows that are kept.
struct DistinctLines<'a> {
    names: &'a Names,
    frames: Vec<Frame>,
    /// By function and place. A line is the same whether or not a caller has taken it in: that differs between the
    /// types that one function was compiled for.
    ids: HashMap<(String, String, u32), u32>,
    by_location: AddressMap<Location, Vec<u32>>,
}

impl<'a> DistinctLines<'a> {
    fn new(names: &'a Names) -> Self {
        DistinctLines { names, frames: Vec::new(), ids: HashMap::new(), by_location: AddressMap::default() }
    }

    /// The numbers of all frames on `stack`, leaf first.
    fn of_stack(&mut self, stack: ShownStack<'_>) -> Vec<u32> {
        let mut all = Vec::new();
        for location in stack.locations() {
            if !self.by_location.contains_key(&location) {
                let ids = self.of_location(location);
                self.by_location.insert(location, ids);
            }
            all.extend(&self.by_location[&location]);
        }
        all
    }

    fn of_location(&mut self, location: Location) -> Vec<u32> {
        let lines = self.names.lines(location);
        if lines.is_empty() {
            let function = format!("{:#x}", self.names.address(location.place));
            return vec![self.id(Frame { function, ..Frame::default() })];
        }
        let frame = |(index, line): (usize, &SourceLine)| Frame {
            function: line.function.name.to_string(),
            file: line.function.file.to_string(),
            line: line.line,
            is_inlined: index + 1 < lines.len(),
        };
        lines.iter().enumerate().map(|line| self.id(frame(line))).collect()
    }

    fn id(&mut self, frame: Frame) -> u32 {
        let next = self.frames.len() as u32;
        // mutant: D1 an inlined line is another one
        let id = *self.ids.entry((frame.function.clone(), frame.file.clone(), frame.line)).or_insert(next);
        match self.frames.get_mut(id as usize) {
            Some(known) => known.is_inlined &= frame.is_inlined,
            None => self.frames.push(frame),
        }
        id
    }

    fn frames(&self, ids: &[u32]) -> impl Iterator<Item = &Frame> {
        ids.iter().map(|&id| &self.frames[id as usize])
    }
}

/// The stacks of a snapshot with their frames spelled out, for those who pick a few.
#[cfg(feature = "http")]
pub(crate) struct NamedStacks(Names);

#[cfg(feature = "http")]
impl NamedStacks {
    /// Cost: that of finding the names.
    pub(crate) fn of(snapshot: &Snapshot) -> NamedStacks {
        NamedStacks(Names::of(snapshot, &Mappings::of_process(), Symbolize::Full))
    }

    /// For each stack, in the snapshot's order: the index of the first one that is shown the same, with the same
    /// functions and lines. One line has several addresses where its function was compiled for several types.
    pub(crate) fn groups(&self) -> Vec<usize> {
        let mut lines = DistinctLines::new(&self.0);
        let mut first: AddressMap<Vec<u32>, usize> = AddressMap::default();
        let stacks = self.0.stacks(Frames::UserFirst).enumerate();
        stacks.map(|(index, stack)| *first.entry(lines.of_stack(stack)).or_insert(index)).collect()
    }

    /// What is missing from `snapshot`, which they are of, a line each.
    pub(crate) fn losses(&self, snapshot: &Snapshot) -> impl Iterator<Item = String> {
        losses(snapshot, Some(&self.0)).into_iter().map(|loss| loss.text)
    }

    /// The frames of the stack at `index`, leaf first. Never empty.
    pub(crate) fn frames(&self, index: usize) -> Vec<Frame> {
        let mut lines = DistinctLines::new(&self.0);
        let ids = lines.of_stack(self.0.stack(index, Frames::UserFirst));
        lines.frames(&ids).cloned().collect()
    }
}

/// Names that all rows hold together: the deepest stacks of ten functions inlined into each other at each place would take
/// hundreds of megabytes.
const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;
/// Rows that a table keeps. Nobody reads more of them, and each holds the text of its whole stack.
pub const MAX_ROWS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::Mappings;
    use crate::profile::{ProfileKind, Symbolize};
    use crate::symbols::role::Role;
    use crate::symbols::synthetic_line;
    use alloc_profiler::{SizeTotals, StackTotals, StackTrace};

    /// As a function that was compiled for two types, and was taken in by its caller for one of them.
    #[test]
    fn a_line_is_one_whoever_took_it_in() {
        let stack = |return_addresses: &[usize]| StackTotals {
            trace: StackTrace::of_return_addresses(return_addresses.iter().copied()),
            by_size: vec![SizeTotals {
                totals: Totals { inuse_bytes: 8.0, ..Totals::default() },
                ..SizeTotals::default()
            }],
            ..StackTotals::default()
        };
        let stacks = vec![stack(&[11]), stack(&[21, 31]), stack(&[31])];
        let snapshot = Snapshot { stacks, ..alloc_profiler::snapshot() };
        let names = || {
            Names::fixed(&snapshot, |address| {
                let [f, main] = ["my::f", "my::main"].map(|name| synthetic_line(name, Role::User));
                match address {
                    10 => [f, main].into(),
                    20 => [f].into(),
                    _ => [main].into(),
                }
            })
        };
        let table = build(&snapshot, &ProfileOptions::default(), &names());
        let rows: Vec<_> = table.rows.iter().map(|row| (row.totals.inuse_bytes, row.frames.len())).collect();
        assert_eq!((table.stacks, rows), (2, vec![(16.0, 2), (8.0, 1)]), "{table:?}");
        assert!(table.rows.iter().flat_map(|row| &row.frames).all(|frame| !frame.is_inlined), "{table:?}");
        #[cfg(feature = "http")]
        assert_eq!(NamedStacks(names()).groups(), [0, 0, 2]);
    }

    #[test]
    fn stacks_with_nothing_of_what_is_asked_for_have_no_row() {
        let stack = |address: usize, alloc_bytes: f64, inuse_bytes: f64| StackTotals {
            trace: StackTrace::of_return_addresses([address]),
            by_size: vec![SizeTotals {
                totals: Totals { alloc_bytes, inuse_bytes, ..Totals::default() },
                ..SizeTotals::default()
            }],
            ..StackTotals::default()
        };
        let stacks = vec![stack(0x1001, 9.0, 0.0), stack(0x2001, 8.0, 8.0), stack(0x3001, 7.0, 0.3)];
        let snapshot = Snapshot { stacks, ..alloc_profiler::snapshot() };
        let names = Names::of(&snapshot, &Mappings::default(), Symbolize::None);
        let table = |kind| {
            let table = build(&snapshot, &ProfileOptions { kind, ..ProfileOptions::default() }, &names);
            let rows: Vec<_> = table.rows.iter().map(|row| row.frames[0].function.clone()).collect();
            (rows, table.stacks, table.idle_stacks)
        };
        assert_eq!(table(ProfileKind::Heap), (vec!["0x2000".to_owned()], 3, 2));
        assert_eq!(table(ProfileKind::Allocs).0, ["0x1000", "0x2000", "0x3000"]);
        assert_eq!(table(ProfileKind::Allocs).2, 0);
    }
}

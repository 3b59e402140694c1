//! The heaviest stacks of a profile: what a terminal shows, and what programs read as JSON.
//!
//! What `go tool pprof -top` and `-traces` would show, for a program that has no file to hand to them: a demo, a
//! test, a log line.
//!
//! Path: *read path*.

use crate::profile::{AddressMap, Ages, Cohort, DistinctLines, Estimate, Frame, Profile, ValueType, add};
use std::time::Duration;

/// Names that all rows hold together: the deepest stacks of ten functions inlined into each other at each place would take
/// hundreds of megabytes.
const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;
/// Rows that a table keeps. Nobody reads more of them, and each holds the text of its whole stack.
pub const MAX_ROWS: usize = 1000;

/// The stacks of a profile by the shown type.
#[derive(Debug)]
pub(crate) struct Table {
    /// By the shown type, largest first; in a difference, so, what grew most. At most [`MAX_ROWS`], and as many as fit into
    /// 32 MiB of names, to be bounded in memory. None of those that have nothing of it.
    pub(crate) rows: Vec<TableRow>,
    /// Distinct stacks, those included that are not in `rows`.
    pub(crate) stacks: usize,
    /// How many of them have nothing of the shown type.
    pub(crate) idle_stacks: usize,
    /// What values mean.
    pub(crate) types: &'static [ValueType],
    /// The index of the type that rows are ordered by.
    pub(crate) shown_type: usize,
    /// The sum over all stacks, one for each value type.
    pub(crate) totals: Vec<Estimate>,
    /// The sum of the shown type without signs, so that growth does not cancel out: what shares are shares of.
    pub(crate) gross: f64,
    /// The time between the two ends of a difference; `None` if it is none.
    pub(crate) duration: Option<Duration>,
    /// How sure it is, and what is missing, in words: a line each.
    pub(crate) notes: Vec<String>,
}

/// One stack.
#[derive(Debug)]
pub(crate) struct TableRow {
    /// One for each value type.
    pub(crate) values: Vec<Estimate>,
    /// How old it is; `None` if that is not known.
    pub(crate) ages: Option<Ages>,
    /// Leaf first; inlined functions as frames of their own. Never empty.
    pub(crate) frames: Vec<Frame>,
}

/// The sums of one stack.
type Sums<'a> = (Vec<Estimate>, Vec<&'a [Cohort]>);

impl Table {
    /// The table of `profile`. Stacks are the same if their frames are, lines included.
    pub(crate) fn of(profile: &Profile) -> Table {
        let mut lines = DistinctLines::new(&profile.stacks);
        let mut by_lines: AddressMap<Vec<u32>, Sums<'_>> = AddressMap::default();
        let nothing = || (vec![Estimate::default(); profile.types.len()], Vec::new());
        for (stack, rows) in profile.shown_stacks() {
            let (sums, ages) = by_lines.entry(lines.of_stack(stack)).or_insert_with(nothing);
            for row in rows {
                add(sums, row.values);
                ages.push(row.cohorts);
            }
        }
        let shown = |values: &[Estimate]| values[profile.shown_type];
        let all = by_lines.len();
        let mut stacks: Vec<(Vec<u32>, Sums<'_>)> = by_lines.into_iter().collect();
        // mutant: D12 stacks with nothing in use have rows
        stacks.retain(|(_, (sums, _))| shown(sums).value.round() != 0.0);
        stacks.sort_by(|(a_lines, (a, _)), (b_lines, (b, _))| {
            let by_value = shown(b).value.total_cmp(&shown(a).value);
            by_value.then_with(|| lines.frames(a_lines).cmp(lines.frames(b_lines)))
        });
        let row = |(ids, (sums, ages)): &(Vec<u32>, Sums<'_>)| TableRow {
            values: sums.clone(),
            ages: Ages::of(ages),
            frames: lines.frames(ids).cloned().collect(),
        };
        let mut text_bytes = 0;
        let has_room = |row: &TableRow| {
            text_bytes += row.text_bytes();
            text_bytes <= MAX_TEXT_BYTES
        };
        Table {
            rows: stacks.iter().take(MAX_ROWS).map(row).take_while(has_room).collect(),
            stacks: all,
            idle_stacks: all - stacks.len(),
            types: profile.types,
            shown_type: profile.shown_type,
            totals: profile.totals.clone(),
            gross: stacks.iter().map(|(_, (sums, _))| shown(sums).value.abs()).sum(),
            duration: profile.duration,
            notes: profile.notes.clone(),
        }
    }
}

impl TableRow {
    /// What its frames take in memory.
    fn text_bytes(&self) -> usize {
        self.frames.iter().map(|frame| size_of::<Frame>() + frame.function.len() + frame.file.len()).sum()
    }
}

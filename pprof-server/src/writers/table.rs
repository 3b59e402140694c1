//! This table has the heaviest stacks of a profile: a terminal shows them, and programs read them as JSON.
//!
//! They are what `go tool pprof -top` and `-traces` would show. They are for a program that has no file to hand to
//! these: a demo, a test, or a log line.
//!
//! Path: *read path*.

use crate::profile::{AddressMap, Ages, Cohort, DistinctLines, Estimate, Frame, Profile, ValueType, add};
use std::time::Duration;

/// The names in all rows together take at most so many bytes. The deepest stacks, with ten functions inlined into each
/// other at each place, would take hundreds of megabytes.
const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;
/// A table keeps at most so many rows. Nobody reads more of them, and each holds the text of its whole stack.
pub const MAX_ROWS: usize = 1000;

/// Holds the stacks of a profile, ordered by the shown type.
#[derive(Debug)]
pub(crate) struct Table {
    /// The rows by the shown type, largest first; in a difference, what grew most comes first. To bound memory, there
    /// are at most [`MAX_ROWS`], and only as many as fit into 32 MiB of names. Stacks that have nothing of the shown
    /// type have no row.
    pub(crate) rows: Vec<TableRow>,
    /// The number of distinct stacks, those included that are not in `rows`.
    pub(crate) stacks: usize,
    /// The number of stacks that have nothing of the shown type.
    pub(crate) idle_stacks: usize,
    /// Names the value types.
    pub(crate) types: &'static [ValueType],
    /// The index of the type that rows are ordered by.
    pub(crate) shown_type: usize,
    /// Sums up all stacks, with one sum for each value type.
    pub(crate) totals: Vec<Estimate>,
    /// The sum of the shown type without signs, so that growth does not cancel out. Shares are shares of this.
    pub(crate) gross: f64,
    /// The time between the two ends of a difference; `None` for a snapshot.
    pub(crate) duration: Option<Duration>,
    /// How sure the profile is, and what is missing, in words, a line each.
    pub(crate) notes: Vec<String>,
}

/// Holds one stack, with its values.
#[derive(Debug)]
pub(crate) struct TableRow {
    /// Holds the values, one for each value type.
    pub(crate) values: Vec<Estimate>,
    /// How old the objects are; `None` if that is not known.
    pub(crate) ages: Option<Ages>,
    /// The frames, leaf first; inlined functions are frames of their own. There is at least one.
    pub(crate) frames: Vec<Frame>,
}

/// Sums up one stack.
type Sums<'a> = (Vec<Estimate>, Vec<&'a [Cohort]>);

impl Table {
    /// Makes the table of `profile`. Two stacks are the same if their frames are, lines included.
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
    /// Returns how many bytes its frames take in memory.
    fn text_bytes(&self) -> usize {
        self.frames.iter().map(|frame| size_of::<Frame>() + frame.function.len() + frame.file.len()).sum()
    }
}

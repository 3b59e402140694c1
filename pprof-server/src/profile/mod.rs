//! This is the model of a profile: every source makes it, and every writer reads it.
//!
//! ```text
//! source ─▶ Profile { types, period, time · stacks with names · rows of stack, labels, values · notes } ─▶ writer
//! ```
//!
//! A profile is a table. Each *row* is a stack, perhaps with labels, and has one value for each *value type*. A value is an
//! estimate with its error. Stacks are lists of addresses, which are named once, whoever writes the profile. Nothing here
//! knows what was measured, nor how a profile is written.
//!
//! Path: *read path*. Nothing here panics or fails, whatever the source says.

mod address_map;
mod ages;
mod gaps;
mod labels;
mod limit;
mod lines;
mod location_map;
mod marker;
mod shown_stack;
mod stacks;
mod units;
mod value;

pub(crate) use address_map::AddressMap;
pub use ages::Ages;
pub(crate) use ages::Cohort;
pub(crate) use gaps::{Gaps, Signs};
pub(crate) use labels::{Label, LabelSets, LabelValue, LabelsId};
pub(crate) use limit::Importance;
pub use limit::SizeLimit;
pub(crate) use lines::DistinctLines;
pub use lines::Frame;
pub(crate) use location_map::LocationMap;
pub(crate) use marker::{Marker, Place};
pub(crate) use shown_stack::{Location, ShownStack};
pub(crate) use stacks::Stacks;
pub use stacks::{Frames, Symbolize};
pub(crate) use units::{Amount, Bytes, Time, Unit};
#[cfg(feature = "http")]
pub(crate) use units::{Count, Things};
pub(crate) use value::{Estimate, Family, ValueType, add, standard_error};

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// What stands before the name of a function that spawned a task, in the frame that says so.
#[cfg(feature = "http")]
pub(crate) const CREATED_BY: &str = "created by ";
/// What stands behind the name of the function of a task that has ended while somebody still holds its handle.
#[cfg(feature = "http")]
pub(crate) const ENDED: &str = " [ended]";

/// Holds a profile of any kind, before it is written in a format.
#[derive(Debug)]
pub(crate) struct Profile {
    /// Holds its name among the endpoints, such as `heap`.
    pub(crate) name: &'static str,
    /// What the values of each row mean, in their order. A viewer shows the last one first unless told otherwise.
    pub(crate) types: &'static [ValueType],
    /// The index of the type that rows are ordered by, and that formats with one value show.
    pub(crate) shown_type: usize,
    /// The index of the type that viewers are told to show first; `None` leaves it to them.
    pub(crate) default_type: Option<usize>,
    /// What lies between two samples.
    pub(crate) period: Period,
    /// When it was taken. For a difference, it is the time of its end.
    pub(crate) time: SystemTime,
    /// The time between the two ends of a difference; `None` if the profile counts everything since the start.
    pub(crate) duration: Option<Duration>,
    /// Every stack that rows refer to, with names for its addresses.
    pub(crate) stacks: Stacks,
    /// Which frames of a stack are shown.
    pub(crate) frames: Frames,
    /// What was measured.
    pub(crate) rows: Rows,
    /// False if nothing was measured, so that no value means anything.
    pub(crate) is_known: bool,
    /// Sums up all rows, with one sum for each value type.
    pub(crate) totals: Vec<Estimate>,
    /// How sure the profile is, and what is missing, in words. Each is a line, and none begins with `#`.
    pub(crate) notes: Vec<String>,
    /// How much memory the profiler holds for itself, in bytes.
    pub(crate) own_bytes: u64,
    /// Makes what the profile says in Go's legacy text. That may take a look at every row, which other formats spare.
    pub(crate) legacy: fn(&Profile) -> Box<dyn LegacyForm>,
}

/// What a kind of profile says in Go's legacy text. Apart from this, the text is alike for all kinds.
pub(crate) trait LegacyForm {
    /// Returns the first line of the text, for a profile that has rows with these values.
    fn header(&self, rows: &mut dyn Iterator<Item = &[Estimate]>) -> String;
    /// Returns how heavy a row with these values is. The lightest row comes first.
    fn weight(&self, values: &[Estimate]) -> (i64, i64);
    /// Writes what stands in a row before its addresses.
    fn write_figures(&self, values: &[Estimate], text: &mut dyn fmt::Write) -> fmt::Result;
    /// Writes what follows the notes: an empty line, and lines that begin with `#`.
    fn write_statistics(&self, text: &mut dyn fmt::Write) -> fmt::Result;
    /// Tells whether a row is a count and its addresses, of which there must be one.
    fn is_counted(&self) -> bool {
        false
    }
    /// Returns the line after which the list of mappings stands.
    fn mappings_line(&self) -> &'static str {
        "MAPPED_LIBRARIES:"
    }
}

/// What lies between two samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    /// What is counted in between, such as `space`.
    pub(crate) name: &'static str,
    /// The unit that it is counted in.
    pub(crate) unit: Unit,
    /// The mean amount of it between two samples.
    pub(crate) value: u64,
    /// Names the field in JSON, such as `sampling_interval_bytes`.
    pub(crate) field: &'static str,
}

impl Profile {
    /// Yields each stack that has rows, as it is to be shown, with its rows.
    pub(crate) fn shown_stacks(
        &self,
    ) -> impl Iterator<Item = (ShownStack<'_>, impl Iterator<Item = Row<'_>>)> {
        self.rows.by_stack().map(|(stack, rows)| (self.stacks.shown(stack, self.frames), rows))
    }
}

/// Holds the rows of a profile. The rows of one stack follow one another.
#[derive(Debug)]
pub(crate) struct Rows {
    rows: Vec<RowParts>,
    /// Holds the values of one row after another, one for each value type.
    values: Vec<Estimate>,
    /// Holds the cohorts of one row after another.
    cohorts: Vec<Cohort>,
    label_sets: LabelSets,
    types: usize,
}

#[derive(Debug)]
struct RowParts {
    stack: u32,
    labels: LabelsId,
    cohorts: Range<u32>,
}

/// One row, as readers see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// The labels that set it apart from other rows of the stack.
    pub(crate) labels: LabelsId,
    /// Holds the values of the row, one for each value type.
    pub(crate) values: &'a [Estimate],
    /// What is there by age; it is empty if ages are not known.
    pub(crate) cohorts: &'a [Cohort],
}

impl Rows {
    /// Makes an empty table for so many value types, with room for `capacity` rows.
    pub(crate) fn new(types: usize, capacity: usize) -> Rows {
        Rows {
            rows: Vec::with_capacity(capacity),
            values: Vec::with_capacity(capacity.saturating_mul(types)),
            cohorts: Vec::new(),
            label_sets: LabelSets::new(),
            types,
        }
    }

    /// Returns the number of a set of labels.
    pub(crate) fn labels_id(&mut self, labels: Vec<Label>) -> LabelsId {
        self.label_sets.id(labels)
    }

    /// Returns the labels of a set.
    pub(crate) fn labels(&self, id: LabelsId) -> &[Label] {
        self.label_sets.get(id)
    }

    /// Adds a row of the stack at `stack`. There must be as many values as value types.
    pub(crate) fn push(
        &mut self,
        stack: usize,
        labels: LabelsId,
        values: &[Estimate],
        cohorts: impl IntoIterator<Item = Cohort>,
    ) {
        debug_assert_eq!(values.len(), self.types);
        let start = self.cohorts.len() as u32;
        self.cohorts.extend(cohorts);
        self.values.extend_from_slice(values);
        self.rows.push(RowParts { stack: stack as u32, labels, cohorts: start..self.cohorts.len() as u32 });
    }

    /// Returns how many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Yields every row, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.by_stack().flat_map(|(_, rows)| rows)
    }

    /// Yields the index of each stack that has rows, with its rows.
    fn by_stack(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = Row<'_>>)> {
        let types = self.types.max(1);
        let mut values_left = &self.values[..];
        self.rows.chunk_by(|a, b| a.stack == b.stack).map(move |rows| {
            let (values, others) = values_left.split_at(rows.len() * types);
            values_left = others;
            let row = |(parts, values): (&RowParts, _)| Row {
                labels: parts.labels,
                values,
                cohorts: &self.cohorts[parts.cohorts.start as usize..parts.cohorts.end as usize],
            };
            (rows[0].stack as usize, rows.iter().zip(values.chunks_exact(types)).map(row))
        })
    }
}

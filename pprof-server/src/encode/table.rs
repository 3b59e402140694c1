//! The heaviest stacks as a table for a terminal, without leaving the program.
//!
//! What `go tool pprof -top` and `-traces` would show, for a program that has no file to hand to them: a demo, a
//! test, a log line. Built by `encode::top_table`.
//!
//! Path: *read path*.

use super::age::{Ages, Time};
#[cfg(feature = "http")]
use super::mappings::Mappings;
#[cfg(feature = "http")]
use super::notes::losses;
use super::notes::notes;
use super::stacks::{AddressMap, Location, Names, ShownStack};
use super::trim::{Role, role};
use super::units::{Bytes, Count};
#[cfg(feature = "http")]
use super::{Frames, Symbolize};
use super::{ProfileOptions, SampleType};
use crate::symbols::SourceLine;
use alloc_profiler::{AgeTotals, Snapshot, Totals};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// What is held, what grew, or what was allocated, by stack. `{table}` prints the first ten rows, `{table:.3}` three.
#[derive(Clone, Debug)]
pub struct TopTable {
    /// By `sample_type`, largest first; in a difference, so, what grew most. At most [`MAX_ROWS`], to be bounded in
    /// memory.
    pub rows: Vec<TopRow>,
    /// Distinct stacks, those included that are beyond `rows`.
    pub stacks: usize,
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
pub struct Frame {
    /// Demangled, `file+0xaddress` where there is no name, or `0xaddress` if names were not asked for.
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
    let mut stacks: Vec<_> = by_lines.into_iter().collect();
    stacks.sort_by(|(a_lines, (a, _)), (b_lines, (b, _))| {
        let by_size = sample_type.of(b).total_cmp(&sample_type.of(a));
        by_size.then_with(|| lines.frames(a_lines).cmp(lines.frames(b_lines)))
    });
    let row = |(ids, (totals, ages)): &(Vec<u32>, (Totals, Vec<&[AgeTotals]>))| TopRow {
        totals: *totals,
        ages: Ages::of(ages),
        frames: lines.frames(ids).cloned().collect(),
    };
    TopTable {
        rows: stacks.iter().take(MAX_ROWS).map(row).collect(),
        stacks: stacks.len(),
        sample_type,
        totals: snapshot.totals(),
        gross: stacks.iter().map(|(_, (totals, _))| sample_type.of(totals).abs()).sum(),
        duration: snapshot.duration,
        notes: notes(snapshot, names),
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

/// Rows that a table keeps. Nobody reads more of them, and each holds the text of its whole stack.
pub const MAX_ROWS: usize = 1000;
/// Rows printed unless a precision says otherwise.
const ROWS_SHOWN: usize = 10;
/// Columns before what is said of a function in a second line.
const MARGIN: usize = 57;
/// Columns that ages take.
const AGES_WIDTH: usize = 23;
/// Callers printed below the first function of a row.
const CALLERS_SHOWN: usize = 3;

impl fmt::Display for TopTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.sample_type.of(&self.totals);
        let total = if self.sample_type.is_space() {
            format!("{}{}", Bytes(value), plus_minus(self.sample_type.error_of(&self.totals), Bytes))
        } else {
            let error = plus_minus(self.sample_type.error_of(&self.totals), Count);
            format!("{}{error} objects", Count(value))
        };
        let what = match (self.sample_type.is_inuse(), self.duration) {
            (true, None) => "In use".to_owned(),
            (true, Some(time)) => format!("Growth in {:.1} s", time.as_secs_f64()),
            (false, None) => "Allocated since the start".to_owned(),
            (false, Some(time)) => format!("Allocated in {:.1} s", time.as_secs_f64()),
        };
        writeln!(f, "{what}: {total} on {} stacks.", self.stacks)?;
        let shown = f.precision().unwrap_or(ROWS_SHOWN);
        let rows = &self.rows[..shown.min(self.rows.len())];
        let has_ages = rows.iter().any(|row| row.ages.is_some());
        let ages = if has_ages { "   age: median      max" } else { "" };
        writeln!(f, "\n  share       bytes   ± std err      objects  samples{ages}  function")?;
        rows.iter().try_for_each(|row| row.fmt(f, self.sample_type, self.gross, has_ages))?;
        match self.stacks.saturating_sub(shown.min(self.rows.len())) {
            0 => {}
            hidden => writeln!(f, "\n{hidden} more stacks not shown.")?,
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

impl TopRow {
    fn fmt(
        &self,
        f: &mut fmt::Formatter<'_>,
        sample_type: SampleType,
        gross: f64,
        has_ages: bool,
    ) -> fmt::Result {
        let totals = &self.totals;
        let (bytes, objects, samples) = if sample_type.is_inuse() {
            (totals.inuse_bytes, totals.inuse_objects, totals.inuse_samples)
        } else {
            (totals.alloc_bytes, totals.alloc_objects, totals.alloc_samples)
        };
        let share = if gross > 0.0 { 100.0 * sample_type.of(totals) / gross } else { 0.0 };
        let error = if sample_type.is_inuse() {
            totals.inuse_bytes_standard_error()
        } else {
            totals.alloc_bytes_standard_error()
        };
        let error = error.map_or_else(String::new, |error| Bytes(error).to_string());
        let (bytes, objects) = (Bytes(bytes), Count(objects));
        let first = self.frames.first();
        let function = first.map_or("[no names]", |frame| &frame.function);
        write!(f, "{share:>5.1} % {bytes:>11} {error:>11} {objects:>12} {samples:>8}")?;
        let margin = if has_ages { MARGIN + AGES_WIDTH } else { MARGIN };
        match self.ages {
            Some(Ages { median, max }) => write!(f, "      {:>8} {:>8}", Time(median), Time(max))?,
            None => write!(f, "{:1$}", "", margin - MARGIN)?,
        }
        writeln!(f, "  {function}")?;
        Frame::write_below(&self.frames, margin, f)
    }
}

/// ` ± error`, if it is known.
fn plus_minus<T: fmt::Display>(error: Option<f64>, show: fn(f64) -> T) -> String {
    error.map_or_else(String::new, |error| format!(" ± {}", show(error)))
}

impl Frame {
    /// Where the first of `frames` is, and who called it: what a row says below its first line.
    pub(crate) fn write_below(frames: &[Frame], margin: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = frames.first().and_then(Frame::place) {
            writeln!(f, "{:margin$}at {place}", "")?;
        }
        // Of the callers, too, only those that somebody wrote are news.
        let callers = frames.iter().skip(1).filter(|frame| role(&frame.function, &frame.file) == Role::User);
        for caller in callers.take(CALLERS_SHOWN) {
            match caller.place() {
                Some(place) => writeln!(f, "{:margin$}from {}, {place}", "", caller.function)?,
                None => writeln!(f, "{:margin$}from {}", "", caller.function)?,
            }
        }
        Ok(())
    }

    /// `file:line`, if known.
    fn place(&self) -> Option<String> {
        (!self.file.is_empty()).then(|| format!("{}:{}", short_path(&self.file), self.line))
    }
}

/// The part of a path that tells something: from the crate's folder on for dependencies, from `library/` on for
/// the standard library, from the current directory on for what lies in it.
fn short_path(path: &str) -> &str {
    let below = |prefix: &str| path.split_once(prefix).and_then(|(_, rest)| rest.split_once('/'));
    if let Some((_, rest)) = below("/registry/src/").or_else(|| below("/rustc/")) {
        return rest;
    }
    let current = std::env::current_dir().unwrap_or_default();
    let relative = current.to_str().and_then(|current| path.strip_prefix(current)?.strip_prefix('/'));
    relative.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(inuse_bytes: f64, frames: &[(&str, &str)]) -> TopRow {
        let frame = |&(function, file): &(&str, &str)| Frame {
            function: function.into(),
            file: file.into(),
            line: 7,
            is_inlined: false,
        };
        TopRow {
            totals: Totals {
                inuse_bytes,
                inuse_objects: 1234.0,
                inuse_samples: 3,
                inuse_bytes_variance: inuse_bytes * inuse_bytes / 4.0,
                ..Totals::default()
            },
            ages: None,
            frames: frames.iter().map(frame).collect(),
        }
    }

    #[test]
    fn a_table_reads_well() {
        let frames = [
            ("demo::reader::Reader::new", "src/reader.rs"),
            ("core::iter::Map::fold", "/rustc/123/library/core/src/iter.rs"),
            ("tokio::net::accept", "/home/me/.cargo/registry/src/index.crates.io-1/tokio-1.54.0/src/net.rs"),
            ("serve", ""),
        ];
        let table = TopTable {
            rows: vec![row(3072.0, &frames), row(0.0, &[]), row(-1024.0, &[("gone", "")])],
            stacks: 3,
            sample_type: SampleType::InuseSpace,
            totals: Totals {
                inuse_bytes: 2048.0,
                inuse_bytes_variance: 1536.0 * 1536.0,
                alloc_objects: 1500.0,
                ..Totals::default()
            },
            gross: 4096.0,
            duration: Some(Duration::from_millis(1500)),
            notes: vec!["a note".into()],
        };
        let expected = "\
Growth in 1.5 s: 2.00 KiB ± 1.50 KiB on 3 stacks.

  share       bytes   ± std err      objects  samples  function
 75.0 %    3.00 KiB    1.50 KiB        1 234        3  demo::reader::Reader::new
                                                         at src/reader.rs:7
                                                         from tokio::net::accept, tokio-1.54.0/src/net.rs:7
                                                         from serve
  0.0 %         0 B         0 B        1 234        3  [no names]

1 more stacks not shown.

a note
";
        assert_eq!(format!("{table:.2}"), expected);
        assert!(table.to_string().contains("-25.0 %   -1.00 KiB       512 B"), "{table}");
    }

    #[test]
    fn ages_have_columns_if_there_are_any() {
        let ages = Some(Ages { median: Duration::from_secs(7), max: Duration::from_secs(5400) });
        let rows = vec![TopRow { ages, ..row(3072.0, &[("f", "f.rs")]) }, row(1024.0, &[("g", "")])];
        let table = TopTable {
            rows,
            stacks: 2,
            sample_type: SampleType::InuseSpace,
            totals: Totals { inuse_bytes: 4096.0, ..Totals::default() },
            gross: 4096.0,
            duration: None,
            notes: Vec::new(),
        };
        let expected = "\
In use: 4.00 KiB ± 0 B on 2 stacks.

  share       bytes   ± std err      objects  samples   age: median      max  function
 75.0 %    3.00 KiB    1.50 KiB        1 234        3         7.0 s   90 min  f
                                                                                at f.rs:7
 25.0 %    1.00 KiB       512 B        1 234        3                         g
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn a_table_of_what_was_allocated_says_so() {
        let mut allocated = row(0.0, &[("f", "")]);
        allocated.totals.alloc_objects = 1500.0;
        allocated.totals.alloc_bytes = 3000.0;
        allocated.totals.alloc_samples = 7;
        allocated.totals.alloc_objects_variance = 40_000.0;
        allocated.totals.alloc_bytes_variance = 160_000.0;
        let table = TopTable {
            totals: allocated.totals,
            rows: vec![allocated],
            stacks: 1,
            sample_type: SampleType::AllocObjects,
            gross: 3000.0,
            duration: None,
            notes: Vec::new(),
        };
        let expected = "\
Allocated since the start: 1 500 ± 200 objects on 1 stacks.

  share       bytes   ± std err      objects  samples  function
 50.0 %    2.93 KiB       400 B        1 500        7  f
";
        assert_eq!(table.to_string(), expected);
        let difference = TopTable { duration: Some(Duration::from_secs(2)), ..table };
        assert!(
            difference.to_string().starts_with("Allocated in 2.0 s: 1 500 ± 200 objects"),
            "{difference}"
        );
    }

    #[test]
    fn an_empty_table_is_no_error() {
        let table = TopTable {
            rows: Vec::new(),
            stacks: 0,
            sample_type: SampleType::InuseSpace,
            totals: Totals::default(),
            gross: 0.0,
            duration: None,
            notes: Vec::new(),
        };
        assert!(table.to_string().starts_with("In use: 0 B on 0 stacks."));
    }
}

//! The table of the heaviest stacks as a terminal shows it.
//!
//! Called wherever a `TopTable` is printed: for `?format=text`, by demos and by tests.
//!
//! Path: *read path*.

use super::table::{Frame, TopRow, TopTable};
use crate::profile::{Ages, Bytes, Count, Time};
use crate::sources::heap::SampleType;
use crate::symbols::role::{Role, role};
use std::fmt;

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
        let busy = self.stacks.saturating_sub(self.idle_stacks);
        writeln!(f, "{what}: {total} on {}.", stacks(busy))?;
        let shown = f.precision().unwrap_or(ROWS_SHOWN);
        let rows = &self.rows[..shown.min(self.rows.len())];
        let has_ages = rows.iter().any(|row| row.ages.is_some());
        let ages = if has_ages { "   age: median      max" } else { "" };
        writeln!(f, "\n  share       bytes   ± std err      objects  samples{ages}  function")?;
        rows.iter().try_for_each(|row| row.fmt(f, self.sample_type, self.gross, has_ages))?;
        match busy.saturating_sub(rows.len()) {
            0 => {}
            1 => writeln!(f, "\n1 more stack not shown.")?,
            hidden => writeln!(f, "\n{hidden} more stacks not shown.")?,
        }
        match (self.idle_stacks, self.sample_type.is_inuse(), self.duration) {
            (0, ..) => {}
            (idle, true, None) => writeln!(f, "\n{} with nothing in use.", stacks(idle))?,
            (idle, true, Some(_)) => writeln!(f, "\n{} with as much in use as before.", stacks(idle))?,
            (idle, false, _) => writeln!(f, "\n{} with nothing allocated.", stacks(idle))?,
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

fn stacks(count: usize) -> String {
    if count == 1 { "1 stack".to_owned() } else { format!("{count} stacks") }
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
    use alloc_profiler::Totals;
    use std::time::Duration;

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
            stacks: 7,
            idle_stacks: 4,
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

1 more stack not shown.

4 stacks with as much in use as before.

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
            idle_stacks: 0,
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
            idle_stacks: 0,
            sample_type: SampleType::AllocObjects,
            gross: 3000.0,
            duration: None,
            notes: Vec::new(),
        };
        let expected = "\
Allocated since the start: 1 500 ± 200 objects on 1 stack.

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
            idle_stacks: 0,
            sample_type: SampleType::InuseSpace,
            totals: Totals::default(),
            gross: 0.0,
            duration: None,
            notes: Vec::new(),
        };
        assert!(table.to_string().starts_with("In use: 0 B on 0 stacks."));
    }
}

//! The heaviest stacks as a table for a terminal, without leaving the program.
//!
//! What `go tool pprof -top` and `-traces` would show, for a program that has no file to hand to them: a demo, a
//! test, a log line. Built by `encode::top_table`.
//!
//! Path: *read path*.

use super::Frames;
use super::stacks::{Names, overflow_stack};
use super::trim::{Role, role};
use super::units::{Bytes, Count};
use alloc_profiler::{Snapshot, Totals};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// What is held, or what grew, by stack. `{table}` prints the first ten rows, `{table:.3}` three.
#[derive(Clone, Debug)]
pub struct TopTable {
    /// By in-use bytes, largest first; in a difference, so, what grew most.
    pub rows: Vec<TopRow>,
    /// Estimated bytes in use: the sum over all rows.
    pub inuse_bytes: f64,
    /// The time in which it grew; `None` if the table is of a snapshot.
    pub duration: Option<Duration>,
}

/// One stack: all that was allocated on it, whatever its size.
#[derive(Clone, Debug)]
pub struct TopRow {
    /// Estimated objects and bytes.
    pub totals: Totals,
    /// Leaf first; inlined functions as frames of their own. Never empty, unless names were not asked for.
    pub frames: Vec<Frame>,
}

/// One function on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// Demangled, or `file+0xaddress` where there is no name.
    pub function: String,
    /// Source file; empty if unknown.
    pub file: String,
    /// Line in `file`; 0 if unknown.
    pub line: u32,
    /// True if inlined into the next frame.
    pub is_inlined: bool,
}

/// The rows of `snapshot`. Stacks are the same if their frames are, lines included.
pub(crate) fn build(snapshot: &Snapshot, frames_kept: Frames, names: &Names) -> TopTable {
    let mut by_frames: HashMap<Vec<Frame>, Totals> = HashMap::new();
    let stacks = snapshot.stacks.iter().map(|stack| (names.stack(&stack.trace, frames_kept), &stack.by_size));
    for (stack, by_size) in stacks.chain([(overflow_stack(), &snapshot.overflow)]) {
        if by_size.is_empty() {
            continue;
        }
        let mut frames = Vec::new();
        for location in stack {
            let lines = names.lines(location);
            frames.extend(lines.iter().enumerate().map(|(index, line)| Frame {
                function: line.function.to_string(),
                file: line.file.to_string(),
                line: line.line,
                is_inlined: index + 1 < lines.len(),
            }));
        }
        let totals = by_frames.entry(frames).or_default();
        by_size.iter().for_each(|size| *totals += size.totals);
    }
    let mut rows: Vec<TopRow> =
        by_frames.into_iter().map(|(frames, totals)| TopRow { totals, frames }).collect();
    rows.sort_by(|a, b| {
        let by_size = b.totals.inuse_bytes.total_cmp(&a.totals.inuse_bytes);
        by_size.then_with(|| a.frames.cmp(&b.frames))
    });
    let inuse_bytes = rows.iter().map(|row| row.totals.inuse_bytes).sum();
    TopTable { rows, inuse_bytes, duration: snapshot.duration }
}

/// Rows printed unless a precision says otherwise.
const ROWS_SHOWN: usize = 10;
/// Callers printed below the first function of a row.
const CALLERS_SHOWN: usize = 3;

impl fmt::Display for TopTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = Bytes(self.inuse_bytes);
        match self.duration {
            None => writeln!(f, "In use: {total} on {} stacks.", self.rows.len())?,
            Some(time) => {
                let seconds = time.as_secs_f64();
                writeln!(f, "Growth in {seconds:.1} s: {total} on {} stacks.", self.rows.len())?;
            }
        }
        writeln!(f, "\n  share       bytes      objects  samples  function")?;
        // Where some stacks shrank, the shares of those that grew would else exceed the whole.
        let whole: f64 = self.rows.iter().map(|row| row.totals.inuse_bytes.abs()).sum();
        let shown = f.precision().unwrap_or(ROWS_SHOWN);
        for row in self.rows.iter().take(shown) {
            row.fmt(f, whole)?;
        }
        match self.rows.len().saturating_sub(shown) {
            0 => Ok(()),
            hidden => writeln!(f, "\n{hidden} more stacks not shown."),
        }
    }
}

impl TopRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>, whole: f64) -> fmt::Result {
        let Totals { inuse_bytes, inuse_objects, inuse_samples, .. } = self.totals;
        let share = if whole > 0.0 { 100.0 * inuse_bytes / whole } else { 0.0 };
        let (bytes, objects) = (Bytes(inuse_bytes), Count(inuse_objects));
        let first = self.frames.first();
        let function = first.map_or("[no names]", |frame| &frame.function);
        writeln!(f, "{share:>5.1} % {bytes:>11} {objects:>12} {inuse_samples:>8}  {function}")?;
        if let Some(place) = first.and_then(Frame::place) {
            writeln!(f, "{:45}at {place}", "")?;
        }
        // Of the callers, too, only those that somebody wrote are news.
        let callers =
            self.frames.iter().skip(1).filter(|frame| role(&frame.function, &frame.file) == Role::User);
        for caller in callers.take(CALLERS_SHOWN) {
            match caller.place() {
                Some(place) => writeln!(f, "{:45}from {}, {place}", "", caller.function)?,
                None => writeln!(f, "{:45}from {}", "", caller.function)?,
            }
        }
        Ok(())
    }
}

impl Frame {
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
            totals: Totals { inuse_bytes, inuse_objects: 1234.0, inuse_samples: 3, ..Totals::default() },
            frames: frames.iter().map(frame).collect(),
        }
    }

    #[test]
    fn a_table_reads_well() {
        let frames = [
            ("demo::reader::Reader::new", "src/reader.rs"),
            ("core::iter::Map::fold", "/rustc/123/library/core/src/iter.rs"),
            ("tokio::net::accept", "/root/.cargo/registry/src/index.crates.io-1/tokio-1.54.0/src/net.rs"),
            ("serve", ""),
        ];
        let table = TopTable {
            rows: vec![row(3072.0, &frames), row(0.0, &[]), row(-1024.0, &[("gone", "")])],
            inuse_bytes: 2048.0,
            duration: Some(Duration::from_millis(1500)),
        };
        let expected = "\
Growth in 1.5 s: 2.00 KiB on 3 stacks.

  share       bytes      objects  samples  function
 75.0 %    3.00 KiB        1 234        3  demo::reader::Reader::new
                                             at src/reader.rs:7
                                             from tokio::net::accept, tokio-1.54.0/src/net.rs:7
                                             from serve
  0.0 %         0 B        1 234        3  [no names]

1 more stacks not shown.
";
        assert_eq!(format!("{table:.2}"), expected);
        assert!(table.to_string().contains("-25.0 %   -1.00 KiB"), "{table}");
    }

    #[test]
    fn an_empty_table_is_no_error() {
        let table = TopTable { rows: Vec::new(), inuse_bytes: 0.0, duration: None };
        assert!(table.to_string().starts_with("In use: 0 B on 0 stacks."));
    }
}

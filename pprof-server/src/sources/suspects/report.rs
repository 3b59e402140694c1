//! A report on suspects as people and programs read it.
//!
//! Path: *read path*.

use std::fmt;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::method::Kind;
use super::{Report, Suspect};
use crate::profile::{Ages, Bytes, Count, Frame, Time};

/// Rows printed unless a precision says otherwise.
const ROWS_SHOWN: usize = 10;
/// Columns before what is said of a suspect in its later lines.
const MARGIN: usize = 11;

#[derive(Serialize)]
struct Document<'a> {
    /// Nanoseconds since 1970 UTC.
    time_nanos: u64,
    window_seconds: f64,
    /// How many snapshots were looked at. The present one is included.
    records: usize,
    notes: &'a [String],
    suspects: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: Kind,
    growth_bytes: i64,
    growth_bytes_per_hour: i64,
    /// One standard error of `growth_bytes_per_hour`.
    growth_error_bytes_per_hour: i64,
    /// The growth, divided by the growth that chance would bring. Sampling is one part of that chance, and a program that
    /// allocates at random is the other.
    z: f64,
    inuse_space_error_bytes: Option<i64>,
    inuse_space: i64,
    inuse_objects: i64,
    inuse_samples: i64,
    age: Option<Ages>,
    /// Bytes in use at each of the snapshots that were looked at, the oldest first.
    history_inuse_space: Vec<i64>,
    /// The frames, leaf first.
    stack: &'a [Frame],
}

impl Report {
    /// Writes the first `rows` suspects as JSON.
    pub(crate) fn json<'a>(&'a self, rows: usize) -> String {
        let row = |suspect: &'a Suspect| {
            let Suspect { growth, totals, ages, bytes, frames, .. } = suspect;
            Row {
                kind: growth.kind,
                growth_bytes: growth.bytes.round() as i64,
                growth_bytes_per_hour: growth.bytes_per_hour.round() as i64,
                growth_error_bytes_per_hour: growth.error_bytes_per_hour.round() as i64,
                z: growth.z,
                inuse_space_error_bytes: totals
                    .inuse_bytes_standard_error()
                    .map(|error| error.round() as i64),
                inuse_space: totals.inuse_bytes.round() as i64,
                inuse_objects: totals.inuse_objects.round() as i64,
                inuse_samples: totals.inuse_samples,
                age: *ages,
                history_inuse_space: bytes.iter().map(|bytes| bytes.round() as i64).collect(),
                stack: frames,
            }
        };
        let document = Document {
            time_nanos: self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64,
            window_seconds: self.window.as_secs_f64(),
            records: self.records,
            notes: &self.notes,
            suspects: self.suspects.iter().take(rows).map(row).collect(),
        };
        // Numbers, texts and lists cannot fail to be written into memory.
        serde_json::to_string(&document).unwrap_or_default() + "\n"
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaks = self.suspects.iter().filter(|suspect| suspect.growth.kind == Kind::Leak).count();
        let what = match (leaks, self.suspects.len() - leaks) {
            (0, 0) => "no stack grows".to_owned(),
            (0, others) => format!("no leak; {others} that grew otherwise"),
            (leaks, 0) => format!("{leaks} that leak"),
            (leaks, others) => format!("{leaks} that leak, {others} that grew otherwise"),
        };
        writeln!(f, "Stacks in the last {}, by {} snapshots: {what}.", Time(self.window), self.records)?;
        let shown = f.precision().unwrap_or(ROWS_SHOWN).min(self.suspects.len());
        if shown > 0 {
            writeln!(
                f,
                "\nkind         growth an hour ± std err        z      in use     objects  samples   age: median      max  function"
            )?;
        }
        self.suspects[..shown].iter().try_for_each(|suspect| suspect.fmt(f))?;
        match self.suspects.len() - shown {
            0 => {}
            hidden => writeln!(f, "\n{hidden} more not shown.")?,
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

impl Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Suspect { growth, totals, .. } = self;
        let (median, max) = match self.ages {
            Some(Ages { median, max }) => (Time(median).to_string(), Time(max).to_string()),
            None => (String::new(), String::new()),
        };
        writeln!(
            f,
            "{:8}  {:>11} ± {:>11}   {:>10.1} {:>11} {:>11} {:>8}      {median:>8} {max:>8}  {}",
            growth.kind.name(),
            Bytes(growth.bytes_per_hour),
            Bytes(growth.error_bytes_per_hour),
            growth.z,
            Bytes(totals.inuse_bytes),
            Count(totals.inuse_objects),
            totals.inuse_samples,
            self.frames.first().map_or("[no names]", |frame| &frame.function),
        )?;
        writeln!(f, "{:MARGIN$}{}", "", spark_line(&self.bytes))?;
        Frame::write_below(&self.frames, MARGIN, f)
    }
}

/// Draws a bar for each value, on a scale from nothing to the largest value.
fn spark_line(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let largest = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let height = if largest > 0.0 { value / largest * (BARS.len() - 1) as f64 } else { 0.0 };
        BARS[(height.round() as usize).min(BARS.len() - 1)]
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::super::method::Growth;
    use super::*;
    use alloc_profiler::Totals;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn report() -> Report {
        let growth = Growth {
            kind: Kind::Leak,
            bytes: 2048.0,
            bytes_per_hour: 3072.0,
            error_bytes_per_hour: 512.0,
            z: 6.0,
        };
        let frame = Frame { function: "f".into(), file: "src/f.rs".into(), line: 7, is_inlined: false };
        let suspect = Suspect {
            growth,
            totals: Totals {
                inuse_bytes: 4096.0,
                inuse_objects: 1024.0,
                inuse_samples: 40,
                inuse_bytes_variance: 640.0 * 640.0,
                ..Totals::default()
            },
            ages: Some(Ages { median: Duration::from_secs(60), max: Duration::from_secs(7200) }),
            bytes: vec![0.0, 1000.0, 4096.0],
            frames: vec![frame],
            stack_ids: vec![3],
        };
        Report {
            time: UNIX_EPOCH,
            window: Duration::from_secs(3600),
            records: 31,
            suspects: vec![suspect],
            notes: vec!["a note".into()],
        }
    }

    #[test]
    fn a_report_reads_well() {
        let expected = "\
Stacks in the last 60 min, by 31 snapshots: 1 that leak.

kind         growth an hour ± std err        z      in use     objects  samples   age: median      max  function
leak         3.00 KiB ±       512 B          6.0    4.00 KiB       1 024       40          60 s    2.0 h  f
           ▁▃█
           at src/f.rs:7

a note
";
        assert_eq!(report().to_string(), expected);
        let empty = Report { suspects: Vec::new(), notes: Vec::new(), ..report() };
        assert_eq!(empty.to_string(), "Stacks in the last 60 min, by 31 snapshots: no stack grows.\n");
    }

    #[test]
    fn programs_read_the_same() {
        let document: Value = serde_json::from_str(&report().json(10)).unwrap();
        let frame = json!({"function": "f", "file": "src/f.rs", "line": 7, "is_inlined": false});
        let expected = json!({
            "time_nanos": 0, "window_seconds": 3600.0, "records": 31, "notes": ["a note"],
            "suspects": [{
                "kind": "leak", "growth_bytes": 2048, "growth_bytes_per_hour": 3072,
                "growth_error_bytes_per_hour": 512, "z": 6.0, "inuse_space_error_bytes": 640, "inuse_space": 4096, "inuse_objects": 1024,
                "inuse_samples": 40, "age": {"median_seconds": 60.0, "max_seconds": 7200.0},
                "history_inuse_space": [0, 1000, 4096], "stack": [frame],
            }],
        });
        assert_eq!(document, expected);
        assert_eq!(serde_json::from_str::<Value>(&report().json(0)).unwrap()["suspects"], json!([]));
    }
}

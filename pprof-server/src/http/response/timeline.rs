//! The recorded past as a time line for programs, and the list of marks for people.
//!
//! The page at `/debug/pprof/` draws what `json` tells. `schema/answers.schema.json` has its shape as
//! `History`, and docs/endpoints.md describes it.
//!
//! Path: *read path*. Pure, but for what the system says of the process.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloc_profiler::{Dropped, OwnMemory, Snapshot};
use serde::Serialize;

use super::drops;
use crate::history::{History, Now, Record, Summary};
use crate::{process, symbols};

#[derive(Serialize)]
struct Document<'a> {
    /// The time between two records; 0 if nothing is recorded.
    period_seconds: u64,
    held_bytes: usize,
    limit_bytes: usize,
    now: Moment,
    /// The records, the oldest first.
    records: Vec<Moment>,
    /// The marks, by name.
    marks: Vec<Mark<'a>>,
    sampling_interval_bytes: u64,
    is_installed: bool,
    #[serde(serialize_with = "drops::serialize")]
    dropped: Dropped,
    #[serde(with = "OwnMemoryFields")]
    own_memory: OwnMemory,
    /// `full`, or why there is less.
    symbols: &'static str,
    /// A regular expression for the names and files of functions that readers may leave out, for `go tool pprof -hide`.
    plumbing: &'static str,
}

#[derive(Serialize)]
struct Moment {
    /// The time since 1970 UTC, as if the clock had always gone as it is set now. So moments are in order, and as far from each
    /// other as they were.
    time_nanos: u64,
    inuse_space: i64,
    inuse_objects: i64,
    alloc_space: i64,
    alloc_objects: i64,
    inuse_samples: i64,
    /// One standard error of `inuse_space`; `null` if no sample says anything of it.
    inuse_space_error_bytes: Option<i64>,
    /// The resident memory; `null` if it is not known.
    rss_bytes: Option<u64>,
    /// The limit of the control group; `null` if there is none.
    memory_limit_bytes: Option<u64>,
    sampling_interval_bytes: u64,
}

#[derive(Serialize)]
struct Mark<'a> {
    name: &'a str,
    #[serde(flatten)]
    moment: Moment,
}

/// The fields of [`OwnMemory`], which serde takes from it one by one.
#[derive(Serialize)]
#[serde(remote = "OwnMemory")]
struct OwnMemoryFields {
    mapped_bytes: u64,
    limit_bytes: u64,
    stacks: u64,
    live_samples: u64,
}

impl Moment {
    fn of(summary: &Summary, time: SystemTime) -> Moment {
        let totals = &summary.totals;
        Moment {
            time_nanos: since_1970(time).as_nanos() as u64,
            inuse_space: totals.inuse_bytes.round() as i64,
            inuse_objects: totals.inuse_objects.round() as i64,
            alloc_space: totals.alloc_bytes.round() as i64,
            alloc_objects: totals.alloc_objects.round() as i64,
            inuse_samples: totals.inuse_samples,
            inuse_space_error_bytes: totals.inuse_bytes_standard_error().map(|error| error.round() as i64),
            rss_bytes: summary.memory.resident_bytes,
            memory_limit_bytes: summary.memory.limit_bytes,
            sampling_interval_bytes: summary.sampling_interval,
        }
    }
}

/// The time line in JSON: what is kept, and what is at the moment of `now`.
pub(crate) fn json(history: &History, now: &Snapshot, is_installed: bool) -> String {
    let clocks = Now::of(now);
    let of_record = |record: &Record| Moment::of(&record.summary, clocks.time_of(record));
    let document = Document {
        period_seconds: history.period().map_or(0, |period| period.as_secs()),
        held_bytes: history.held_bytes(),
        limit_bytes: history.limit_bytes(),
        now: Moment::of(&Summary::of(now, process::memory()), now.taken_at),
        records: history.records().map(of_record).collect(),
        marks: history.marks().map(|(name, record)| Mark { name, moment: of_record(record) }).collect(),
        sampling_interval_bytes: now.sampling_interval,
        is_installed,
        dropped: now.dropped,
        own_memory: now.own_memory,
        symbols: symbols::of_program(),
        plumbing: symbols::plumbing_pattern(),
    };
    // Numbers, texts and lists cannot fail to be written into memory.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}

/// A text with a line for each mark.
pub(crate) fn marks(history: &History) -> String {
    let now = Now::by_clocks();
    let mut text = String::new();
    for (name, record) in history.marks() {
        let age = record.age(now.at);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{name}  {}  ({} ago)",
            humantime::format_rfc3339_seconds(now.time_of(record)),
            humantime::format_duration(Duration::from_secs(age.as_secs()))
        );
    }
    if text.is_empty() {
        text.push_str("no marks; POST /debug/pprof/mark?name=NAME sets one\n");
    }
    text
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::testing::{snapshot, totals};
    use serde_json::{Value, json};
    use std::time::Instant;

    #[test]
    fn the_time_line_has_records_marks_and_now() {
        let mut history = History::new(Some(Duration::from_secs(60)), 1 << 20);
        let now = Instant::now();
        history.record(&snapshot(&[(0, totals(20, 10))]), Default::default(), now);
        history.mark("a", &snapshot(&[(0, totals(40, 30))]), Default::default(), now, false).unwrap();
        let document: Value =
            serde_json::from_str(&json(&history, &snapshot(&[(0, totals(60, 50))]), true)).unwrap();
        assert_eq!(document["period_seconds"], json!(60));
        assert_eq!(document["records"][0]["inuse_space"], json!(10));
        assert_eq!(document["marks"][0]["name"], json!("a"));
        assert_eq!(document["marks"][0]["alloc_space"], json!(40));
        assert_eq!(document["now"]["inuse_space"], json!(50));
        let line = marks(&history);
        assert!(line.starts_with("a  20") && line.ends_with("Z  (0s ago)\n"), "{line}");
        assert!(marks(&History::new(None, 0)).starts_with("no marks"));
    }
}

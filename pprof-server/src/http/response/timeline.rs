//! The recorded past is told as a time line for programs, and the marks as a list for people.
//!
//! The page at `/debug/pprof/` draws what `json` tells. `schema/answers.schema.json` has its shape as
//! `History`, and docs/endpoints.md describes it.
//!
//! Path: *read path*. Pure, but for what the system says of the process.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloc_profiler::{Dropped, OwnMemory, Snapshot, Totals};
use serde::Serialize;

use super::drops;
use crate::encode::{are_known, symbols_of};
use crate::history::{History, Now, Point, Record, Summary, TimeLine};
use crate::{process, symbols};

#[derive(Serialize)]
struct Document<'a> {
    /// A text that is another one when the program has been started anew.
    instance: &'static str,
    /// When the program was started; `null` if that is not known.
    process_start_nanos: Option<u64>,
    /// The longest time between two records; 0 if nothing is recorded.
    period_seconds: u64,
    /// The time between two records at present; 0 if nothing is recorded.
    pause_seconds: f64,
    held_bytes: usize,
    limit_bytes: usize,
    /// Why the past has fewer moments than it should, and what to do about it.
    notes: Vec<String>,
    now: Moment,
    /// Holds the records, the oldest first.
    records: Vec<Moment>,
    points: Points,
    /// Holds the marks, by name.
    marks: Vec<Mark<'a>>,
    sampling_interval_bytes: u64,
    is_installed: bool,
    #[serde(serialize_with = "drops::serialize")]
    dropped: Dropped,
    #[serde(with = "OwnMemoryFields")]
    own_memory: OwnMemory,
    /// `full`, or why there is less.
    symbols: String,
    /// A regular expression for the names and files of functions that readers may leave out, for `go tool pprof -hide`.
    plumbing: &'static str,
    /// A regular expression for the files of code that is not the program's own, for the same use.
    libraries: &'static str,
}

#[derive(Serialize)]
struct Moment {
    /// The time since 1970 UTC, as if the clock had always gone as it is set now. So moments are in order, and as far from each
    /// other as they were.
    time_nanos: u64,
    /// The estimates; `null` if nothing could be sampled.
    inuse_space: Option<i64>,
    inuse_objects: Option<i64>,
    alloc_space: Option<i64>,
    alloc_objects: Option<i64>,
    inuse_samples: i64,
    /// One standard error of `inuse_space`; `null` if no sample says anything of it.
    inuse_space_error_bytes: Option<i64>,
    /// The resident memory; `null` if it is not known.
    rss_bytes: Option<u64>,
    /// The memory of the control group; `null` if it is not known.
    memory_usage_bytes: Option<u64>,
    /// The limit of the control group; `null` if there is none.
    memory_limit_bytes: Option<u64>,
    sampling_interval_bytes: u64,
}

/// The points of the time line, the oldest first, a column for each figure: a thousand objects would be three times as long.
#[derive(Default, Serialize)]
struct Points {
    time_seconds: Vec<f64>,
    inuse_space: Vec<Option<i64>>,
    inuse_space_error_bytes: Vec<Option<i64>>,
    alloc_space: Vec<Option<i64>>,
    rss_bytes: Vec<Option<u64>>,
    memory_usage_bytes: Vec<Option<u64>>,
    memory_limit_bytes: Vec<Option<u64>>,
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
    fn of(summary: &Summary, time: SystemTime, is_installed: bool) -> Moment {
        let totals = &summary.totals;
        // mutant: D12 moments have figures of nothing
        let is_known = are_known(totals, summary.sampling_interval, is_installed);
        let whole = |estimate: f64| is_known.then(|| estimate.round() as i64);
        Moment {
            time_nanos: since_1970(time).as_nanos() as u64,
            inuse_space: whole(totals.inuse_bytes),
            inuse_objects: whole(totals.inuse_objects),
            alloc_space: whole(totals.alloc_bytes),
            alloc_objects: whole(totals.alloc_objects),
            inuse_samples: totals.inuse_samples,
            inuse_space_error_bytes: totals.inuse_bytes_standard_error().map(|error| error.round() as i64),
            rss_bytes: summary.memory.resident_bytes,
            memory_usage_bytes: summary.memory.group.usage_bytes,
            memory_limit_bytes: summary.memory.group.limit_bytes,
            sampling_interval_bytes: summary.sampling_interval,
        }
    }
}

impl Points {
    fn of(line: &TimeLine, now: Now, is_installed: bool) -> Points {
        let mut points = Points::default();
        for Point { at, totals, memory, sampling_interval } in line.points() {
            // mutant: D12 points have figures of nothing
            let totals = totals.filter(|totals| are_known(totals, *sampling_interval, is_installed));
            let whole = |figure: fn(&Totals) -> Option<f64>| Some(figure(totals.as_ref()?)?.round() as i64);
            // Thousandths of a second are enough to draw, and half as long to send.
            let millis = since_1970(now.time_at(*at)).as_millis();
            points.time_seconds.push(millis as f64 / 1e3);
            points.inuse_space.push(whole(|totals| Some(totals.inuse_bytes)));
            points.inuse_space_error_bytes.push(whole(Totals::inuse_bytes_standard_error));
            points.alloc_space.push(whole(|totals| Some(totals.alloc_bytes)));
            points.rss_bytes.push(memory.resident_bytes);
            points.memory_usage_bytes.push(memory.group.usage_bytes);
            points.memory_limit_bytes.push(memory.group.limit_bytes);
        }
        points
    }
}

/// The time line in JSON: what is kept, and what is at the moment of `now`.
pub(crate) fn json(history: &History, line: &TimeLine, now: &Snapshot, is_installed: bool) -> String {
    let clocks = Now::of(now);
    let of_record = |record: &Record| Moment::of(&record.summary, clocks.time_of(record), is_installed);
    let started_at = process::age().and_then(|age| now.taken_at.checked_sub(age));
    let document = Document {
        instance: process::instance(),
        process_start_nanos: started_at.map(|time| since_1970(time).as_nanos() as u64),
        pause_seconds: history.pause().map_or(0.0, |pause| pause.as_secs_f64()),
        period_seconds: history.period().map_or(0, |period| period.as_secs()),
        held_bytes: history.held_bytes(),
        limit_bytes: history.limit_bytes(),
        notes: history.notes(),
        now: Moment::of(&Summary::of(now, process::memory()), now.taken_at, is_installed),
        records: history.records().map(of_record).collect(),
        points: Points::of(line, clocks, is_installed),
        marks: history.marks().map(|(name, record)| Mark { name, moment: of_record(record) }).collect(),
        sampling_interval_bytes: now.sampling_interval,
        is_installed,
        dropped: now.dropped,
        own_memory: now.own_memory,
        symbols: symbols_of(now),
        plumbing: symbols::plumbing_pattern(),
        libraries: symbols::library::library_pattern(),
    };
    // Numbers, texts and lists cannot fail to be written into memory.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}

/// Returns a text with a line for each mark.
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
    use crate::cgroup::CgroupMemory;
    use crate::history::testing::{snapshot, totals};
    use crate::process::Memory;
    use alloc_profiler::internal::literal;
    use serde_json::{Value, json};
    use std::time::Instant;

    fn document(history: &History, line: &TimeLine, now: &Snapshot, is_installed: bool) -> Value {
        serde_json::from_str(&json(history, line, now, is_installed)).unwrap()
    }

    #[test]
    fn the_time_line_has_records_marks_and_now() {
        let mut history = History::new(Some(Duration::from_secs(60)), 1 << 20);
        let now = Instant::now();
        history.record(&snapshot(&[(0, totals(20, 10))]), Default::default(), now);
        history.mark("a", &snapshot(&[(0, totals(40, 30))]), Default::default(), now, false).unwrap();
        let document = document(&history, &TimeLine::default(), &snapshot(&[(0, totals(60, 50))]), true);
        assert_eq!(document["period_seconds"], json!(60));
        assert_eq!(document["records"][0]["inuse_space"], json!(10));
        assert_eq!(document["marks"][0]["name"], json!("a"));
        assert_eq!(document["marks"][0]["alloc_space"], json!(40));
        assert_eq!(document["now"]["inuse_space"], json!(50));
        for moment in [&document["now"], &document["records"][0]] {
            assert!(moment["inuse_space"].is_i64() && moment["alloc_objects"].is_i64(), "{moment}");
        }
        let line = marks(&history);
        assert!(line.starts_with("a  20") && line.ends_with("Z  (0s ago)\n"), "{line}");
        assert!(marks(&History::new(None, 0)).starts_with("no marks"));
    }

    #[test]
    fn figures_of_what_nobody_has_looked_at_are_null() {
        let mut history = History::new(Some(Duration::from_secs(60)), 1 << 20);
        let nothing = snapshot(&[]);
        history.record(&nothing, Default::default(), Instant::now());
        let moments = |is_installed| {
            let document = document(&history, &TimeLine::default(), &nothing, is_installed);
            [document["now"].clone(), document["records"][0].clone()]
        };
        let estimates = ["inuse_space", "inuse_objects", "alloc_space", "alloc_objects"];
        for moment in moments(false) {
            assert!(estimates.iter().all(|name| moment[name].is_null()), "{moment}");
            assert_eq!(moment["inuse_samples"], json!(0));
        }
        for moment in moments(true) {
            assert!(estimates.iter().all(|name| moment[name] == json!(0)), "{moment}");
        }
    }

    #[test]
    fn points_have_a_column_for_each_figure_by_the_clock_as_it_is_set_now() {
        const MIB: u64 = 1 << 20;
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let known = literal!(Totals { inuse_bytes_variance: 16.0, ..totals(700, 500) });
        let group = CgroupMemory { limit_bytes: Some(9 * MIB), usage_bytes: Some(8 * MIB) };
        let memory = Memory { resident_bytes: Some(7 * MIB), group };
        let mut line = TimeLine::default();
        let point = |at, totals, memory| Point { at, totals, memory, sampling_interval: 1 };
        line.add(point(start, None, Memory::default()), Duration::ZERO);
        line.add(point(start + second, Some(known), memory), Duration::ZERO);
        let expected = |times: [f64; 2]| {
            json!({
                "time_seconds": times,
                "inuse_space": [null, 500],
                "inuse_space_error_bytes": [null, 4],
                "alloc_space": [null, 700],
                "rss_bytes": [null, 7 * MIB],
                "memory_usage_bytes": [null, 8 * MIB],
                "memory_limit_bytes": [null, 9 * MIB],
            })
        };
        // Whatever the clock showed when the points were made.
        for time in [1_000_000.0, 5.25, 4_000_000_000.0] {
            let now = literal!(Snapshot {
                taken_at: UNIX_EPOCH + Duration::from_secs_f64(time),
                taken_at_monotonic: start + 3 * second,
                ..snapshot(&[])
            });
            let document = document(&History::new(None, 0), &line, &now, true);
            assert_eq!(document["points"], expected([time - 3.0, time - 2.0]));
        }
    }

    #[test]
    fn points_of_what_nobody_has_looked_at_are_null() {
        let mut line = TimeLine::default();
        let totals = Some(Totals::default());
        let point = Point { at: Instant::now(), totals, memory: Memory::default(), sampling_interval: 1 };
        line.add(point, Duration::ZERO);
        for (is_installed, expected) in [(false, json!([null])), (true, json!([0]))] {
            let document = document(&History::new(None, 0), &line, &snapshot(&[]), is_installed);
            assert_eq!(document["points"]["inuse_space"], expected);
            assert_eq!(document["points"]["alloc_space"], expected);
        }
    }

    /// The answer covers a day of a program with a terabyte of memory.
    #[test]
    fn the_longest_answer_has_less_than_256_kib() {
        const TIB: u64 = 1 << 40;
        let start = Instant::now();
        let group = CgroupMemory { limit_bytes: Some(9 * TIB), usage_bytes: Some(8 * TIB) };
        let memory = Memory { resident_bytes: Some(7 * TIB), group };
        let known = literal!(Totals { inuse_bytes_variance: 1e20, ..totals(900 * TIB, 6 * TIB) });
        let (mut line, mut history) =
            (TimeLine::default(), History::new(Some(Duration::from_secs(60)), 8 << 20));
        let then = snapshot(&[(0, known)]);
        // As dense as they are kept, and denser.
        let day = (0..82_800).step_by(150).chain((82_800..85_500).step_by(5)).chain(85_500..86_400);
        for second in day {
            let at = start + Duration::from_secs(second);
            line.add(Point { at, totals: Some(known), memory, sampling_interval: 1 }, Duration::ZERO);
            history.record(&then, memory, at);
        }
        let now = literal!(Snapshot { taken_at_monotonic: start + Duration::from_secs(86_400), ..then });
        let bytes = json(&history, &line, &now, true).len();
        println!("{bytes} bytes for {} points", line.points().len());
        assert!((128 << 10..256 << 10).contains(&bytes), "{bytes}");
    }

    #[test]
    fn an_instance_stays_while_the_program_runs() {
        let ask = || document(&History::new(None, 0), &TimeLine::default(), &snapshot(&[]), true);
        let (first, second) = (ask(), ask());
        assert_eq!(first["instance"], second["instance"]);
        let id = first["instance"].as_str().unwrap();
        assert!(id.starts_with(&format!("{}-", std::process::id())), "{id}");
    }
}

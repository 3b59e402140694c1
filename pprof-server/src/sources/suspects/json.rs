//! A report on suspects as programs read it. `schema/answers.schema.json` has its shape.
//!
//! Path: *read path*.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::kind::{Kind, WORDS, Words, sureness};
use super::tasks::Tasks;
use super::{Report, Suspect, named_frame};
use crate::profile::{Ages, Frame};

#[derive(Serialize)]
struct Document<'a> {
    /// Tells the time of the report, in nanoseconds since 1970 UTC.
    time_nanos: u64,
    window_seconds: f64,
    /// How many snapshots were looked at. The present one is included.
    records: usize,
    first_verdict_in_seconds: Option<f64>,
    /// How long ago each of them was taken, the oldest first.
    history_ages_seconds: &'a [f64],
    kinds: &'a [Words],
    notes: &'a [String],
    /// `null` if nothing could be sampled.
    suspects: Option<Vec<Row<'a>>>,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: Kind,
    growth_bytes: i64,
    growth_error_bytes: i64,
    growth_seconds: f64,
    since_nanos: u64,
    until_nanos: Option<u64>,
    is_older: bool,
    window_seconds: f64,
    growth_bytes_per_hour: Option<i64>,
    growth_error_bytes_per_hour: Option<i64>,
    full_in_seconds: Option<f64>,
    z: f64,
    sureness: &'static str,
    inuse_space_error_bytes: Option<i64>,
    inuse_space: i64,
    inuse_objects: i64,
    inuse_samples: i64,
    age: Option<Ages>,
    /// Says in words what holds the blocks. It is left out unless `holders=1` asked for it and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<&'a str>,
    /// Bytes in use at each of the snapshots that were looked at, the oldest first.
    history_inuse_space: Vec<i64>,
    /// The frames of the heaviest stack; the leaf is the first.
    stack: &'a [Frame],
    named_frame: usize,
    stack_count: usize,
    stacks: Vec<Stack<'a>>,
    /// `null` if it has no tasks, or if they were not looked at.
    tasks: Option<TaskCounts<'a>>,
}

#[derive(Serialize)]
struct TaskCounts<'a> {
    looked_at_nanos: u64,
    count: i64,
    error: i64,
    samples: i64,
    growth: Option<i64>,
    growth_error: Option<i64>,
    wait_count: usize,
    waits: Vec<TaskWait<'a>>,
}

#[derive(Serialize)]
struct TaskWait<'a> {
    count: i64,
    error: i64,
    samples: i64,
    age: Option<Ages>,
    spawned_by: &'a str,
    /// The futures that wait for one another, the innermost first; none if they are not known.
    stack: &'a [Frame],
}

impl<'a> TaskCounts<'a> {
    fn of(tasks: &'a Tasks) -> TaskCounts<'a> {
        let whole = |value: f64| value.round() as i64;
        let wait = |wait: &'a super::Wait| TaskWait {
            count: whole(wait.count),
            error: whole(wait.error),
            samples: wait.samples,
            age: wait.ages,
            spawned_by: &wait.spawned_by,
            stack: &wait.frames,
        };
        TaskCounts {
            looked_at_nanos: nanos(tasks.looked_at),
            count: whole(tasks.count),
            error: whole(tasks.error),
            samples: tasks.samples,
            growth: tasks.growth.map(|growth| whole(growth.count)),
            growth_error: tasks.growth.map(|growth| whole(growth.error)),
            wait_count: tasks.wait_count,
            waits: tasks.waits.iter().map(wait).collect(),
        }
    }
}

#[derive(Serialize)]
struct Stack<'a> {
    inuse_space: i64,
    share: f64,
    stack: &'a [Frame],
}

impl Report {
    /// Writes the first `rows` suspects as JSON.
    pub(crate) fn json(&self, rows: usize) -> String {
        let suspects = self.suspects.iter().take(rows).map(|suspect| self.row(suspect));
        let document = Document {
            time_nanos: nanos(self.time),
            window_seconds: self.window().as_secs_f64(),
            records: self.ages.len(),
            first_verdict_in_seconds: self.too_early.map(|time| time.as_secs_f64()),
            history_ages_seconds: &self.ages,
            kinds: &WORDS,
            notes: &self.notes,
            // mutant: D12 nothing known is nothing that grows
            suspects: self.is_known.then(|| suspects.collect()),
        };
        // Numbers, texts and lists cannot fail to be written into memory.
        serde_json::to_string(&document).unwrap_or_default() + "\n"
    }

    fn row<'a>(&self, suspect: &'a Suspect) -> Row<'a> {
        let Suspect { growth, totals, ages, bytes, stacks, stack_count, tasks, .. } = suspect;
        let stack = stacks.first().map_or(&[][..], |stack| &stack.frames);
        let time = self.growth_time(growth).as_secs_f64();
        let is_over = growth.kind == Kind::Burst;
        let an_hour = |bytes: f64| (!is_over && time > 0.0).then(|| (bytes / time * 3600.0).round() as i64);
        Row {
            kind: growth.kind,
            growth_bytes: growth.bytes.round() as i64,
            growth_error_bytes: growth.error_bytes.round() as i64,
            growth_seconds: time,
            since_nanos: nanos(self.moment(growth.since)),
            until_nanos: is_over.then(|| nanos(self.moment(growth.until))),
            is_older: suspect.is_older(),
            window_seconds: self.ages[growth.first],
            growth_bytes_per_hour: an_hour(growth.bytes),
            growth_error_bytes_per_hour: an_hour(growth.error_bytes),
            full_in_seconds: suspect.full_in.map(|time| time.as_secs_f64()),
            z: growth.z,
            sureness: sureness(growth.z),
            inuse_space_error_bytes: totals.inuse_bytes_standard_error().map(|error| error.round() as i64),
            inuse_space: totals.inuse_bytes.round() as i64,
            inuse_objects: totals.inuse_objects.round() as i64,
            inuse_samples: totals.inuse_samples,
            held_by: suspect.held_by.as_deref(),
            age: *ages,
            history_inuse_space: bytes.iter().map(|bytes| bytes.round() as i64).collect(),
            stack,
            named_frame: named_frame(stack),
            stack_count: *stack_count,
            stacks: stacks
                .iter()
                .map(|stack| Stack {
                    inuse_space: stack.inuse_bytes.round() as i64,
                    share: if totals.inuse_bytes > 0.0 {
                        stack.inuse_bytes / totals.inuse_bytes
                    } else {
                        0.0
                    },
                    stack: &stack.frames,
                })
                .collect(),
            tasks: tasks.as_ref().map(TaskCounts::of),
        }
    }
}

/// Returns the nanoseconds since 1970 UTC.
fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::super::Report;
    use super::super::testing::{report, report_with_tasks};
    use serde_json::{Value, json};

    #[test]
    fn programs_read_where_tasks_wait() {
        let document: Value = serde_json::from_str(&report_with_tasks().json(10)).unwrap();
        let mut tasks = document["suspects"][0]["tasks"].clone();
        let waits = tasks["waits"].take();
        let expected = json!({
            "looked_at_nanos": 3_600_000_000_000_u64, "count": 990, "error": 50, "samples": 65, "growth": 400,
            "growth_error": 40, "wait_count": 2, "waits": null,
        });
        assert_eq!(tasks, expected);
        assert_eq!(
            (&waits[0]["count"], &waits[0]["error"], &waits[0]["samples"]),
            (&json!(900), &json!(30), &json!(60))
        );
        assert_eq!(waits[0]["stack"][1]["function"], "shop::read");
        assert_eq!((&waits[1]["stack"], &waits[1]["spawned_by"]), (&json!([]), &json!("f")));
        assert_eq!(waits[1]["age"], json!({"median_seconds": 20.0, "max_seconds": 90.0}));
    }

    #[test]
    fn programs_read_the_same() {
        let mut document: Value = serde_json::from_str(&report().json(10)).unwrap();
        let kinds = document["kinds"].take();
        assert_eq!(
            (kinds[0]["kind"].as_str(), kinds[4]["title"].as_str()),
            (Some("leak"), Some("grew once, stopped"))
        );
        let frame = |function: &str, line: u32| json!({"function": function, "file": format!("src/{function}.rs"), "line": line, "is_inlined": false});
        let frames = json!([frame("f", 7), frame("g", 8)]);
        let expected = json!({
            "time_nanos": 3_600_000_000_000_u64, "window_seconds": 3600.0, "records": 3, "notes": ["a note"],
            "first_verdict_in_seconds": null, "history_ages_seconds": [3600.0, 1800.0, 0.0], "kinds": null,
            "suspects": [{
                "kind": "leak", "growth_bytes": 3096, "growth_error_bytes": 512, "growth_seconds": 1800.0,
                "since_nanos": 1_800_000_000_000_u64, "until_nanos": null, "is_older": false, "window_seconds": 3600.0,
                "growth_bytes_per_hour": 6192, "growth_error_bytes_per_hour": 1024, "full_in_seconds": 10_800.0,
                "z": 6.0, "sureness": "chance of error < 1 in 3 000 000",
                "inuse_space_error_bytes": 640, "inuse_space": 4096, "inuse_objects": 1024, "inuse_samples": 40,
                "age": {"median_seconds": 60.0, "max_seconds": 7200.0},
                "history_inuse_space": [0, 1000, 4096], "stack": frames, "named_frame": 0, "stack_count": 3,
                "stacks": [
                    {"inuse_space": 3072, "share": 0.75, "stack": frames},
                    {"inuse_space": 1024, "share": 0.25, "stack": [frame("f", 7)]},
                ],
                "tasks": null,
            }],
        });
        assert_eq!(document, expected);
        let suspects =
            |report: Report| serde_json::from_str::<Value>(&report.json(0)).unwrap()["suspects"].clone();
        assert_eq!(suspects(report()), json!([]));
        assert_eq!(suspects(Report { is_known: false, suspects: Vec::new(), ..report() }), Value::Null);
    }
}

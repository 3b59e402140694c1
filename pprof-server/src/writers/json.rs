//! The table of the heaviest stacks as JSON, for programs.
//!
//! `schema/answers.schema.json` has its shape as `Heap`, and docs/endpoints.md describes it. Numbers are whole, and add up: the rows and `other`
//! make `total`. Called by `encode::top_json`.
//!
//! Path: *read path*.

use super::table::{Frame, TopTable};
use crate::profile::{Ages, ProfileKind};
use crate::sources::heap::{SampleType, rounded};
use alloc_profiler::{Snapshot, Totals};
use serde::Serialize;
use std::time::UNIX_EPOCH;

#[derive(Serialize)]
struct Document<'a> {
    /// `heap` or `allocs`.
    profile: &'static str,
    /// The name of the value that rows are ordered by, largest first.
    ordered_by: &'static str,
    /// Since 1970 UTC.
    time_nanos: u64,
    /// Of a difference, the time between its two ends; `null` of a snapshot.
    duration_nanos: Option<u64>,
    sampling_interval_bytes: u64,
    /// Distinct stacks, those included that have no row.
    stacks: usize,
    /// Those of them that have nothing of what rows are ordered by, and so no row.
    idle_stacks: usize,
    total: Values,
    total_errors: Errors,
    rows: Vec<Row<'a>>,
    /// All that has no row.
    other: Values,
    other_errors: Errors,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    values: Values,
    errors: Errors,
    /// Of what is in use; `null` if nothing is, or if ages are not known.
    age: Option<Ages>,
    /// Leaf first.
    stack: &'a [Frame],
}

/// Objects and bytes are estimates of the whole program's; samples are what they rest on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Values {
    alloc_objects: i64,
    alloc_space: i64,
    inuse_objects: i64,
    inuse_space: i64,
    alloc_samples: i64,
    inuse_samples: i64,
}

/// One standard error of each estimate: 0 if all samples were taken with certainty, `null` if there are none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Errors {
    alloc_objects: Option<i64>,
    alloc_space: Option<i64>,
    inuse_objects: Option<i64>,
    inuse_space: Option<i64>,
}

impl Errors {
    fn of(totals: &Totals) -> Errors {
        let whole = |error: Option<f64>| error.map(|error| error.round() as i64);
        Errors {
            alloc_objects: whole(totals.alloc_objects_standard_error()),
            alloc_space: whole(totals.alloc_bytes_standard_error()),
            inuse_objects: whole(totals.inuse_objects_standard_error()),
            inuse_space: whole(totals.inuse_bytes_standard_error()),
        }
    }
}

impl Values {
    fn of(totals: &Totals) -> Values {
        let [alloc_objects, alloc_space, inuse_objects, inuse_space] = rounded(totals);
        let Totals { alloc_samples, inuse_samples, .. } = *totals;
        Values { alloc_objects, alloc_space, inuse_objects, inuse_space, alloc_samples, inuse_samples }
    }

    fn without(self, part: Values) -> Values {
        Values {
            alloc_objects: self.alloc_objects.saturating_sub(part.alloc_objects),
            alloc_space: self.alloc_space.saturating_sub(part.alloc_space),
            inuse_objects: self.inuse_objects.saturating_sub(part.inuse_objects),
            inuse_space: self.inuse_space.saturating_sub(part.inuse_space),
            alloc_samples: self.alloc_samples.saturating_sub(part.alloc_samples),
            inuse_samples: self.inuse_samples.saturating_sub(part.inuse_samples),
        }
    }
}

/// The first `rows` of `table`, which is of `snapshot`.
pub(crate) fn write(table: &TopTable, snapshot: &Snapshot, kind: ProfileKind, rows: usize) -> String {
    let rows: Vec<Row<'_>> = table
        .rows
        .iter()
        .take(rows)
        .map(|row| Row {
            values: Values::of(&row.totals),
            errors: Errors::of(&row.totals),
            age: row.ages,
            stack: &row.frames,
        })
        .collect();
    let total = Values::of(&table.totals);
    let shown = table.rows.iter().take(rows.len());
    let other = shown.fold(table.totals, |rest, row| rest.without(row.totals));
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let document = Document {
        profile: match kind {
            ProfileKind::Heap => "heap",
            ProfileKind::Allocs => "allocs",
        },
        ordered_by: SampleType::name(table.sample_type),
        time_nanos: nanos(snapshot.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default()),
        duration_nanos: snapshot.duration.map(nanos),
        sampling_interval_bytes: snapshot.sampling_interval,
        stacks: table.stacks,
        idle_stacks: table.idle_stacks,
        total,
        total_errors: Errors::of(&table.totals),
        other: rows.iter().fold(total, |rest, row| rest.without(row.values)),
        other_errors: Errors::of(&other),
        rows,
        notes: &table.notes,
    };
    // Numbers, texts and lists cannot fail to be written into memory.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    #[test]
    fn rows_and_what_has_no_row_make_the_total() {
        let row = |inuse_bytes: f64, function: &str| crate::TopRow {
            totals: Totals { inuse_bytes, inuse_samples: 2, inuse_bytes_variance: 9.0, ..Totals::default() },
            ages: (inuse_bytes > 10.0)
                .then_some(Ages { median: Duration::from_millis(500), max: Duration::from_secs(9) }),
            frames: vec![Frame {
                function: function.into(),
                file: "a \"b\".rs".into(),
                line: 7,
                is_inlined: true,
            }],
        };
        let rows = vec![row(10.4, "f"), row(3.4, "g"), row(-1.0, "h")];
        let table = TopTable {
            totals: Totals {
                inuse_bytes: 12.8,
                inuse_samples: 6,
                inuse_bytes_variance: 34.0,
                ..Totals::default()
            },
            rows,
            stacks: 3,
            idle_stacks: 1,
            sample_type: SampleType::InuseSpace,
            gross: 14.8,
            duration: Some(Duration::from_nanos(5)),
            notes: vec!["a note".into()],
        };
        let snapshot = Snapshot {
            taken_at: UNIX_EPOCH + Duration::from_nanos(7),
            duration: table.duration,
            sampling_interval: 512,
            ..alloc_profiler::snapshot()
        };
        let text = write(&table, &snapshot, ProfileKind::Heap, 2);
        let values = |inuse_space, inuse_samples| {
            json!({"alloc_objects": 0, "alloc_space": 0, "inuse_objects": 0, "inuse_space": inuse_space,
                "alloc_samples": 0, "inuse_samples": inuse_samples})
        };
        let errors = |inuse_space| json!({"alloc_objects": null, "alloc_space": null, "inuse_objects": 0, "inuse_space": inuse_space});
        let row = |function, value| {
            let frame = json!({"function": function, "file": "a \"b\".rs", "line": 7, "is_inlined": true});
            let age = (value == 10).then(|| json!({"median_seconds": 0.5, "max_seconds": 9.0}));
            json!({"values": values(value, 2), "errors": errors(3), "age": age, "stack": [frame]})
        };
        let expected = json!({
            "profile": "heap", "ordered_by": "inuse_space", "time_nanos": 7, "duration_nanos": 5,
            "sampling_interval_bytes": 512, "stacks": 3, "idle_stacks": 1, "total": values(13, 6), "total_errors": errors(6),
            "rows": [row("f", 10), row("g", 3)], "other": values(0, 2), "other_errors": errors(4), "notes": ["a note"],
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        assert!(text.ends_with("}\n"));
    }
}

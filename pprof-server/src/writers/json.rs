//! This writes the table of the heaviest stacks as JSON, for programs.
//!
//! `schema/answers.schema.json` has its shape as `Heap`, and docs/endpoints.md describes it. Numbers are whole and add
//! up: the rows and `other` make `total`. What is not known is `null`, never 0.
//!
//! Path: *read path*.

use super::table::Table;
use crate::profile::{Ages, Estimate, Frame, Profile, ValueType, standard_error};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::time::UNIX_EPOCH;

#[derive(Serialize)]
struct Document<'a> {
    /// Names the profile, such as `heap`.
    profile: &'static str,
    /// The name of the value that rows are ordered by, largest first.
    ordered_by: &'static str,
    /// When the profile was taken, in nanoseconds since 1970 UTC.
    time_nanos: u64,
    /// The time between the two ends of a difference; `null` for a snapshot.
    duration_nanos: Option<u64>,
    /// What lies between two samples, under its own name.
    #[serde(flatten)]
    period: Period,
    /// The number of distinct stacks, those included that have no row.
    stacks: usize,
    /// The number of those stacks that have nothing of what rows are ordered by, and so no row.
    idle_stacks: usize,
    total: Values,
    total_errors: Errors,
    rows: Vec<Row<'a>>,
    /// The sum of everything that has no row.
    other: Values,
    other_errors: Errors,
    notes: &'a [String],
}

struct Period(crate::profile::Period);

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0.field, &self.0.value)?;
        map.end()
    }
}

#[derive(Serialize)]
struct Row<'a> {
    values: Values,
    errors: Errors,
    /// How old the objects are; `null` if that is not known.
    age: Option<Ages>,
    /// Holds the frames, leaf first.
    stack: &'a [Frame],
}

/// The value of each type, and for each family of types the number of samples that it rests on.
struct Values {
    types: &'static [ValueType],
    values: Vec<i64>,
    samples: Vec<i64>,
    /// False if nothing was measured.
    are_known: bool,
}

impl Values {
    fn of(types: &'static [ValueType], values: &[Estimate], are_known: bool) -> Values {
        Values {
            types,
            values: values.iter().map(|value| value.rounded()).collect(),
            samples: values.iter().map(|value| value.samples).collect(),
            are_known,
        }
    }

    fn subtract(&mut self, part: &Values) {
        let pairs = self.values.iter_mut().zip(&part.values);
        pairs.chain(self.samples.iter_mut().zip(&part.samples)).for_each(|(whole, part)| {
            *whole = whole.saturating_sub(*part);
        });
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (of, value) in self.types.iter().zip(&self.values) {
            map.serialize_entry(of.name, &self.are_known.then_some(value))?;
        }
        for (index, (of, samples)) in self.types.iter().zip(&self.samples).enumerate() {
            if self.types[..index].iter().all(|before| before.family != of.family) {
                map.serialize_entry(of.family.samples, samples)?;
            }
        }
        map.end()
    }
}

/// Tells one standard error of each estimate. It is 0 if all samples were taken with certainty, and `null` if there are
/// no samples.
struct Errors {
    types: &'static [ValueType],
    errors: Vec<Option<i64>>,
}

impl Errors {
    fn of(types: &'static [ValueType], values: &[Estimate]) -> Errors {
        let error = |index| standard_error(types, values, index).map(|error| error.round() as i64);
        Errors { types, errors: (0..types.len()).map(error).collect() }
    }
}

impl Serialize for Errors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.types.iter().map(|of| of.name).zip(&self.errors))
    }
}

/// Writes the first `rows` of `table`, which is the table of `profile`.
pub(crate) fn write(table: &Table, profile: &Profile, rows: usize) -> String {
    let types = table.types;
    let rows: Vec<Row<'_>> = table
        .rows
        .iter()
        .take(rows)
        .map(|row| Row {
            values: Values::of(types, &row.values, true),
            errors: Errors::of(types, &row.values),
            age: row.ages,
            stack: &row.frames,
        })
        .collect();
    let mut other = Values::of(types, &table.totals, profile.is_known);
    rows.iter().for_each(|row| other.subtract(&row.values));
    let mut other_estimates = table.totals.clone();
    for row in &table.rows[..rows.len()] {
        other_estimates.iter_mut().zip(&row.values).for_each(|(rest, part)| *rest = rest.without(*part));
    }
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let document = Document {
        profile: profile.name,
        ordered_by: types[table.shown_type].name,
        time_nanos: nanos(profile.time.duration_since(UNIX_EPOCH).unwrap_or_default()),
        duration_nanos: profile.duration.map(nanos),
        period: Period(profile.period),
        stacks: table.stacks,
        idle_stacks: table.idle_stacks,
        total: Values::of(types, &table.totals, profile.is_known),
        total_errors: Errors::of(types, &table.totals),
        other,
        other_errors: Errors::of(types, &other_estimates),
        rows,
        notes: &table.notes,
    };
    // Numbers, texts and lists can always be written into memory.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::table::TableRow;
    use super::*;
    use crate::mappings::Mappings;
    use crate::profile::Symbolize;
    use crate::sources::heap::{self, ProfileOptions, SampleType, TYPES};
    use alloc_profiler::internal::literal;
    use alloc_profiler::{Snapshot, Totals};
    use serde_json::{Value, json};
    use std::time::Duration;

    /// Rows of 10.4, 3.4 and -1.0 bytes in use, which make 12.8.
    fn table() -> Table {
        let row = |inuse_bytes: f64, function: &str| TableRow {
            values: heap::estimates(&literal!(Totals {
                inuse_bytes,
                inuse_samples: 2,
                inuse_bytes_variance: 9.0,
                ..Totals::default()
            }))
            .to_vec(),
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
        Table {
            types: &TYPES,
            totals: heap::estimates(&literal!(Totals {
                inuse_bytes: 12.8,
                inuse_samples: 6,
                inuse_bytes_variance: 34.0,
                ..Totals::default()
            }))
            .to_vec(),
            rows,
            stacks: 3,
            idle_stacks: 1,
            shown_type: SampleType::InuseSpace.index(),
            gross: 14.8,
            duration: Some(Duration::from_nanos(5)),
            notes: vec!["a note".into()],
        }
    }

    #[test]
    fn rows_and_what_has_no_row_make_the_total() {
        let table = table();
        let snapshot = literal!(Snapshot {
            taken_at: UNIX_EPOCH + Duration::from_nanos(7),
            duration: table.duration,
            sampling_interval: 512,
            ..alloc_profiler::snapshot()
        });
        let stacks = heap::stacks(&snapshot, Mappings::default(), Symbolize::None);
        let profile =
            Profile { is_known: true, ..heap::profile_of(&snapshot, &ProfileOptions::default(), stacks) };
        let text = write(&table, &profile, 2);
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

    #[test]
    fn what_nobody_has_looked_at_is_null() {
        // The unit tests of this crate run without the profiler's allocator.
        let snapshot =
            literal!(Snapshot { stacks: Vec::new(), overflow: Vec::new(), ..alloc_profiler::snapshot() });
        let of = |is_known: Option<bool>| {
            let stacks = heap::stacks(&snapshot, Mappings::default(), Symbolize::None);
            let profile = heap::profile_of(&snapshot, &ProfileOptions::default(), stacks);
            let profile = Profile { is_known: is_known.unwrap_or(profile.is_known), ..profile };
            serde_json::from_str::<Value>(&write(&Table::of(&profile), &profile, 10)).unwrap()
        };
        let unknown = of(None);
        for sum in ["total", "other"] {
            let samples = json!({"alloc_samples": 0, "inuse_samples": 0});
            let mut expected = samples.clone();
            for of in &TYPES {
                expected[of.name] = Value::Null;
            }
            assert_eq!(unknown[sum], expected, "{sum}");
            assert_eq!(of(Some(true))[sum]["inuse_space"], 0, "{sum}");
        }
        assert_eq!(unknown["rows"], json!([]));
    }
}

//! This gives programs the heaviest stacks of a heap.
//!
//! Path: *read path*.

use crate::profile::{Ages, Frame};
use crate::sources::heap::{self, SampleType, TYPES};
use crate::writers::ROWS_SHOWN;
use crate::writers::table::{Table, TableRow};
use alloc_profiler::Totals;
use std::fmt;
use std::time::Duration;

/// What is held, what grew, or what was allocated, by stack. `{table}` prints the first ten rows, `{table:.3}` three.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopTable {
    /// By `sample_type`, largest first; in a difference, so, what grew most. At most [`MAX_ROWS`](crate::MAX_ROWS), and as many as fit into
    /// 32 MiB of names, to be bounded in memory. None of those that have nothing of it.
    pub rows: Vec<TopRow>,
    /// Distinct stacks, those included that are not in `rows`.
    pub stacks: usize,
    /// How many of them have nothing of `sample_type`: what was allocated there is freed again, say.
    pub idle_stacks: usize,
    /// What rows are ordered by.
    pub sample_type: SampleType,
    /// Sums up the estimated objects and bytes of all stacks.
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
#[non_exhaustive]
pub struct TopRow {
    /// Estimates the objects and bytes of this stack.
    pub totals: Totals,
    /// How old what is in use is; `None` if nothing is, or if the snapshot was taken without ages.
    pub ages: Option<Ages>,
    /// The leaf comes first, and inlined functions are frames of their own. There is at least one.
    pub frames: Vec<Frame>,
}

impl TopTable {
    pub(super) fn of(table: Table) -> TopTable {
        let row =
            |row: TableRow| TopRow { totals: heap::totals(&row.values), ages: row.ages, frames: row.frames };
        TopTable {
            rows: table.rows.into_iter().map(row).collect(),
            stacks: table.stacks,
            idle_stacks: table.idle_stacks,
            sample_type: SampleType::ALL[table.shown_type],
            totals: heap::totals(&table.totals),
            gross: table.gross,
            duration: table.duration,
            notes: table.notes,
        }
    }
}

impl fmt::Display for TopTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |row: &TopRow| TableRow {
            values: heap::estimates(&row.totals).to_vec(),
            ages: row.ages,
            frames: row.frames.clone(),
        };
        let table = Table {
            // Copying the frames of a thousand rows takes longer than printing ten.
            rows: self.rows.iter().take(f.precision().unwrap_or(ROWS_SHOWN)).map(row).collect(),
            stacks: self.stacks,
            idle_stacks: self.idle_stacks,
            types: &TYPES,
            shown_type: self.sample_type.index(),
            totals: heap::estimates(&self.totals).to_vec(),
            gross: self.gross,
            duration: self.duration,
            notes: self.notes.clone(),
        };
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{ProfileKind, ProfileOptions};
    use crate::mappings::Mappings;
    use crate::profile::{DistinctLines, Frames, Stacks, Symbolize};
    use crate::symbols::role::Role;
    use crate::symbols::synthetic_line;
    use alloc_profiler::internal::literal;
    use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace};

    fn row(inuse_bytes: f64, frames: &[(&str, &str)]) -> TopRow {
        let frame = |&(function, file): &(&str, &str)| Frame {
            function: function.into(),
            file: file.into(),
            line: 7,
            is_inlined: false,
        };
        TopRow {
            totals: literal!(Totals {
                inuse_bytes,
                inuse_objects: 1234.0,
                inuse_samples: 3,
                inuse_bytes_variance: inuse_bytes * inuse_bytes / 4.0,
                ..Totals::default()
            }),
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
            totals: literal!(Totals {
                inuse_bytes: 2048.0,
                inuse_bytes_variance: 1536.0 * 1536.0,
                alloc_objects: 1500.0,
                ..Totals::default()
            }),
            gross: 4096.0,
            duration: Some(Duration::from_millis(1500)),
            notes: vec!["a note".into()],
        };
        let expected = "\
Growth in 1.5 s: 2.00 KiB ± 1.50 KiB on 3 stacks.

  share       bytes   ± std err      objects  samples
 75.0 %    3.00 KiB    1.50 KiB        1 234        3
           demo::reader::Reader::new
           at src/reader.rs:7
           from tokio::net::accept, tokio-1.54.0/src/net.rs:7
           from serve
  0.0 %         0 B         0 B        1 234        3
           [no names]

1 more stack not shown, with -1.00 KiB in all.

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
            totals: literal!(Totals { inuse_bytes: 4096.0, ..Totals::default() }),
            gross: 4096.0,
            duration: None,
            notes: Vec::new(),
        };
        let expected = "\
In use: 4.00 KiB ± 0 B on 2 stacks.

  share       bytes   ± std err      objects  samples  median age    oldest
 75.0 %    3.00 KiB    1.50 KiB        1 234        3       7.0 s    90 min
           f
           at f.rs:7
 25.0 %    1.00 KiB       512 B        1 234        3
           g
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

  share       bytes   ± std err      objects  samples
 50.0 %    2.93 KiB       400 B        1 500        7
           f
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

    fn build(snapshot: &Snapshot, options: &ProfileOptions, stacks: Stacks) -> TopTable {
        TopTable::of(Table::of(&heap::profile_of(snapshot, options, stacks)))
    }

    /// As a function that was compiled for two types, and was taken in by its caller for one of them.
    #[test]
    fn a_line_is_one_whoever_took_it_in() {
        let stack = |return_addresses: &[usize]| {
            literal!(StackTotals {
                trace: StackTrace::of_return_addresses(return_addresses.iter().copied()),
                by_size: vec![literal!(SizeTotals {
                    totals: literal!(Totals { inuse_bytes: 8.0, ..Totals::default() }),
                    ..SizeTotals::default()
                })],
                ..StackTotals::default()
            })
        };
        let stacks = vec![stack(&[11]), stack(&[21, 31]), stack(&[31])];
        let snapshot = literal!(Snapshot { stacks, ..alloc_profiler::snapshot() });
        let stacks = || {
            let traces = snapshot.stacks.iter().map(|stack| &stack.trace);
            Stacks::fixed(traces, |address| {
                let [f, main] = ["my::f", "my::main"].map(|name| synthetic_line(name, Role::User));
                match address {
                    10 => [f, main].into(),
                    20 => [f].into(),
                    _ => [main].into(),
                }
            })
        };
        let table = build(&snapshot, &ProfileOptions::default(), stacks());
        let rows: Vec<_> = table.rows.iter().map(|row| (row.totals.inuse_bytes, row.frames.len())).collect();
        assert_eq!((table.stacks, rows), (2, vec![(16.0, 2), (8.0, 1)]), "{table:?}");
        assert!(table.rows.iter().flat_map(|row| &row.frames).all(|frame| !frame.is_inlined), "{table:?}");
        let stacks = stacks();
        let mut lines = DistinctLines::new(&stacks);
        let mut ids = |index| lines.of_stack(stacks.shown(index, Frames::UserFirst));
        let [first, second, third] = [0, 1, 2].map(&mut ids);
        assert!(first == second && first != third);
    }

    #[test]
    fn stacks_with_nothing_of_what_is_asked_for_have_no_row() {
        let stack = |address: usize, alloc_bytes: f64, inuse_bytes: f64| {
            literal!(StackTotals {
                trace: StackTrace::of_return_addresses([address]),
                by_size: vec![literal!(SizeTotals {
                    totals: literal!(Totals { alloc_bytes, inuse_bytes, ..Totals::default() }),
                    ..SizeTotals::default()
                })],
                ..StackTotals::default()
            })
        };
        let stacks = vec![stack(0x1001, 9.0, 0.0), stack(0x2001, 8.0, 8.0), stack(0x3001, 7.0, 0.3)];
        let snapshot = literal!(Snapshot { stacks, ..alloc_profiler::snapshot() });
        let table = |kind| {
            let stacks = heap::stacks(&snapshot, Mappings::default(), Symbolize::None);
            let table = build(&snapshot, &ProfileOptions { kind, ..ProfileOptions::default() }, stacks);
            let rows: Vec<_> = table.rows.iter().map(|row| row.frames[0].function.clone()).collect();
            (rows, table.stacks, table.idle_stacks)
        };
        assert_eq!(table(ProfileKind::Heap), (vec!["0x2000".to_owned()], 3, 2));
        assert_eq!(table(ProfileKind::Allocs).0, ["0x1000", "0x2000", "0x3000"]);
        assert_eq!(table(ProfileKind::Allocs).2, 0);
    }
}

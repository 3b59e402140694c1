//! This finds what grew between two snapshots, line by line, and which of it is more than chance.
//!
//! A profile is sampled, so every figure in it has an error, and a difference of two has the errors of both.
//! Growth at a line *counts* when it is
//!
//! 1. at least 1 MiB: less is no leak worth a night's sleep, and programs warm up; and
//! 2. more than 3 standard errors above zero, which chance alone does about once in 740 looks.
//!
//! The standard error is the profiler's own (docs/sampling.md): blocks that lived through both snapshots are the same
//! samples in both and cancel out; those that came and those that went make the difference uncertain, each by its own
//! weight.
//!
//! Of small blocks, where nothing old went, 10 samples are enough (10 > 3 × √10): 5 MiB at the default
//! interval. A pool that churns needs more; blocks much larger than the interval, or an interval of 1, are
//! always sampled, have no error, and count from 1 MiB.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use alloc_profiler::{Snapshot, Totals};
use pprof_server::{Ages, Frame, ProfileOptions, TopRow, top_table};

use crate::status::BYTES_PER_MIB;

/// See the module.
pub(crate) const LEAST_BYTES: f64 = 1024.0 * 1024.0;
/// See the module.
pub(crate) const STANDARD_ERRORS: f64 = 3.0;

/// A line of code that allocates: the leaf of a stack, after the profile has left out the plumbing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// How much more one line holds now than before.
#[derive(Debug)]
pub(crate) struct Growth {
    pub(crate) line: Line,
    /// The difference; all of it estimates but the sample counts.
    pub(crate) totals: Totals,
    /// How old what is in use is, on the stack that grew most.
    pub(crate) ages: Option<Ages>,
    /// Who called, in our own code: from the stack that grew most, without its leaf, outermost last.
    pub(crate) callers: Vec<Line>,
}

/// Every line that holds more than before, the most first. Ages are known if `after` has them.
pub(crate) fn growth_by_line(before: &Snapshot, after: &Snapshot) -> Vec<Growth> {
    let options = ProfileOptions::default();
    // Rows are stacks, the largest first; several may end in one line.
    let mut by_line: HashMap<Line, Growth> = HashMap::new();
    for row in top_table(&after.since(before), &options).rows {
        let line = leaf(&row);
        let growth = by_line.entry(line.clone()).or_insert_with(|| Growth {
            line,
            totals: Totals::default(),
            ages: row.ages,
            callers: row.frames.iter().skip(1).map(Line::of).filter(Line::is_ours).collect(),
        });
        growth.totals += row.totals;
    }
    let mut grown: Vec<Growth> =
        by_line.into_values().filter(|growth| growth.totals.inuse_bytes > 0.0).collect();
    grown.sort_by(|a, b| b.totals.inuse_bytes.total_cmp(&a.totals.inuse_bytes));
    grown
}

impl Growth {
    /// Returns one standard error of `totals.inuse_bytes`.
    pub(crate) fn standard_error_bytes(&self) -> f64 {
        // Only what grew is listed, so there are samples.
        self.totals.inuse_bytes_standard_error().unwrap_or(f64::INFINITY)
    }

    /// True if this is more than warming up and chance.
    pub(crate) fn counts(&self) -> bool {
        self.totals.inuse_bytes >= LEAST_BYTES
            && self.totals.inuse_bytes > STANDARD_ERRORS * self.standard_error_bytes()
    }
}

impl Line {
    pub(crate) fn of(frame: &Frame) -> Line {
        // From the root of the repository for our own files, from the crate's folder for a registry's: the rest
        // of the path only tells where this was built.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let path = Path::new(&frame.file);
        let file = match root.and_then(|root| path.strip_prefix(root).ok()) {
            Some(path) => path.display().to_string(),
            None => match frame.file.split_once("/registry/src/") {
                Some((_, path)) => path.split_once('/').map_or(path, |(_index, path)| path).to_owned(),
                None => frame.file.clone(),
            },
        };
        Line { function: frame.function.clone(), file, line: frame.line }
    }

    /// Whether the line is this crate's code, and not the runtime's.
    pub(crate) fn is_ours(&self) -> bool {
        self.file.starts_with(concat!(env!("CARGO_PKG_NAME"), "/"))
    }
}

fn leaf(row: &TopRow) -> Line {
    row.frames.first().map_or_else(
        || Line { function: "(stack not read)".to_owned(), file: String::new(), line: 0 },
        Line::of,
    )
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match (self.file.as_str(), self.line) {
            ("", _) => Ok(()),
            (file, 0) => write!(f, " ({file})"),
            (file, line) => write!(f, " ({file}:{line})"),
        }
    }
}

/// The figures without the line: growth with its error, objects and samples.
impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.1} MiB ± {:5.1} {:9.0} {:8}",
            self.totals.inuse_bytes / BYTES_PER_MIB,
            self.standard_error_bytes() / BYTES_PER_MIB,
            self.totals.inuse_objects,
            self.totals.inuse_samples
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::internal::literal;

    /// Growth by `came` samples of blocks of `object_bytes`, at the default interval, while `went` others were freed.
    fn growth_of(object_bytes: f64, came: i64, went: i64) -> Growth {
        let weight = -1.0 / (-object_bytes / 524288.0).exp_m1();
        let inuse_objects = (came - went) as f64 * weight;
        Growth {
            ages: None,
            line: Line { function: String::new(), file: String::new(), line: 0 },
            totals: literal!(Totals {
                inuse_samples: came - went,
                alloc_samples: came,
                inuse_objects,
                inuse_bytes: inuse_objects * object_bytes,
                inuse_bytes_variance: (came + went) as f64
                    * (weight * (weight - 1.0) * object_bytes * object_bytes),
                ..Totals::default()
            }),
            callers: Vec::new(),
        }
    }

    #[test]
    fn ten_samples_that_stay_count_and_eight_do_not() {
        assert!(growth_of(100.0, 10, 0).counts());
        assert!(!growth_of(100.0, 8, 0).counts());
    }

    #[test]
    fn a_pool_that_churns_needs_more() {
        // 100 old blocks went and 120 new ones stayed: 20 is within 3 × √220.
        assert!(!growth_of(100.0, 120, 100).counts());
        assert!(growth_of(100.0, 160, 100).counts());
    }

    #[test]
    fn paths_do_not_tell_where_this_was_built() {
        let line = |file: &str| {
            let mut frame = Frame::default();
            (frame.function, frame.file, frame.line) = ("f".to_owned(), file.to_owned(), 7);
            Line::of(&frame)
        };
        let ours = line(concat!(env!("CARGO_MANIFEST_DIR"), "/src/reader.rs"));
        assert_eq!((ours.to_string().as_str(), ours.is_ours()), ("f (demo-leak/src/reader.rs:7)", true));
        let theirs = line("/home/me/.cargo/registry/src/index.crates.io-1949cf/tokio-1.0.0/src/lib.rs");
        assert_eq!((theirs.to_string().as_str(), theirs.is_ours()), ("f (tokio-1.0.0/src/lib.rs:7)", false));
        assert_eq!(line("").to_string(), "f");
    }

    #[test]
    fn what_is_always_sampled_has_no_error() {
        let big = growth_of(100.0 * LEAST_BYTES, 1, 0);
        assert!(big.standard_error_bytes() < 1.0 && big.counts(), "{big}");
        let middling = growth_of(0.6 * LEAST_BYTES, 2, 0);
        assert!(middling.standard_error_bytes() > 1000.0, "{middling}");
    }

    #[test]
    fn few_bytes_do_not_count_however_exact() {
        let mut exact = growth_of(100.0, 500, 0);
        exact.totals.inuse_bytes_variance = 0.0;
        exact.totals.inuse_objects = 500.0;
        exact.totals.inuse_bytes = 50_000.0;
        assert!(!exact.counts());
        assert_eq!(exact.standard_error_bytes(), 0.0);
    }
}

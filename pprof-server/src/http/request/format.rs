//! These types say how what is asked for is written. Each lists the formats that its routes offer.
//!
//! Path: *read path*.

use std::time::Duration;

use crate::encode::format::{Format, LEGACY, PPROF, STACKS};

/// A format of `heap` and `allocs`: they offer every one that any profile is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProfileFormat {
    pub(crate) format: &'static Format,
    /// The rows of its table; 0 if it has none.
    pub(crate) rows: usize,
}

impl ProfileFormat {
    /// Asks for gzipped protobuf.
    pub(crate) const PPROF: ProfileFormat = ProfileFormat { format: &PPROF, rows: 0 };
    /// Asks for Go's legacy text.
    pub(crate) const LEGACY: ProfileFormat = ProfileFormat { format: &LEGACY, rows: 0 };
    /// Each stack by itself, as Go prints them when a program panics.
    pub(crate) const STACKS: ProfileFormat = ProfileFormat { format: &STACKS, rows: 0 };
}

/// Names a format of the report on suspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    /// The answer is gzipped protobuf: the profile of the suspects alone.
    Pprof,
    /// The answer is a table for a terminal.
    Table { rows: usize },
    /// The answer has the same rows for a program.
    Json { rows: usize },
}

impl ReportFormat {
    /// The rows that it shows.
    pub(crate) fn rows(self) -> usize {
        match self {
            ReportFormat::Pprof => 0,
            ReportFormat::Table { rows } | ReportFormat::Json { rows } => rows,
        }
    }
}

/// What is asked of the suspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SuspectsRequest {
    pub(crate) format: ReportFormat,
    /// Names the time to look at, instead of an hour and all shorter ones.
    pub(crate) window: Option<Duration>,
    /// Memory is searched for what holds the suspects' blocks.
    pub(crate) with_holders: bool,
}

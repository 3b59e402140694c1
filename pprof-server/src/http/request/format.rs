//! How what is asked for is written: each type lists the formats that its routes offer.
//!
//! Path: *read path*.

use crate::encode::format::{Format, LEGACY, PPROF};

/// A format of `heap` and `allocs`: they offer every one that any profile is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProfileFormat {
    pub(crate) format: &'static Format,
    /// The rows of its table; 0 if it has none.
    pub(crate) rows: usize,
}

impl ProfileFormat {
    /// Gzipped protobuf.
    pub(crate) const PPROF: ProfileFormat = ProfileFormat { format: &PPROF, rows: 0 };
    /// Go's legacy text.
    pub(crate) const LEGACY: ProfileFormat = ProfileFormat { format: &LEGACY, rows: 0 };
}

/// A format of the report on suspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    /// Gzipped protobuf: the profile of the suspects alone.
    Pprof,
    /// A table for a terminal.
    Table { rows: usize },
    /// The same rows for a program.
    Json { rows: usize },
}

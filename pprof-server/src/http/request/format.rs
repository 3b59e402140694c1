//! How what is asked for is written: each type lists the formats that its routes offer.
//!
//! Path: *read path*.

/// A format of `heap` and `allocs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProfileFormat {
    /// Gzipped protobuf.
    Pprof,
    /// Go's legacy text.
    Legacy,
    /// A table for a terminal.
    Table { rows: usize },
    /// The same rows for a program.
    Json { rows: usize },
    /// A line for each stack, for flame graph tools.
    Folded,
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

//! How what is asked for is written.
//!
//! Path: *read path*.

/// How a profile is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Gzipped protobuf.
    Pprof,
    /// Go's legacy text.
    Legacy,
    /// A table for a terminal.
    Table { rows: usize },
    /// The same for a program.
    Json { rows: usize },
    /// For flame graph tools.
    Folded,
}

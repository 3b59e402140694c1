//! How a profile of what threads do is wanted.
//!
//! Path: *read path*.

use crate::profile::Symbolize;

/// How the profile is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) symbolize: Symbolize,
    /// Rows of different threads and of different labels are kept apart, and have the label `thread` and the program's own.
    pub(crate) has_labels: bool,
}

//! This says of what time a profile is asked for.
//!
//! Path: *read path*.

use std::time::Duration;

use crate::history::Moment;

/// The time that a profile is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// Everything from the program's start to now.
    SinceStart {
        /// Blocks that are younger do not count as in use.
        min_age: Option<Duration>,
        /// Free pages go back to the system first.
        releases_free_memory: bool,
    },
    /// What changes in this time from now on.
    Next(Duration),
    /// Everything from the program's start to a moment that was recorded.
    Until(Moment),
    /// What changed from a recorded moment on, until another one or until now.
    Between { from: Moment, to: Option<Moment> },
}

impl Period {
    /// Whether it is told by what was recorded.
    pub(crate) fn is_past(&self) -> bool {
        matches!(self, Period::Until(_) | Period::Between { .. })
    }
}

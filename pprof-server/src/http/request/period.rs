//! Of what time a profile is asked for.
//!
//! Path: *read path*.

use std::time::Duration;

use crate::history::Moment;

/// Of what time a profile is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// Everything since the start.
    SinceStart,
    /// What changes from now on in this time.
    Next(Duration),
    /// What was allocated since the last call of this client; what is in use, as it is.
    SinceLastCall {
        client: String,
        /// The call does not count: it asks for headers only.
        is_peek: bool,
    },
    /// Everything from the start to a moment that was recorded.
    Until(Moment),
    /// What changed from a recorded moment on, until another or until now.
    Between { from: Moment, to: Option<Moment> },
}

//! What the owner of a server or handler may choose about its answers.
//!
//! Path: *read path*; read once for each of them.

use std::time::Duration;

use crate::Error;

/// The longest delta unless told otherwise. A forgotten `seconds=100000` would hold a snapshot in memory for a
/// day.
pub(super) const DEFAULT_MAX_DELTA: Duration = Duration::from_secs(300);
/// The longest that can be allowed.
const LONGEST_MAX_DELTA: Duration = Duration::from_secs(24 * 60 * 60);
/// The variable that turns `cmdline` on.
const CMDLINE_VARIABLE: &str = "PPROF_CMDLINE";

/// Choices with careful defaults.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Whether `/debug/pprof/cmdline` tells the program's arguments, as Go does. They may hold secrets.
    pub(crate) cmdline: bool,
    /// The longest delta.
    pub(crate) max_delta: Duration,
}

impl Options {
    /// As the environment says: `PPROF_CMDLINE=1` turns `cmdline` on, everything else leaves it off.
    pub(crate) fn from_env() -> Options {
        let cmdline = std::env::var_os(CMDLINE_VARIABLE).is_some_and(|value| value == "1");
        Options { cmdline, max_delta: DEFAULT_MAX_DELTA }
    }

    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if (Duration::from_secs(1)..=LONGEST_MAX_DELTA).contains(&self.max_delta) {
            return Ok(());
        }
        Err(Error::MaxDelta { time: self.max_delta })
    }
}

//! What the owner of a server or handler may choose about its answers.
//!
//! Path: *read path*; read once for each server and handler.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::Error;
use crate::dump;
use crate::environment::variable;
use crate::history::DEFAULT_PERIOD;
use crate::standard_error::warn_once;

/// The longest delta unless the owner chooses another. A forgotten `seconds=100000` would hold a snapshot in memory for
/// a day.
const DEFAULT_MAX_DELTA: Duration = Duration::from_secs(300);
/// The longest delta that an owner may choose.
const LONGEST_MAX_DELTA: Duration = Duration::from_secs(24 * 60 * 60);
/// The variable that turns `cmdline` on.
const CMDLINE_VARIABLE: &str = "PPROF_CMDLINE";
/// The variable that says how often to record.
const RECORD_VARIABLE: &str = "PPROF_RECORD";
/// The times that may lie between two records.
const PERIODS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// Choices with careful defaults.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Whether `/debug/pprof/cmdline` tells the program's arguments, as Go does. They may hold secrets.
    pub(crate) cmdline: bool,
    /// The longest delta.
    pub(crate) max_delta: Duration,
    /// Time between two records of the history; `None`: nothing is recorded.
    pub(crate) record_period: Option<Duration>,
    /// Whether profiles are written to files by themselves, and where.
    pub(crate) dump: dump::Settings,
}

impl Options {
    /// The defaults, as the environment changes them: `PPROF_CMDLINE=1` turns `cmdline` on, and any other value leaves it
    /// off; `PPROF_RECORD` is the time between two records, or `off`.
    pub(crate) fn from_env() -> Options {
        let cmdline = std::env::var_os(CMDLINE_VARIABLE).is_some_and(|value| value == "1");
        let record_period = match variable(RECORD_VARIABLE) {
            None => Some(DEFAULT_PERIOD),
            Some(text) => record_period(&text).unwrap_or_else(|| {
                static IS_TOLD: AtomicBool = AtomicBool::new(false);
                let seconds = DEFAULT_PERIOD.as_secs();
                warn_once(
                    &IS_TOLD,
                    &format!(
                        "{RECORD_VARIABLE}={text:?} is not a time from 1s to 1h, such as 60s, nor off; recording \
                         every {seconds} s"
                    ),
                );
                Some(DEFAULT_PERIOD)
            }),
        };
        Options { cmdline, max_delta: DEFAULT_MAX_DELTA, record_period, dump: dump::Settings::from_env() }
    }

    /// Refuses times out of range.
    ///
    /// # Errors
    ///
    /// [`Error::MaxDelta`] and [`Error::RecordPeriod`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(Duration::from_secs(1)..=LONGEST_MAX_DELTA).contains(&self.max_delta) {
            return Err(Error::MaxDelta { time: self.max_delta });
        }
        match self.record_period {
            Some(time) if !PERIODS.contains(&time) => Err(Error::RecordPeriod { time }),
            _ => Ok(()),
        }
    }
}

/// The time between two records that `text` names, `Some(None)` for `off`, and `None` if it names neither.
fn record_period(text: &str) -> Option<Option<Duration>> {
    match text {
        "off" => Some(None),
        _ => humantime::parse_duration(text).ok().filter(|time| PERIODS.contains(time)).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_time_in_range_or_off() {
        assert_eq!(record_period("off"), Some(None));
        assert_eq!(record_period("1m"), Some(Some(Duration::from_secs(60))));
        for text in ["", "60", "0s", "500ms", "2h", "never", "-1s"] {
            assert_eq!(record_period(text), None, "{text}");
        }
    }
}

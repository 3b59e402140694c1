//! These are the choices that the owner of a server or handler has about its answers.
//!
//! Path: *read path*; read once for each server and handler.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::Error;
use crate::dump;
use crate::environment::variable;
use crate::history::DEFAULT_PERIOD;
use crate::labels;
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
/// The variable that has waits for locks be measured all the time.
const BLOCK_RATE_VARIABLE: &str = "PPROF_BLOCK_RATE";
/// The times that may lie between two records.
const PERIODS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// Collects the choices, with careful defaults.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Whether `/debug/pprof/cmdline` tells the program's arguments, as Go does. They may hold secrets.
    pub(crate) cmdline: bool,
    /// Whether heap profiles tell samples apart by labels, in the whole process.
    pub(crate) heap_labels: bool,
    /// What lies between two samples of waits for locks, if they are to be measured all the time, in the whole process.
    pub(crate) block_rate: Option<Duration>,
    /// Limits how long a delta may take.
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
        Options {
            cmdline,
            heap_labels: false,
            block_rate: block_rate_from_env(),
            max_delta: DEFAULT_MAX_DELTA,
            record_period,
            dump: dump::Settings::from_env(),
        }
    }

    /// Does what holds for the whole process. Nothing is switched off that somebody else has switched on.
    pub(crate) fn apply(&self) {
        if self.heap_labels {
            labels::keep_heap_labels(true);
        }
        if let Some(rate) = self.block_rate
            && let Err(error) = capture::set_block_rate(Some(rate))
        {
            static IS_TOLD: AtomicBool = AtomicBool::new(false);
            warn_once(&IS_TOLD, &format!("waits for locks are not measured: {error}"));
        }
    }

    /// Refuses times out of range.
    ///
    /// # Errors
    ///
    /// The errors are [`Error::MaxDelta`] and [`Error::RecordPeriod`].
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

/// The rate that `PPROF_BLOCK_RATE` names.
fn block_rate_from_env() -> Option<Duration> {
    let text = variable(BLOCK_RATE_VARIABLE)?;
    let rate = block_rate(&text);
    if rate.is_none() && text != "off" {
        static IS_TOLD: AtomicBool = AtomicBool::new(false);
        warn_once(
            &IS_TOLD,
            &format!(
                "{BLOCK_RATE_VARIABLE}={text:?} is not a time such as 1ms, a number of nanoseconds, nor off; waits for locks are \
                 measured only while they are asked for"
            ),
        );
    }
    rate
}

/// The time that `text` names: with a unit, or in nanoseconds as in Go.
fn block_rate(text: &str) -> Option<Duration> {
    let nanoseconds = text.parse().ok().map(Duration::from_nanos);
    nanoseconds.or_else(|| humantime::parse_duration(text).ok()).filter(|rate| !rate.is_zero())
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
    fn a_block_rate_is_a_time() {
        assert_eq!(block_rate("1ms"), Some(Duration::from_millis(1)));
        assert_eq!(block_rate("10000"), Some(Duration::from_micros(10)));
        for text in ["off", "0", "-1", "fast"] {
            assert_eq!(block_rate(text), None, "{text}");
        }
    }

    #[test]
    fn a_period_is_a_time_in_range_or_off() {
        assert_eq!(record_period("off"), Some(None));
        assert_eq!(record_period("1m"), Some(Some(Duration::from_secs(60))));
        for text in ["", "60", "0s", "500ms", "2h", "never", "-1s"] {
            assert_eq!(record_period(text), None, "{text}");
        }
    }
}

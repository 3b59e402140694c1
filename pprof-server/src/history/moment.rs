//! A moment as somebody names it, and the record that is nearest to it.
//!
//! Path: *read path*.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use alloc_profiler::Snapshot;

use super::{History, PEAK, Record};

/// Names a moment of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It lies so long before now.
    Ago(Duration),
    /// The moment of this time of day, by the clock as it is set now.
    At(SystemTime),
    Mark(String),
}

/// Tells this moment by both clocks. Order and durations follow the clock that nobody sets. Times of day are told, and
/// understood, as if the other clock had always gone as it is set now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    pub(crate) time: SystemTime,
}

impl Now {
    pub(crate) fn by_clocks() -> Now {
        Now { at: Instant::now(), time: SystemTime::now() }
    }

    /// Returns the moment of a snapshot.
    pub(crate) fn of(snapshot: &Snapshot) -> Now {
        Now { at: snapshot.taken_at_monotonic, time: snapshot.taken_at }
    }

    /// Returns the time of day of a record.
    pub(crate) fn time_of(self, record: &Record) -> SystemTime {
        // mutant: D9 moments are in the order of the clock that is set
        self.time_at(record.at)
    }

    /// Returns the time of day of a moment before this one.
    pub(crate) fn time_at(self, at: Instant) -> SystemTime {
        self.time.checked_sub(self.at.saturating_duration_since(at)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// No record is near a moment: what there is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing is recorded.
    Off,
    /// Nothing is recorded yet.
    Empty,
    /// There are records, from so long ago to so long ago, of which one is the nearest.
    Outside { nearest: SystemTime, ago: Duration, records: usize, oldest: Duration, latest: Duration },
    /// There is no mark of that name, but there are so many others.
    Mark { marks: usize },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ago = |age: &Duration| humantime::format_duration(Duration::from_secs(age.as_secs()));
        match self {
            Missing::Off => write!(
                f,
                "no snapshots are kept: the recorder is off; PPROF_RECORD=60s in the environment turns it on"
            ),
            Missing::Empty => write!(f, "no snapshot is kept yet; try again in a moment"),
            Missing::Outside { nearest, ago: nearest_ago, records, oldest, latest } => write!(
                f,
                "nothing is kept of that time. The nearest moment that is kept is {}, {} ago; in all there are {records}, \
                 from {} ago to {} ago, and /debug/pprof/history lists them",
                humantime::format_rfc3339_seconds(*nearest),
                ago(nearest_ago),
                ago(oldest),
                ago(latest)
            ),
            Missing::Mark { marks } => {
                write!(f, "no mark of that name: there are {marks}; /debug/pprof/mark lists them")
            }
        }
    }
}

impl Moment {
    pub(super) fn find<'h>(&self, history: &'h History, now: Now) -> Result<&'h Record, Missing> {
        match self {
            Moment::Ago(time) => nearest(history, now, |record| distance(record.age(now.at), *time)),
            Moment::At(time) => nearest(history, now, |record| {
                let taken_at = now.time_of(record);
                taken_at.duration_since(*time).unwrap_or_else(|earlier| earlier.duration())
            }),
            Moment::Mark(name) => history
                .marks()
                .find_map(|(known, record)| (known == name).then_some(record))
                .or_else(|| history.peak().filter(|_| name == PEAK))
                .ok_or(Missing::Mark { marks: history.marks.len() }),
        }
    }
}

fn distance(a: Duration, b: Duration) -> Duration {
    a.max(b) - a.min(b)
}

/// The nearest record, if it is near: it is within a period of the moment, or no further from it than its neighbours are from
/// each other.
fn nearest(history: &History, now: Now, distance: impl Fn(&Record) -> Duration) -> Result<&Record, Missing> {
    let period = history.period.ok_or(Missing::Off)?;
    let (first, last) = history.records.front().zip(history.records.back()).ok_or(Missing::Empty)?;
    let (index, nearest) = history
        .records
        .iter()
        .enumerate()
        .min_by_key(|(_, record)| distance(record))
        .ok_or(Missing::Empty)?;
    let is_at_an_end = index == 0 || index + 1 == history.records.len();
    if is_at_an_end && distance(nearest) > period {
        let age = |record: &Record| record.age(now.at);
        return Err(Missing::Outside {
            nearest: now.time_of(nearest),
            ago: age(nearest),
            records: history.records.len(),
            oldest: age(first),
            latest: age(last),
        });
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{snapshot, totals};
    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);

    fn history(start: Instant, minutes: &[u64]) -> History {
        let mut history = History::new(Some(PERIOD), super::super::DEFAULT_LIMIT_BYTES);
        for &minute in minutes {
            let mut then = snapshot(&[(0, totals(minute, minute))]);
            // Set anew all the time.
            then.taken_at += PERIOD * (7919 * minute as u32 % 100);
            history.record(&then, crate::process::Memory::default(), start + PERIOD * minute as u32);
        }
        history
    }

    #[test]
    fn the_nearest_record_is_found_and_none_that_is_far() {
        let start = Instant::now();
        let history = history(start, &[0, 1, 2, 3, 10, 11]);
        let now = Now { at: start + PERIOD * 11, time: SystemTime::UNIX_EPOCH + PERIOD * 11 };
        let minute =
            |moment: Moment| history.find(&moment, now).map(|record| record.summary.totals.inuse_bytes);
        for (seconds_ago, expected) in
            [(0, 11.0), (29, 11.0), (31, 10.0), (200, 10.0), (400, 3.0), (660, 0.0), (715, 0.0)]
        {
            assert_eq!(minute(Moment::Ago(Duration::from_secs(seconds_ago))), Ok(expected), "{seconds_ago}");
        }
        let outside = minute(Moment::Ago(Duration::from_secs(721))).unwrap_err();
        assert_eq!(
            outside.to_string(),
            "nothing is kept of that time. The nearest moment that is kept is 1970-01-01T00:00:00Z, 11m ago; in all there are \
             6, from 11m ago to 0s ago, and /debug/pprof/history lists them"
        );
        let at = |seconds| minute(Moment::At(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!((at(0), at(125), at(700)), (Ok(0.0), Ok(2.0), Ok(11.0)));
        assert!(at(1000).is_err());
    }

    #[test]
    fn an_empty_past_says_why() {
        let now = Now::by_clocks();
        let find =
            |period| History::new(period, 1 << 20).find(&Moment::Ago(PERIOD), now).map(drop).unwrap_err();
        assert_eq!(find(None), Missing::Off);
        assert_eq!(find(Some(PERIOD)), Missing::Empty);
    }
}

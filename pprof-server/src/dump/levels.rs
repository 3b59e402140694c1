//! A dump is due when the memory that is used, its limit and the time say so.
//!
//! Path: *read path*. Pure.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// Shares of the limit at which a dump is due, in percent.
const LEVELS: [u64; 3] = [80, 90, 95];
/// So far below its level the memory must have been, in percent of the limit, before that level counts again.
const RETREAT: u64 = 10;
/// Time between two dumps for the same cause.
const REST: Duration = Duration::from_secs(60);
/// A dump is due at any level if memory, at its present rate, would be full in this time.
const HORIZON: Duration = Duration::from_millis(250);
/// Names are looked up only if memory, at its present rate, would be full no sooner than after this time.
const NAMES_TIME: Duration = Duration::from_secs(10);
/// Readings that the rate is taken from: several, since one large block is no rate.
const READINGS: usize = 4;
/// The rate in bytes a second that no program is expected to exceed. Looks are so dense that memory which fills at this
/// rate is seen before it is full, down to [`SHORTEST_PAUSE`].
const FASTEST_RATE: u64 = 1 << 30;
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause where all levels have had their dump: there is nothing to be in time for.
const LATE_PAUSE: Duration = Duration::from_secs(1);

/// Memory at one moment, under the limit that is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) used_bytes: u64,
    pub(super) limit_bytes: u64,
}

impl Reading {
    pub(super) fn free_bytes(self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes)
    }

    /// Returns what is used in percent of the limit, rounded down.
    pub(super) fn percent(self) -> u64 {
        let percent = u128::from(self.used_bytes) * 100 / u128::from(self.limit_bytes.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// Why a dump is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Memory is at this percentage of its limit.
    Level(u64),
    /// Memory would be full within [`HORIZON`].
    Approach,
    Signal,
    Exit,
}

/// As it stands in the name of a file.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Level(percent) => write!(f, "{percent}pct"),
            Cause::Approach => f.write_str("fast"),
            Cause::Signal => f.write_str("signal"),
            Cause::Exit => f.write_str("exit"),
        }
    }
}

/// One cause, and whether it may cause a dump.
#[derive(Clone, Copy, Debug, Default)]
struct Trigger {
    last: Option<Instant>,
    /// Memory has not been well below since.
    is_spent: bool,
}

impl Trigger {
    fn is_ready(self, now: Instant) -> bool {
        !self.is_spent && self.last.is_none_or(|last| now.saturating_duration_since(last) >= REST)
    }

    fn fire(&mut self, now: Instant) {
        *self = Trigger { last: Some(now), is_spent: true };
    }
}

/// What was seen, and what has had its dump.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The latest readings under the same limit, the oldest first.
    readings: VecDeque<Reading>,
    levels: [Trigger; LEVELS.len()],
    approach: Trigger,
}

impl Levels {
    /// Takes note of `reading`, and says whether a dump is due for it.
    pub(super) fn look(&mut self, reading: Reading) -> Option<Cause> {
        // Under another limit, the amounts are another group's.
        if self.readings.back().is_some_and(|before| before.limit_bytes != reading.limit_bytes) {
            self.readings.clear();
        }
        self.readings.push_back(reading);
        if self.readings.len() > READINGS {
            self.readings.pop_front();
        }
        let percent = reading.percent();
        let mut due = None;
        for (level, trigger) in LEVELS.into_iter().zip(&mut self.levels) {
            if percent < level - RETREAT {
                trigger.is_spent = false;
            }
            if percent >= level && trigger.is_ready(reading.at) {
                trigger.fire(reading.at);
                due = Some(Cause::Level(level));
            }
        }
        let is_approaching = self.time_to_full().is_some_and(|time| time < HORIZON);
        // Memory that jumps up and down by large blocks is no news each time.
        self.approach.is_spent &= is_approaching;
        // Beyond the last level there is nothing left to be early for.
        if due.is_none()
            && is_approaching
            && percent < LEVELS[LEVELS.len() - 1]
            && self.approach.is_ready(reading.at)
        {
            self.approach.fire(reading.at);
            due = Some(Cause::Approach);
        }
        due
    }

    /// Whether memory, at its present rate, would be full before names can be looked up.
    pub(super) fn is_filling(&self) -> bool {
        self.time_to_full().is_some_and(|time| time < NAMES_TIME)
    }

    /// When memory will be full at its present rate; `None` if it does not grow.
    fn time_to_full(&self) -> Option<Duration> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let grown = last.used_bytes.checked_sub(first.used_bytes).filter(|&bytes| bytes > 0)?;
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        Duration::try_from_secs_f64(last.free_bytes() as f64 / grown as f64 * seconds).ok()
    }

    /// Time until the next look.
    pub(super) fn pause(&self) -> Duration {
        let Some(reading) = self.readings.back() else { return LONGEST_PAUSE };
        if reading.percent() >= LEVELS[LEVELS.len() - 1] {
            return LATE_PAUSE;
        }
        let at_fastest = Duration::from_secs_f64(reading.free_bytes() as f64 / FASTEST_RATE as f64);
        at_fastest.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The causes that a course of memory has: moments in ms, and MiB used of 100.
    fn causes(course: &[(u64, u64)]) -> Vec<(u64, Cause)> {
        let (start, mut levels) = (Instant::now(), Levels::default());
        let due = |&(millis, used): &(u64, u64)| {
            let at = start + Duration::from_millis(millis);
            let reading = Reading { at, used_bytes: used * MIB, limit_bytes: 100 * MIB };
            levels.look(reading).map(|cause| (millis, cause))
        };
        course.iter().filter_map(due).collect()
    }

    #[test]
    fn each_level_has_its_dump_once() {
        let slowly: Vec<(u64, u64)> = (0..=100).map(|used| (used * 1000, used)).collect();
        let expected = [(80_000, Cause::Level(80)), (90_000, Cause::Level(90)), (95_000, Cause::Level(95))];
        assert_eq!(causes(&slowly), expected);
        assert_eq!(causes(&[(0, 79), (5000, 79), (10_000, 79)]), []);
        // Two levels in one step have one dump, and the lower one is over.
        assert_eq!(
            causes(&[(0, 10), (60_000, 91), (120_000, 85), (180_000, 92)]),
            [(60_000, Cause::Level(90))]
        );
    }

    #[test]
    fn a_level_counts_again_after_a_retreat_and_a_rest() {
        let at = |millis| (millis, Cause::Level(80));
        // 71 % is not well below 80 %.
        assert_eq!(causes(&[(0, 81), (100_000, 71), (200_000, 81)]), [at(0)]);
        assert_eq!(causes(&[(0, 81), (100_000, 69), (200_000, 81)]), [at(0), at(200_000)]);
        // It was well below, but a moment ago.
        assert_eq!(causes(&[(0, 81), (20_000, 69), (59_000, 81), (60_000, 81)]), [at(0), at(60_000)]);
    }

    #[test]
    fn memory_that_will_be_full_before_long_is_told_early() {
        // These are 10 MiB in 50 ms, which is 200 MiB/s.
        let fast = [(0, 10), (50, 20), (100, 30), (150, 40), (200, 50), (250, 60), (300, 70)];
        assert_eq!(causes(&fast), [(250, Cause::Approach)]);
        // A fifth of that is in time for the levels.
        let slower: Vec<(u64, u64)> = (0..8).map(|step| (step * 250, step * 10)).collect();
        assert_eq!(causes(&slower), []);
        // One that comes and goes is told once in a minute.
        let saw: Vec<(u64, u64)> = (0..40).map(|step| (step * 1000, [10, 78][step as usize % 2])).collect();
        assert!(causes(&saw).len() <= 1, "{:?}", causes(&saw));
    }

    #[test]
    fn another_limit_is_another_course() {
        let (start, mut levels) = (Instant::now(), Levels::default());
        let mut look = |millis, used, limit| {
            let at = start + Duration::from_millis(millis);
            levels.look(Reading { at, used_bytes: used * MIB, limit_bytes: limit * MIB })
        };
        assert_eq!(look(0, 10, 100), None);
        // It goes from 10 to 600 in 10 ms, but of another limit.
        assert_eq!(look(10, 600, 1000), None);
        assert_eq!(look(20, 900, 0), Some(Cause::Level(95)), "a limit of nothing is full");
    }

    #[test]
    fn looks_are_as_dense_as_the_memory_that_is_left_is_small() {
        let pause = |used, limit| {
            let mut levels = Levels::default();
            levels.look(Reading { at: Instant::now(), used_bytes: used * MIB, limit_bytes: limit * MIB });
            levels.pause()
        };
        assert_eq!(Levels::default().pause(), LONGEST_PAUSE);
        assert_eq!(pause(0, 100_000), LONGEST_PAUSE);
        assert_eq!(pause(0, 1024), Duration::from_secs(1));
        assert_eq!(pause(85, 100), SHORTEST_PAUSE);
        assert_eq!(pause(96, 100), LATE_PAUSE);
    }

    #[test]
    fn a_cause_has_a_name() {
        let names =
            [Cause::Level(80), Cause::Approach, Cause::Signal, Cause::Exit].map(|cause| cause.to_string());
        assert_eq!(names, ["80pct", "fast", "signal", "exit"]);
    }
}

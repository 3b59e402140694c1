//! The figures of the whole program, second by second: what a curve is drawn from.
//!
//! A point has no stacks, so it costs little, and there are many: of the last quarter of an hour one for each second, of the last
//! hour one for each ten seconds, and of the last day one for each five minutes. Where they cost more than their share, they
//! come less often.
//!
//! Path: *read path*.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use alloc_profiler::Totals;

use super::pace::Pace;
use super::thinning::{Step, Thinning};
use crate::process::Memory;

/// The time between two points, unless that costs too much.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The share of a core that points take, in millionths.
const SHARE_PPM: u32 = 200;

/// Holds the figures of one moment.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// The moment, by a clock that nobody sets.
    pub(crate) at: Instant,
    /// `None` if they could not be read.
    pub(crate) totals: Option<Totals>,
    pub(crate) memory: Memory,
    pub(crate) sampling_interval: u64,
}

#[derive(Debug)]
pub(crate) struct TimeLine {
    /// The oldest is the first.
    points: VecDeque<Point>,
    pace: Pace,
    thinning: Thinning,
}

impl Default for TimeLine {
    fn default() -> TimeLine {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let steps = vec![
            Step { up_to: minutes(15), one_in: Duration::ZERO },
            Step { up_to: minutes(60), one_in: Duration::from_secs(10) },
            Step { up_to: minutes(24 * 60), one_in: minutes(5) },
        ];
        TimeLine {
            points: VecDeque::new(),
            pace: Pace::new(SHORTEST, LONGEST, SHARE_PPM),
            thinning: Thinning::new(steps),
        }
    }
}

impl TimeLine {
    /// Keeps a point that took so much of a processor's time, lets go of what has become too old, and returns the time from the
    /// beginning of this point to that of the next.
    pub(crate) fn add(&mut self, point: Point, took: Duration) -> Duration {
        let now = point.at;
        self.points.push_back(point);
        self.thinning.thin_out(&mut self.points, |point| point.at, now);
        self.pace.note(took);
        self.pace.pause()
    }

    /// Returns the points, the oldest first.
    pub(crate) fn points(&self) -> impl ExactSizeIterator<Item = &Point> {
        self.points.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::internal::literal;

    const SECOND: Duration = Duration::from_secs(1);

    fn point(at: Instant, inuse_bytes: f64) -> Point {
        let totals = Some(literal!(Totals { inuse_bytes, ..Totals::default() }));
        Point { at, totals, memory: Memory::default(), sampling_interval: 1 }
    }

    #[test]
    fn a_quarter_of_an_hour_by_seconds_and_a_day_by_minutes() {
        let (start, mut line) = (Instant::now(), TimeLine::default());
        let seconds = 30 * 3600;
        // What is older than an hour is so thinned out that a point each five seconds leaves the same.
        let old = (0..seconds - 2 * 3600).step_by(5);
        for second in old.chain(seconds - 2 * 3600..=seconds) {
            // A timer fires late, and is late by a different time whenever it fires.
            let at = start + SECOND * second + Duration::from_millis(u64::from(second * 7919 % 400));
            assert_eq!(line.add(point(at, f64::from(second)), SECOND / 10_000), SECOND);
        }
        let seconds_of: Vec<u32> =
            line.points().map(|point| point.totals.unwrap().inuse_bytes as u32).collect();
        let (dense, old): (Vec<u32>, Vec<u32>) = seconds_of.iter().partition(|&&of| seconds - of < 900);
        assert_eq!(dense, (seconds - 899..=seconds).collect::<Vec<_>>());
        let gaps = |ages: std::ops::Range<u32>| {
            let of_age: Vec<u32> = old.iter().copied().filter(|&of| ages.contains(&(seconds - of))).collect();
            of_age.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
        };
        assert_eq!(gaps(905..3595), [10; 268]);
        assert!(gaps(3700..86_400).iter().all(|&gap| gap == 300), "{:?}", gaps(3700..86_400));
        assert!((86_000..=86_400).contains(&(seconds - old[0])));
        let held = line.points.capacity() * size_of::<Point>();
        assert!(held < 512 << 10, "{held} bytes");
    }

    #[test]
    fn points_that_cost_more_come_less_often() {
        let pause = |took: Duration| {
            let mut line = TimeLine::default();
            let now = Instant::now();
            (0..3).map(|_| line.add(point(now, 0.0), took)).last().unwrap()
        };
        assert_eq!(pause(Duration::from_micros(200)), SECOND);
        assert_eq!(pause(Duration::from_millis(1)), 5 * SECOND);
        assert_eq!(pause(SECOND), LONGEST);
    }
}

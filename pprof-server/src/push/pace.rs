//! The pace says when the next profile is pushed: regularly, and less often while the engine does not take any.
//!
//! Pods that were started together, or lost the same engine, do not all push at the same moment: pauses have a random part.
//!
//! Path: *read path*.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The longest pause, unless the usual one is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The longest pause that an engine may ask for by `Retry-After`.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// Knows when to push.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    next: Instant,
    /// How many pushes have failed since the last one that did not.
    failures: u32,
}

impl Pace {
    /// The first push comes after a random part of the usual pause.
    pub(super) fn new(every: Duration, now: Instant) -> Pace {
        Pace { every, next: now + every.mul_f64(random()), failures: 0 }
    }

    /// When the next push is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Notes a push that the engine took, or that was left out.
    pub(super) fn go_on(&mut self, now: Instant) {
        self.failures = 0;
        // Where the machine slept or was busy, once is enough for what was missed.
        self.next = now.max(self.next + self.every);
    }

    /// Notes a push that failed, for the engine wishes to be asked again after `wish`.
    pub(super) fn slow_down(&mut self, wish: Option<Duration>, now: Instant) {
        self.failures += 1;
        self.next = now + pause(self.every, self.failures, wish, random());
    }
}

/// Returns the pause after so many failures. `random` is from 0 to 1.
fn pause(every: Duration, failures: u32, wish: Option<Duration>, random: f64) -> Duration {
    let doubled = every.saturating_mul(1 << failures.min(16));
    let own = doubled.min(LONGEST_PAUSE.max(every)).mul_f64(0.5 + random / 2.0);
    let wish = wish.unwrap_or_default().min(LONGEST_WISH);
    own.max(wish.mul_f64(1.0 + random / 10.0))
}

/// A random number from 0 to 1.
fn random() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(15);

    #[test]
    fn pauses_double_up_to_ten_minutes_and_differ() {
        let range = |failures| [0.0, 1.0].map(|random| pause(EVERY, failures, None, random).as_secs_f64());
        assert_eq!(range(1), [15.0, 30.0]);
        assert_eq!(range(2), [30.0, 60.0]);
        assert_eq!(range(6), [300.0, 600.0]);
        assert_eq!(range(u32::MAX), [300.0, 600.0]);
        let hour = Duration::from_secs(3600);
        assert_eq!(pause(hour, 3, None, 1.0), hour, "the usual pause is not shortened");
    }

    #[test]
    fn an_engine_may_ask_for_a_longer_pause() {
        let wish = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(pause(EVERY, 1, wish(1), 0.0), EVERY);
        assert_eq!(pause(EVERY, 1, wish(100), 0.0), Duration::from_secs(100));
        assert_eq!(pause(EVERY, 1, wish(100), 1.0), Duration::from_secs(110));
        assert_eq!(pause(EVERY, 1, wish(u64::MAX), 0.0), Duration::from_secs(3600));
    }

    #[test]
    fn the_pace_is_regular_and_goes_on_after_a_failure() {
        let start = Instant::now();
        let mut pace = Pace::new(EVERY, start);
        assert!(pace.next() >= start && pace.next() <= start + EVERY);
        let first = pace.next();
        pace.go_on(first + Duration::from_millis(20));
        assert_eq!(pace.next(), first + EVERY);
        let late = first + 10 * EVERY;
        pace.go_on(late);
        assert_eq!(pace.next(), late, "what was missed is not made up for");
        pace.slow_down(None, late);
        pace.slow_down(None, late);
        assert!(pace.next() >= late + 2 * EVERY && pace.next() <= late + 4 * EVERY);
        pace.go_on(pace.next());
        pace.slow_down(None, late);
        assert!(pace.next() <= late + 2 * EVERY, "failures are counted anew");
    }

    #[test]
    fn random_numbers_differ() {
        let numbers: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        // Of 100 numbers, all are below 0.5 with a probability of 2^-100.
        assert!(numbers.iter().any(|&number| number < 0.5) && numbers.iter().any(|&number| number >= 0.5));
    }
}

//! Which moments of the past go as they get older: the older they are, the further apart are those that stay.
//!
//! Time is cut into stretches of equal length, and the first moment of each stays. Every length is a multiple of the one before,
//! so the moments that stay when they are old have all stayed while they were younger.
//!
//! Path: *read path*. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How moments of up to an age are thinned out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) up_to: Duration,
    /// One moment stays of each stretch of this length. If it is zero, all stay.
    pub(super) one_in: Duration,
}

#[derive(Debug)]
pub(super) struct Thinning {
    /// Holds the steps by age, the youngest first.
    steps: Vec<Step>,
    /// Where the first stretches begin.
    start: Option<Instant>,
}

impl Thinning {
    pub(super) fn new(steps: Vec<Step>) -> Thinning {
        Thinning { steps, start: None }
    }

    /// Lets go of the moments that are not to stay. They are in order; `at` tells when each was.
    pub(super) fn thin_out<T>(
        &mut self,
        moments: &mut VecDeque<T>,
        at: impl Fn(&T) -> Instant,
        now: Instant,
    ) {
        let Some(first) = moments.front().map(&at) else { return };
        let start = *self.start.get_or_insert_with(|| start_before(first, &self.steps));
        let mut before: Option<Instant> = None;
        moments.retain(|moment| {
            let at = at(moment);
            let age = now.saturating_duration_since(at);
            let Some(step) = self.steps.iter().find(|step| age <= step.up_to) else { return false };
            let is_new = before.is_none_or(|before| step.stretch(start, before) != step.stretch(start, at));
            if is_new {
                before = Some(at);
            }
            is_new
        });
    }
}

impl Step {
    /// Numbers the stretch that a moment lies in. Where all moments stay, each is a stretch of its own.
    fn stretch(self, start: Instant, at: Instant) -> u128 {
        at.saturating_duration_since(start).as_nanos() / self.one_in.as_nanos().max(1)
    }
}

/// Moments come in steps that are often as long as a stretch, and a little late. So stretches begin half of the shortest of them
/// before the first moment, and each has its own however late it comes.
fn start_before(first: Instant, steps: &[Step]) -> Instant {
    let shortest = steps.iter().map(|step| step.one_in).filter(|one_in| !one_in.is_zero()).min();
    first.checked_sub(shortest.unwrap_or_default() / 2).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn thinning() -> Thinning {
        let step = |up_to: u32, one_in: u32| Step { up_to: SECOND * up_to, one_in: SECOND * one_in };
        Thinning::new(vec![step(10, 0), step(60, 5), step(300, 20)])
    }

    /// The ages of the moments that stay, in seconds, the oldest first. Of `count` moments, the n-th is at `at(n)`.
    fn ages(count: u32, at: impl Fn(u32) -> Duration) -> Vec<u64> {
        let (start, mut thinning, mut moments) = (Instant::now(), thinning(), VecDeque::new());
        let mut now = start;
        for number in 0..count {
            now = start + at(number);
            moments.push_back(now);
            thinning.thin_out(&mut moments, |at| *at, now);
        }
        moments.iter().map(|at| (now - *at).as_secs()).collect()
    }

    #[test]
    fn the_older_moments_are_the_further_apart_are_those_that_stay() {
        // Stretches of 5 s begin 2.5 s before the first moment, so their first moments are the seconds 3, 8, … of 399. Those of
        // stretches of 20 s are the seconds 18, 38, …
        let expected = (0..=10).chain((11..=56).step_by(5)).chain((61..=281).step_by(20));
        let mut ages = ages(400, |second| SECOND * second);
        ages.reverse();
        assert_eq!(ages, expected.collect::<Vec<_>>());
    }

    #[test]
    fn moments_as_far_apart_as_a_stretch_stay_however_late_each_is() {
        let late = |number: u32| Duration::from_millis(u64::from(number * 7919 % 2400));
        assert_eq!(ages(13, |number| SECOND * 5 * number + late(number)).len(), 13);
    }

    #[test]
    fn where_nothing_came_for_long_what_came_before_goes_by_its_age() {
        let at = |number: u32| SECOND * if number < 100 { number } else { 290 + number };
        // Of the seconds 90 to 99, which are 300 s old at most, 98 begins another stretch of 20 s.
        assert_eq!(ages(101, at), [300, 292, 0]);
    }
}

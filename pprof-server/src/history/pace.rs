//! How often work is done that comes again and again, so that it takes no more than its share of a core.
//!
//! Path: *read path*. Pure.

use std::time::Duration;

/// The number of times by which work is judged. Of these the one in the middle counts, so that one accident, such as caches that
/// were cold, changes nothing.
const JUDGED: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Pace {
    shortest: Duration,
    longest: Duration,
    /// Tells the share of a core, in millionths.
    share_ppm: u32,
    /// The processor's time that the work took the last few times, and the place of the next one.
    took: [Duration; JUDGED],
    next: usize,
}

impl Pace {
    /// Work that comes every `shortest`, or less often, down to every `longest`, if it would take more of a core than `share_ppm`
    /// millionths.
    pub(crate) fn new(shortest: Duration, longest: Duration, share_ppm: u32) -> Pace {
        Pace { shortest, longest, share_ppm, took: [Duration::ZERO; JUDGED], next: 0 }
    }

    /// Notes that the work took so much of a processor's time.
    pub(crate) fn note(&mut self, took: Duration) {
        self.took[self.next] = took;
        self.next = (self.next + 1) % JUDGED;
    }

    /// Returns the time from one beginning of the work to the next.
    pub(crate) fn pause(&self) -> Duration {
        let mut took = self.took;
        took.sort_unstable();
        let took = took[JUDGED / 2];
        // mutant: D13 the recorder takes what it takes
        let fair = took.saturating_mul(1_000_000) / self.share_ppm.max(1);
        fair.clamp(self.shortest, self.longest.max(self.shortest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_takes_long_is_done_less_often() {
        let mut pace = Pace::new(5 * SECOND, 60 * SECOND, 1000);
        let mut pause_after = |took: Duration| {
            (0..JUDGED).for_each(|_| pace.note(took));
            pace.pause()
        };
        assert_eq!(pause_after(MILLI), 5 * SECOND);
        assert_eq!(pause_after(8 * MILLI), 8 * SECOND);
        assert_eq!(pause_after(61 * MILLI), 60 * SECOND);
        assert_eq!(pause_after(Duration::MAX), 60 * SECOND);
        assert_eq!(pause_after(Duration::ZERO), 5 * SECOND);
    }

    #[test]
    fn once_is_an_accident() {
        let mut pace = Pace::new(5 * SECOND, 60 * SECOND, 1000);
        let pauses = [900, 2, 9, 20, 30].map(|millis| {
            pace.note(millis * MILLI);
            pace.pause().as_secs()
        });
        assert_eq!(pauses, [5, 5, 9, 9, 20]);
    }
}

//! How often a thing is looked at while a trace is taken.
//!
//! Path: *read path*. Pure.

use std::time::Duration;

use super::LOOK_EVERY;

/// Looking at a thing takes a part of the time that is no larger: where there is very much of it, it is looked at less often.
const MAX_SHARE: u32 = 50;

/// Tells when a thing is looked at next. At first that is at once.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Duration,
}

impl Pace {
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// Notes that a look at `start` took so much processor time. (The time that passed meanwhile is longer where other threads want
    /// the processor, and says nothing about the cost.)
    pub(super) fn looked(&mut self, start: Duration, used: Duration) {
        self.next = start.saturating_add((LOOK_EVERY / 2).max(used.saturating_mul(MAX_SHARE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_much_is_looked_at_less_often() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        assert!(pace.is_due(Duration::ZERO));
        pace.looked(ms(100), ms(2));
        assert_eq!([199, 200].map(|at| pace.is_due(ms(at))), [false, true]);
        pace.looked(ms(200), Duration::ZERO);
        assert_eq!([ms(200), ms(200) + LOOK_EVERY].map(|at| pace.is_due(at)), [false, true]);
    }
}

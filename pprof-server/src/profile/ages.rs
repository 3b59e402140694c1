//! This tells how old the objects are that a row counts.
//!
//! Path: *read path*.

use super::units::Time;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The objects of one age that a row counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cohort {
    /// The time since they were allocated.
    pub(crate) age: Duration,
    /// How many there are, in the unit of the row's count.
    pub(crate) count: f64,
}

/// How old the objects of one row are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ages {
    /// Half of the objects are younger.
    pub median: Duration,
    /// Tells the age of the oldest object.
    pub max: Duration,
}

impl Ages {
    /// Returns the ages of everything in `lists`, or `None` if there is nothing.
    pub(crate) fn of(lists: &[&[Cohort]]) -> Option<Ages> {
        let mut ages: Vec<&Cohort> = lists.iter().copied().flatten().collect();
        ages.sort_unstable_by_key(|cohort| cohort.age);
        let half = ages.iter().map(|cohort| cohort.count).sum::<f64>() / 2.0;
        let mut younger = 0.0;
        let median = ages.iter().find(|cohort| {
            younger += cohort.count;
            younger >= half
        })?;
        Some(Ages { median: median.age, max: ages.last()?.age })
    }
}

impl fmt::Display for Ages {
    /// Writes the median and the maximum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} / {}", Time(self.median), Time(self.max)))
    }
}

impl Serialize for Ages {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Seconds {
            median_seconds: f64,
            max_seconds: f64,
        }
        Seconds { median_seconds: self.median.as_secs_f64(), max_seconds: self.max.as_secs_f64() }
            .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort(seconds: f64, count: f64) -> Cohort {
        Cohort { age: Duration::from_secs_f64(seconds), count }
    }

    #[test]
    fn the_median_is_of_objects_not_of_entries() {
        let (young, old) = ([cohort(1.0, 10.0), cohort(2.0, 1.0)], [cohort(0.5, 3.0), cohort(9.0, 1.0)]);
        let ages = Ages::of(&[&young, &old]).unwrap();
        assert_eq!(ages, Ages { median: Duration::from_secs(1), max: Duration::from_secs(9) });
        assert_eq!(Ages::of(&[&[], &[]]), None);
    }
}

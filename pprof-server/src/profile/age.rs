//! How old what is in use is: as a label, and in one line of a table.
//!
//! Used by `builder` and `table`. Ages are there only if the snapshot was taken with them.
//!
//! Path: *read path*.

use alloc_profiler::{AgeTotals, SizeTotals, Totals};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Lower bounds of the groups that the label `age` tells apart, in seconds: up to a week.
const GROUPS: [u64; 9] = [0, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600];

fn group(age: Duration) -> u64 {
    GROUPS.into_iter().rfind(|&bound| age.as_secs() >= bound).unwrap_or(0)
}

/// What was allocated and freed again, and what is in use by group of age. Their sum is what `size` holds.
pub(crate) fn parts(size: &SizeTotals) -> (Totals, impl Iterator<Item = (u64, Totals)>) {
    let by_group = size.ages.chunk_by(|a, b| group(a.age) == group(b.age)).map(|ages| {
        let mut totals = Totals::default();
        for &AgeTotals { objects, bytes, samples, objects_variance, bytes_variance, .. } in ages {
            totals += Totals {
                alloc_objects: objects,
                alloc_bytes: bytes,
                alloc_samples: samples,
                inuse_objects: objects,
                inuse_bytes: bytes,
                inuse_samples: samples,
                alloc_objects_variance: objects_variance,
                alloc_bytes_variance: bytes_variance,
                inuse_objects_variance: objects_variance,
                inuse_bytes_variance: bytes_variance,
            };
        }
        (group(ages[0].age), totals)
    });
    let by_group: Vec<(u64, Totals)> = by_group.collect();
    let freed = by_group.iter().fold(size.totals, |rest, (_, part)| rest.without(*part));
    // The sums of an age and those of all ages are rounded in the fifteenth digit, each in its own way.
    let rounded_off = |value: f64, whole: f64| if value.abs() <= whole.abs() * 1e-9 { 0.0 } else { value };
    let freed = Totals {
        alloc_objects: rounded_off(freed.alloc_objects, size.totals.alloc_objects),
        alloc_bytes: rounded_off(freed.alloc_bytes, size.totals.alloc_bytes),
        inuse_objects: rounded_off(freed.inuse_objects, size.totals.inuse_objects),
        inuse_bytes: rounded_off(freed.inuse_bytes, size.totals.inuse_bytes),
        ..freed
    };
    (freed, by_group.into_iter())
}

/// How old the objects of one row are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ages {
    /// Half of the objects are younger.
    pub median: Duration,
    /// Of the oldest.
    pub max: Duration,
}

impl Ages {
    /// Of all objects in `lists`; `None` if there are none.
    pub(crate) fn of(lists: &[&[AgeTotals]]) -> Option<Ages> {
        let mut ages: Vec<&AgeTotals> = lists.iter().copied().flatten().collect();
        ages.sort_unstable_by_key(|totals| totals.age);
        let half = ages.iter().map(|totals| totals.objects).sum::<f64>() / 2.0;
        let mut younger = 0.0;
        let median = ages.iter().find(|totals| {
            younger += totals.objects;
            younger >= half
        })?;
        Some(Ages { median: median.age, max: ages.last()?.age })
    }
}

impl fmt::Display for Ages {
    /// Median and maximum.
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

/// A time in the largest unit that fits, as people say it: `7.5 s`, `12 min`, `3.4 h`, `5.0 d`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (amount, unit) = match seconds {
            _ if seconds < 99.5 => (seconds, "s"),
            _ if seconds < 99.5 * 60.0 => (seconds / 60.0, "min"),
            _ if seconds < 48.0 * 3600.0 => (seconds / 3600.0, "h"),
            _ => (seconds / 86400.0, "d"),
        };
        let decimals = usize::from(amount < 9.95);
        f.pad(&format!("{amount:.decimals$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(seconds: f64, objects: f64) -> AgeTotals {
        AgeTotals {
            age: Duration::from_secs_f64(seconds),
            objects,
            bytes: 16.0 * objects,
            samples: 1,
            objects_variance: 0.0,
            bytes_variance: 0.0,
        }
    }

    #[test]
    fn parts_are_groups_and_what_was_freed_and_make_the_whole() {
        let ages = vec![age(0.5, 2.0), age(0.9, 1.0), age(599.0, 4.0), age(1e7, 0.1)];
        let totals = Totals {
            alloc_objects: 10.1,
            alloc_bytes: 161.6,
            alloc_samples: 9,
            inuse_objects: 7.1,
            inuse_bytes: 113.6,
            inuse_samples: 4,
            ..Totals::default()
        };
        let size = SizeTotals { size_class: 16, totals, ages, ..SizeTotals::default() };
        let (freed, by_age) = parts(&size);
        let by_age: Vec<_> = by_age.collect();
        let groups: Vec<_> = by_age.iter().map(|(group, totals)| (*group, totals.inuse_objects)).collect();
        assert_eq!(groups, [(0, 3.0), (60, 4.0), (604_800, 0.1)]);
        assert!((freed.alloc_objects - 3.0).abs() < 1e-9 && (freed.alloc_bytes - 48.0).abs() < 1e-9);
        assert_eq!((freed.inuse_objects, freed.inuse_bytes, freed.alloc_samples), (0.0, 0.0, 5));
    }

    #[test]
    fn the_median_is_of_objects_not_of_entries() {
        let (young, old) = ([age(1.0, 10.0), age(2.0, 1.0)], [age(0.5, 3.0), age(9.0, 1.0)]);
        let ages = Ages::of(&[&young, &old]).unwrap();
        assert_eq!(ages, Ages { median: Duration::from_secs(1), max: Duration::from_secs(9) });
        assert_eq!(Ages::of(&[&[], &[]]), None);
    }

    #[test]
    fn times_have_two_digits_and_a_unit() {
        let shown = [0.0, 7.46, 62.0, 720.0, 5400.0, 12_240.0, 172_800.0, 8e6]
            .map(|seconds| Time(Duration::from_secs_f64(seconds)).to_string());
        assert_eq!(shown, ["0.0 s", "7.5 s", "62 s", "12 min", "90 min", "3.4 h", "2.0 d", "93 d"]);
    }
}

//! This splits what is in use into groups of age, which the label `age` tells apart.
//!
//! Path: *read path*.

use alloc_profiler::internal::literal;
use alloc_profiler::{AgeTotals, SizeTotals, Totals};
use std::time::Duration;

/// Lower bounds of the groups that the label `age` tells apart, in seconds: up to a week.
const GROUPS: [u64; 9] = [0, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600];

fn group(age: Duration) -> u64 {
    GROUPS.into_iter().rfind(|&bound| age.as_secs() >= bound).unwrap_or(0)
}

/// Returns what was allocated and freed again, and what is in use by group of age. Their sum is what `size` holds.
pub(crate) fn parts(size: &SizeTotals) -> (Totals, impl Iterator<Item = (u64, Totals)>) {
    let by_group = size.ages.chunk_by(|a, b| group(a.age) == group(b.age)).map(|ages| {
        let mut totals = Totals::default();
        for &AgeTotals { objects, bytes, samples, objects_variance, bytes_variance, .. } in ages {
            totals += literal!(Totals {
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
                ..Totals::default()
            });
        }
        (group(ages[0].age), totals)
    });
    let by_group: Vec<(u64, Totals)> = by_group.collect();
    let freed = by_group.iter().fold(size.totals, |rest, (_, part)| rest.without(*part));
    // The sums of an age and those of all ages are rounded in the fifteenth digit, each in its own way.
    let rounded_off = |value: f64, whole: f64| if value.abs() <= whole.abs() * 1e-9 { 0.0 } else { value };
    let freed = literal!(Totals {
        alloc_objects: rounded_off(freed.alloc_objects, size.totals.alloc_objects),
        alloc_bytes: rounded_off(freed.alloc_bytes, size.totals.alloc_bytes),
        inuse_objects: rounded_off(freed.inuse_objects, size.totals.inuse_objects),
        inuse_bytes: rounded_off(freed.inuse_bytes, size.totals.inuse_bytes),
        ..freed
    });
    (freed, by_group.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(seconds: f64, objects: f64) -> AgeTotals {
        literal!(AgeTotals {
            age: Duration::from_secs_f64(seconds),
            objects,
            bytes: 16.0 * objects,
            samples: 1,
            objects_variance: 0.0,
            bytes_variance: 0.0,
            ..AgeTotals::default()
        })
    }

    #[test]
    fn parts_are_groups_and_what_was_freed_and_make_the_whole() {
        let ages = vec![age(0.5, 2.0), age(0.9, 1.0), age(599.0, 4.0), age(1e7, 0.1)];
        let totals = literal!(Totals {
            alloc_objects: 10.1,
            alloc_bytes: 161.6,
            alloc_samples: 9,
            inuse_objects: 7.1,
            inuse_bytes: 113.6,
            inuse_samples: 4,
            ..Totals::default()
        });
        let size = literal!(SizeTotals { size_class: 16, totals, ages, ..SizeTotals::default() });
        let (freed, by_age) = parts(&size);
        let by_age: Vec<_> = by_age.collect();
        let groups: Vec<_> = by_age.iter().map(|(group, totals)| (*group, totals.inuse_objects)).collect();
        assert_eq!(groups, [(0, 3.0), (60, 4.0), (604_800, 0.1)]);
        assert!((freed.alloc_objects - 3.0).abs() < 1e-9 && (freed.alloc_bytes - 48.0).abs() < 1e-9);
        assert_eq!((freed.inuse_objects, freed.inuse_bytes, freed.alloc_samples), (0.0, 0.0, 5));
    }
}

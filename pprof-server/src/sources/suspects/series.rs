//! What is known of the groups at the moments that are looked at: the recorded ones, and now.
//!
//! Path: *read path*.

use std::time::{Duration, Instant};

use alloc_profiler::{Births, Snapshot, StackTotals};

use crate::history::{History, OVERFLOW, Record, StackSums, sums};
use crate::profile::AddressMap;

/// Two moments that are looked at are apart by so much of their age.
const GAP_SHARE_OF_AGE: f64 = 0.1;
/// They are apart by so much of the time looked at, however old they are.
const GAP_SHARE_OF_WINDOW: f64 = 1.0 / 30.0;
/// A timer fires late, and records that are a little closer than they should be count.
const GRACE: f64 = 0.9;

/// The moments that are looked at: many of late, and fewer of earlier, so that each window that ends now has some.
///
/// Of an hour they are at most 90, however many are recorded.
#[derive(Debug)]
pub(super) struct Moments {
    /// When they are, in seconds, ascending. The last one is now, which is 0.
    pub(super) times: Vec<f64>,
    /// The numbers that the snapshots have.
    pub(super) numbers: Vec<u32>,
}

/// What is known of one group of stacks.
#[derive(Clone, Debug)]
pub(super) struct Series<'a> {
    pub(super) moments: &'a Moments,
    /// How many bytes are in use at each moment.
    pub(super) bytes: Vec<f64>,
    pub(super) objects: Vec<f64>,
    /// How large the variance of `bytes` is at each moment.
    pub(super) variances: Vec<f64>,
    /// For each moment, the part of `variances` that is of blocks born since a snapshot with a given number had begun.
    pub(super) births: Vec<Vec<Births>>,
    /// What is in use now, by age.
    pub(super) live: Vec<Cohort>,
}

/// Blocks in use of one age.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cohort {
    /// When the blocks were allocated, on the clock of [`Moments::times`].
    pub(super) born: f64,
    pub(super) bytes: f64,
    pub(super) objects: f64,
}

/// Returns the records to look at, of those that are at most `longest` old, the oldest first.
pub(super) fn looked_at(history: &History, at: Instant, longest: Duration) -> Vec<&Record> {
    let mut thinning = Thinning { longest: longest.as_secs_f64(), next_age: 0.0 };
    let latest_first = history.records().rev();
    let mut chosen: Vec<&Record> =
        latest_first.filter(|record| thinning.takes(record.age(at).as_secs_f64())).collect();
    chosen.reverse();
    chosen
}

/// Chooses moments by their ages, in seconds, of which the youngest comes first.
struct Thinning {
    longest: f64,
    /// The next moment is at least so old.
    next_age: f64,
}

impl Thinning {
    fn takes(&mut self, age: f64) -> bool {
        // The first record may have been made half a gap too early or too late.
        let is_within = age <= self.longest * (1.0 + GAP_SHARE_OF_WINDOW / 2.0);
        // What was recorded at this very moment says nothing that the snapshot of now does not say.
        let is_taken = is_within && age > 0.0 && age >= self.next_age;
        if is_taken {
            let gap = (age * GAP_SHARE_OF_AGE).min(self.longest * GAP_SHARE_OF_WINDOW);
            self.next_age = age + GRACE * gap;
        }
        is_taken
    }
}

impl Moments {
    pub(super) fn of(records: &[&Record], now: &Snapshot, at: Instant) -> Moments {
        let times = records.iter().map(|record| -record.age(at).as_secs_f64()).chain([0.0]);
        let numbers = records.iter().map(|record| record.number).chain([now.number]);
        Moments { times: times.collect(), numbers: numbers.collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Returns the time from the first moment to now, in seconds.
    pub(super) fn span(&self) -> f64 {
        -self.times[0]
    }
}

impl<'a> Series<'a> {
    pub(super) fn empty(moments: &'a Moments) -> Series<'a> {
        Series {
            moments,
            bytes: vec![0.0; moments.len()],
            objects: vec![0.0; moments.len()],
            variances: vec![0.0; moments.len()],
            births: vec![Vec::new(); moments.len()],
            live: Vec::new(),
        }
    }

    fn add(&mut self, index: usize, StackSums { totals, births, .. }: StackSums) {
        self.bytes[index] += totals.inuse_bytes;
        self.objects[index] += totals.inuse_objects;
        self.variances[index] += totals.inuse_bytes_variance;
        // Most groups have one stack, whose births need not be copied.
        match &mut self.births[index] {
            none if none.is_empty() => *none = births,
            some => some.extend(births),
        }
    }
}

/// Returns the series of each group that has something in use now; what has not, has not grown. `group_of` returns the group of the
/// stack of `now` with an index, or `None` for one that is left out.
pub(super) fn series<'a>(
    moments: &'a Moments,
    records: &[&Record],
    now: &Snapshot,
    group_of: impl Fn(usize) -> Option<usize>,
) -> AddressMap<usize, Series<'a>> {
    // Each of these is asked for each stack and moment, which may be a million times.
    let grouped = now.stacks.iter().enumerate().filter_map(|(index, stack)| Some((stack, group_of(index)?)));
    let grouped: Vec<(&StackTotals, usize)> = grouped.collect();
    let group_of_id: AddressMap<u32, usize> =
        grouped.iter().map(|&(stack, group)| (stack.id, group)).collect();
    let mut by_group: AddressMap<usize, Series<'a>> = AddressMap::default();
    for &(stack, group) in &grouped {
        let ages = stack.by_size.iter().flat_map(|size| &size.ages);
        let live =
            ages.map(|age| Cohort { born: -age.age.as_secs_f64(), bytes: age.bytes, objects: age.objects });
        let mut live = live.peekable();
        if live.peek().is_some() {
            by_group.entry(group).or_insert_with(|| Series::empty(moments)).live.extend(live);
        }
    }
    let mut add = |index: usize, sums: StackSums| {
        let group = group_of_id.get(&sums.id).filter(|_| sums.id != OVERFLOW);
        if let Some(series) = group.and_then(|group| by_group.get_mut(group)) {
            series.add(index, sums);
        }
    };
    for (index, record) in records.iter().enumerate() {
        record.sums().into_iter().for_each(|sums| add(index, sums));
    }
    sums(now).into_iter().for_each(|sums| add(records.len(), sums));
    by_group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(ages: impl Iterator<Item = u32>, longest: f64) -> Vec<u32> {
        let mut thinning = Thinning { longest, next_age: 0.0 };
        ages.filter(|&age| thinning.takes(f64::from(age))).collect()
    }

    #[test]
    fn moments_are_denser_near_now_and_bounded() {
        let minutes = || (0..=5).map(|minute| minute * 60);
        assert_eq!(taken(minutes(), 3600.0), [60, 120, 180, 240, 300]);
        assert_eq!(taken(minutes(), 180.0), [60, 120, 180]);
        let of_an_hour = taken(0..100_000, 3600.0);
        assert!((50..=90).contains(&of_an_hour.len()), "{}", of_an_hour.len());
        assert!(of_an_hour.starts_with(&[1, 2, 3, 4]) && of_an_hour.last() > Some(&3480), "{of_an_hour:?}");
        for pair in of_an_hour.windows(2) {
            let gap = pair[1] - pair[0];
            assert!(gap <= 1 + (pair[0] / 10).min(120), "{pair:?}");
        }
    }
}

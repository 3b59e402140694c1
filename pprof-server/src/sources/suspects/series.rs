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
///
/// Where the oldest of all is so young, it is among them, since growth may have begun just after it. It takes the place of the one after
/// it if the two are too close to each other.
pub(super) fn looked_at(history: &History, at: Instant, longest: Duration) -> Vec<&Record> {
    let mut thinning = Thinning { longest: longest.as_secs_f64(), next_age: 0.0 };
    let age = |record: &Record| record.age(at).as_secs_f64();
    let mut chosen: Vec<&Record> =
        history.records().rev().filter(|record| thinning.takes(age(record))).collect();
    // mutant: D14 the oldest moment may be passed over
    let oldest = history.records().next().filter(|record| thinning.is_within(age(record)));
    if let (Some(last), Some(oldest)) = (chosen.last_mut(), oldest) {
        *last = oldest;
    }
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
    /// Whether a record of this age is to be looked at, if it is not too close to others.
    fn is_within(&self, age: f64) -> bool {
        // The first record may have been made half a gap too early or too late.
        age <= self.longest * (1.0 + GAP_SHARE_OF_WINDOW / 2.0)
    }

    fn takes(&mut self, age: f64) -> bool {
        // What was recorded at this very moment says nothing that the snapshot of now does not say.
        let is_taken = self.is_within(age) && age > 0.0 && age >= self.next_age;
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
    use crate::history::testing;
    use crate::process::Memory;
    use crate::sources::suspects::LONGEST_WINDOW;

    fn taken(ages: impl Iterator<Item = u32>, longest: f64) -> Vec<u32> {
        let mut thinning = Thinning { longest, next_age: 0.0 };
        ages.filter(|&age| thinning.takes(f64::from(age))).collect()
    }

    #[test]
    fn the_oldest_record_is_looked_at() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut history = History::new(Some(second), 8 << 20);
        let snapshot = testing::snapshot(&[(1, testing::totals(10, 10))]);
        for seconds in 0..40 {
            let at = start + second * seconds;
            history.record(&snapshot, Memory::default(), at);
            // A moment after each record, at whatever distance from it, its age is that of the first.
            for millis in [10, 340, 990] {
                let now = at + Duration::from_millis(millis);
                let looked_at = looked_at(&history, now, LONGEST_WINDOW);
                assert_eq!(looked_at[0].age(now), now - start);
            }
        }
        let now = start + second * 40;
        let ages: Vec<u64> =
            looked_at(&history, now, second * 30).iter().map(|record| record.age(now).as_secs()).collect();
        assert!((27..=30).contains(&ages[0]) && ages.last() == Some(&1), "{ages:?}");
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

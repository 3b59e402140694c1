//! The windows in which groups are judged, and the verdict over all of them.
//!
//! All windows end now. A long one tells small growth from chance, and slow changes from steady ones; a short one tells what
//! began a moment ago. So each group is judged in windows from three quarters of a minute to all that is looked at. Of what they
//! say, the longest counts that knows the kind. Where none does, the shortest counts: it tells best whether growth goes on.
//!
//! Path: *read path*. Pure.

use super::kind::Kind;
use super::method::{Growth, MIN_MOMENTS, judge};
use super::series::{Moments, Series};

/// Lengths of windows in seconds; beside them there is the one of all that is looked at.
const LENGTHS: [f64; 14] =
    [45.0, 60.0, 90.0, 120.0, 150.0, 200.0, 300.0, 420.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0];
/// In a shorter time than this, in seconds, no verdict is given.
pub(super) const MIN_SPAN: f64 = 28.0;

/// Returns the index of the first moment of each window, the longest window first. There are none while it is too early.
pub(super) fn windows(moments: &Moments, is_one: bool) -> Vec<usize> {
    let is_judged =
        |first: &usize| moments.len() - first >= MIN_MOMENTS && -moments.times[*first] >= MIN_SPAN;
    let lengths = if is_one { &[][..] } else { &LENGTHS[..] };
    let first_of = |length: &f64| moments.times.iter().position(|time| -time <= *length);
    let mut firsts: Vec<usize> = lengths.iter().filter_map(first_of).chain([0]).filter(is_judged).collect();
    firsts.sort_unstable();
    firsts.dedup();
    firsts
}

/// Returns what is to be said of a group, after all windows were looked at.
pub(super) fn verdict(series: &Series<'_>, windows: &[usize]) -> Option<Growth> {
    let mut found: Option<Growth> = None;
    for growth in windows.iter().filter_map(|&first| judge(series, first)) {
        let is_better = found.is_none_or(|found| match (found.kind, growth.kind) {
            // The end of growth that gets slower looks like steady growth in a short window, unless one looks closely.
            (Kind::Slowing | Kind::Burst, Kind::Leak) => {
                growth.is_steady || series.rate(&growth) > series.rate(&found)
            }
            // A leak that has paused is one; but what has stopped in most of its time is none.
            (Kind::Leak, Kind::Burst) => {
                let age = |growth: Growth| -series.moments.times[growth.first];
                age(growth) > age(found) / 2.0
            }
            // Whether it still grows, a short window tells best.
            (Kind::Growing | Kind::Burst, _) => true,
            _ => false,
        });
        if is_better {
            found = Some(growth);
        }
    }
    let found = found?;
    Some(match found.in_doubt {
        in_doubt if in_doubt == found.kind => found,
        in_doubt => series.growth(in_doubt, found.z, found.first, found.since),
    })
}

impl Series<'_> {
    /// Returns by how many bytes it grew in a second.
    pub(super) fn rate(&self, growth: &Growth) -> f64 {
        growth.bytes / (self.moments.times[growth.until] - self.moments.times[growth.since]).max(1e-3)
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::Cohort;
    use super::*;

    fn moments(ages: &[f64]) -> Moments {
        let times: Vec<f64> = ages.iter().map(|age| -age).chain([0.0]).collect();
        Moments { numbers: (0..times.len() as u32).collect(), times }
    }

    #[test]
    fn windows_need_moments_and_time() {
        assert_eq!(windows(&moments(&[30.0, 25.0, 20.0, 15.0, 10.0]), false), [0; 0]);
        assert_eq!(windows(&moments(&[30.0, 25.0, 20.0, 15.0, 10.0, 5.0]), false), [0]);
        assert_eq!(windows(&moments(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]), false), [0; 0]);
        let minutes: Vec<f64> = (1..=60).rev().map(|minute| f64::from(minute) * 60.0).collect();
        // The windows have 60, 45, 30, 20, 15, 10 and 7 minutes.
        assert_eq!(windows(&moments(&minutes), false), [0, 15, 30, 40, 45, 50, 53]);
        assert_eq!(windows(&moments(&minutes), true), [0]);
    }

    /// A group is looked at each minute of ten. Each block has one byte and is kept. `earlier` blocks come in the first four minutes, and
    /// `later` ones in each three minutes of the others.
    fn kept(moments: &Moments, earlier: f64, later: f64) -> Series<'_> {
        let mut series = Series::empty(moments);
        for (index, &time) in moments.times.iter().enumerate().skip(1) {
            let count = if index <= 4 { earlier / 4.0 } else { later / 3.0 };
            series.bytes[index] = series.bytes[index - 1] + count;
            series.objects[index] = series.bytes[index];
            series.live.push(Cohort { born: time - 30.0, bytes: count, objects: count });
        }
        series
    }

    /// The growth of the first four of ten minutes is compared with that of the three after them. If growth were even, 43 in 100 would come
    /// in these three.
    /// What is fewer than 34 in 100 is less than 80 % of that.
    #[test]
    fn growth_whose_slowing_is_in_doubt_is_no_leak() {
        let minutes: Vec<f64> = (1..=10).rev().map(|minute| f64::from(minute) * 60.0).collect();
        let moments = moments(&minutes);
        let kind = |earlier, later, firsts: &[usize]| {
            verdict(&kept(&moments, earlier, later), firsts).map(|growth| growth.kind)
        };
        assert_eq!(kind(60.0, 40.0, &[0]), Some(Kind::Leak));
        // Twice the difference is 2.9 times what chance would make, which is the root of 200.
        assert_eq!(kind(135.0, 65.0, &[0]), Some(Kind::Slowing));
        // It is 2.2 times the root of 100.
        assert_eq!(kind(68.0, 32.0, &[0]), Some(Kind::Slowing));
        // It is 0.9 times the root of 16.
        assert_eq!(kind(11.0, 5.0, &[0]), Some(Kind::Leak));
        // The last six minutes tell that it goes on as steadily.
        assert_eq!(kind(68.0, 32.0, &[0, 4]), Some(Kind::Leak));
    }
}

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
}

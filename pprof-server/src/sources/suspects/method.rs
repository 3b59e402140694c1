//! How a leak is told from a cache that fills up and a queue, within one window: one group's past and the ages of its blocks.
//!
//! The window ends now. It is cut into three equal parts. Of each, the *floor* counts, the least that was in use: what comes
//! and goes does not hide what stays. With floors `a`, `b`, `c`, growth is `c - a`, and
//!
//! - its standard error is that of the estimate, by the variances of what was born after `a` and of what died since, as
//!   of any difference of two snapshots (docs/sampling.md): each sample's own weight counts, whatever the interval is now;
//! - beside choosing samples, a program that allocates and frees at random makes what is in use vary, even where every
//!   block is sampled: by the mean square size of a block for each one that was born or died (the ages of what is in use
//!   tell how many lived on);
//! - `z` is growth over the root of the sum of both variances: how many times what chance would make of it.
//!
//! From [`Z_MIN`] on it is no accident, if it also exceeds by as much whatever was in use before the window: what falls and
//! rises again is no growth. [`Judge::kind`] has the rules for what it is. docs/leaks.md has the rates of hits and false alarms.
//!
//! Path: *read path*. Pure.

use super::kind::Kind;
use super::series::{Cohort, Series};

/// Growth below so many times what chance makes is no growth: of a normal distribution, one in 30 000 lies beyond.
pub(super) const Z_MIN: f64 = 4.0;
/// A window needs so many moments, the one of now included.
pub(super) const MIN_MOMENTS: usize = 7;
/// What is within so many times what chance makes is not told from nothing.
const CHANCE_ERRORS: f64 = 2.0;
/// So much of all growth, in this share of the window, makes it a step.
const STEP_SHARE: f64 = 0.5;
const STEP_TIME_SHARE: f64 = 0.1;
/// Growth is steady, and not slower only by chance, if it is so sure, and its later part is this share of what it would be if growth
/// were even.
const STEADY_Z_MIN: f64 = 8.0;
const STEADY_SHARE: f64 = 0.9;
/// Growth gets slower if the later part of it is below this share of what it would be if growth were even, and if the difference
/// is more than chance would make.
const SLOWING_SHARE: f64 = 0.8;
/// In what chance makes.
const SLOWING_ERRORS: f64 = 2.5;
/// Beyond so many times what chance makes, it is in doubt whether growth gets slower.
const DOUBTFUL_ERRORS: f64 = 1.0;
/// If the earlier part of growth is below this share of that, it began within the window.
const BEGUN_EARLY_SHARE: f64 = 0.5;
/// Where of late it grew by less than this share of its rate, it has stopped.
const STOPPED_SHARE: f64 = 0.4;
/// Of what grew in the earlier half, so much must still be there to call it a leak.
const SURVIVING_SHARE: f64 = 0.5;
/// "Of late" is this share of the window, and at least so many seconds.
const LATE_SHARE: f64 = 1.0 / 6.0;
const LATE_SECONDS: f64 = 30.0;
/// Who has grown for a shorter time, in seconds, is not called a leak yet: a cache that fills in a minute or two would be.
pub(super) const YOUNG_SECONDS: f64 = 150.0;
/// Growth has not begun while no more than this share of it, or than chance may bring, is there.
const BEGUN_SHARE: f64 = 0.05;

/// How a group grew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) kind: Kind,
    /// Holds the kind that the growth is called by if no shorter window tells more.
    pub(super) in_doubt: Kind,
    /// How many times what chance makes.
    pub(crate) z: f64,
    /// The index of the moment since which it grew.
    pub(crate) since: usize,
    /// The index of the moment until which it grew: now, unless it has stopped.
    pub(crate) until: usize,
    /// The index of the first moment that was looked at.
    pub(crate) first: usize,
    /// Whether chance cannot have made it of growth that gets slower.
    pub(crate) is_steady: bool,
    /// By how much it grew in that time.
    pub(crate) bytes: f64,
    /// One standard error of it: 0 where every block was sampled with certainty.
    pub(crate) error_bytes: f64,
}

/// What is judged: one series in the window from the moment `first` until now, by its floors.
struct Judge<'a> {
    series: &'a Series<'a>,
    first: usize,
    a: usize,
    b: usize,
    c: usize,
}

/// Returns `None` if the group did not grow in the window that begins with the moment `first`, or not surely.
pub(super) fn judge(series: &Series<'_>, first: usize) -> Option<Growth> {
    let [a, b, c] = series.floors(first)?;
    let z = series.z(a, c);
    if z.is_nan() || z < Z_MIN || series.was_as_high(first, c) {
        return None;
    }
    let judge = Judge { series, first, a, b, c };
    let since = judge.since();
    let [kind, in_doubt] = judge.kind(since);
    Some(Growth { is_steady: judge.is_steady(z), in_doubt, ..series.growth(kind, z, first, since) })
}

impl Judge<'_> {
    /// Returns what it is, and what it is called if that is in doubt and no shorter window tells more. The first of these rules that holds
    /// decides.
    fn kind(&self, since: usize) -> [Kind; 2] {
        let Judge { series, a, b, c, .. } = *self;
        let bytes = &series.bytes;
        let (growth, earlier, later) = (bytes[c] - bytes[a], bytes[b] - bytes[a], bytes[c] - bytes[b]);
        let even = self.even_later();
        let chance = |from, to| CHANCE_ERRORS * series.chance(from, to);
        let is_flat = later < chance(b, c);
        let is_step = self.largest_step() > STEP_SHARE * growth;
        let is_over = is_flat && (is_step || later + chance(b, c) < SLOWING_SHARE * even);
        if is_over || self.has_stopped(since) {
            return [Kind::Burst; 2];
        }
        let is_late = earlier < BEGUN_EARLY_SHARE * (growth - even) || earlier <= chance(a, b);
        if is_step || is_late {
            // A shorter window tells more: it ends now too, and begins after the step, or before most of the growth.
            return [Kind::Growing; 2];
        }
        if self.loses_its_oldest(since) {
            // What may have stopped growing may be load that has begun: there, old blocks are freed too.
            return if is_flat { [Kind::Growing, Kind::Burst] } else { [Kind::Backlog; 2] };
        }
        // mutant: D14 what has grown for a moment is a leak
        if series.age(since) < YOUNG_SECONDS {
            return [Kind::Growing; 2];
        }
        let is_slower = later < SLOWING_SHARE * even;
        // In what chance makes.
        let slower_by = if is_slower { 2.0 * (even - later) / series.chance(a, c) } else { 0.0 };
        if slower_by > SLOWING_ERRORS {
            [Kind::Slowing; 2]
            // mutant: D14 growth whose slowing is in doubt is a leak
        } else if slower_by > DOUBTFUL_ERRORS {
            [Kind::Growing, Kind::Slowing]
        } else {
            [Kind::Leak; 2]
        }
    }

    /// Returns what would have come between the last two floors if growth were even.
    fn even_later(&self) -> f64 {
        let Judge { series, a, b, c, .. } = *self;
        let times = &series.moments.times;
        (series.bytes[c] - series.bytes[a]) * (times[c] - times[b]) / (times[c] - times[a])
    }

    /// Returns the most that it grew in a short time.
    fn largest_step(&self) -> f64 {
        let Judge { series, first, a, c, .. } = *self;
        let (times, bytes) = (&series.moments.times, &series.bytes);
        let short = STEP_TIME_SHARE * series.age(first);
        let step = |to: usize| {
            // The moment before is always near, however long ago it is.
            let near = (a..to).rev().take_while(|&from| from + 1 == to || times[to] - times[from] <= short);
            near.map(|from| bytes[to] - bytes[from]).fold(0.0, f64::max)
        };
        (a + 1..=c).map(step).fold(0.0, f64::max)
    }

    /// Whether growth is so steady and so sure that chance cannot have made it of growth that gets slower.
    fn is_steady(&self, z: f64) -> bool {
        let later = self.series.bytes[self.c] - self.series.bytes[self.b];
        z >= STEADY_Z_MIN && later >= STEADY_SHARE * self.even_later()
    }

    /// Whether it grew by surely less than before, and perhaps not at all, of late or in the later half of its time.
    fn has_stopped(&self, since: usize) -> bool {
        let of_late = LATE_SHARE * self.series.age(self.first);
        let half = self.series.age(since) / 2.0;
        [of_late, half].into_iter().any(|seconds| self.is_flat_for(seconds.max(LATE_SECONDS), since))
    }

    /// Whether it grew in the last `seconds` by surely less than its rate between `since` and then would have it.
    fn is_flat_for(&self, seconds: f64, since: usize) -> bool {
        let Judge { series, .. } = *self;
        let (bytes, last) = (&series.bytes, series.bytes.len() - 1);
        let Some(from) = (since + 1..last).rev().find(|&index| series.age(index) >= seconds) else {
            return false;
        };
        let recent = bytes[last] - bytes[from];
        let rate = (bytes[from] - bytes[since]) / (series.age(since) - series.age(from));
        let chance = CHANCE_ERRORS * series.chance(from, last);
        recent < chance && recent + chance < STOPPED_SHARE * rate * series.age(from)
    }

    /// Returns whether most of what was allocated first, in the first third of the window or of the time since it began, is no longer
    /// in use.
    fn loses_its_oldest(&self, since: usize) -> bool {
        let Judge { series, first, a, b, .. } = *self;
        let (times, bytes) = (&series.moments.times, &series.bytes);
        // Where it began before the window, the window has only what came later, and may be there still.
        let (from, until, chance) = if since < first {
            let is_late = |&index: &usize| times[index] >= times[since] * 2.0 / 3.0;
            let until = (since + 1..times.len()).find(is_late).unwrap_or(b);
            // These are no floors: what comes and goes may have been high then.
            (since, until, CHANCE_ERRORS * series.chance(since, until))
        } else {
            (a, b, 0.0)
        };
        let is_of_then = |cohort: &&Cohort| (times[from]..times[until]).contains(&cohort.born);
        let surviving: f64 = series.live.iter().filter(is_of_then).map(|cohort| cohort.bytes).sum();
        surviving < SURVIVING_SHARE * (bytes[until] - bytes[from] - chance)
    }

    /// Returns the last moment before it grew; if that is the first of the window, it may be one before the window.
    fn since(&self) -> usize {
        let bytes = &self.series.bytes;
        let growth = bytes[self.c] - bytes[self.a];
        let begun = bytes[self.a] + (BEGUN_SHARE * growth).max(self.series.chance(self.a, self.c));
        let mut since = (self.a..self.c).rev().find(|&index| bytes[index] <= begun).unwrap_or(self.a);
        while since <= self.first && since > 0 && bytes[since - 1] < bytes[since] {
            since -= 1;
        }
        since
    }
}

impl Series<'_> {
    /// Returns the growth since a moment, of a kind that is known.
    pub(super) fn growth(&self, kind: Kind, z: f64, first: usize, since: usize) -> Growth {
        let last = self.bytes.len() - 1;
        let full = self.bytes[since] + (1.0 - BEGUN_SHARE) * (self.bytes[last] - self.bytes[since]);
        let until = match kind {
            Kind::Burst => (since..last).find(|&index| self.bytes[index] >= full).unwrap_or(last),
            _ => last,
        };
        Growth {
            kind,
            in_doubt: kind,
            z,
            since,
            until,
            first,
            is_steady: false,
            bytes: self.bytes[until] - self.bytes[since],
            error_bytes: self.sampling_variance(since, until).sqrt(),
        }
    }

    /// Returns how long ago a moment was, in seconds.
    fn age(&self, index: usize) -> f64 {
        -self.moments.times[index]
    }

    /// Returns where the least is in use in each third of the window.
    fn floors(&self, first: usize) -> Option<[usize; 3]> {
        let (times, bytes) = (&self.moments.times, &self.bytes);
        if times.len() - first < MIN_MOMENTS {
            return None;
        }
        let third = -times[first] / 3.0;
        let in_third = |index: usize, n: usize| {
            let position = (times[index] - times[first]) / third;
            position >= n as f64 && (position < (n + 1) as f64 || n == 2)
        };
        let mut floors = [0; 3];
        for (n, floor) in floors.iter_mut().enumerate() {
            // Where several are equally low, the first one counts in the first third, and the last one in the others.
            let within = (first..times.len()).filter(|&index| in_third(index, n));
            *floor = if n == 0 {
                within.min_by(|&i, &j| bytes[i].total_cmp(&bytes[j]))?
            } else {
                within.rev().min_by(|&i, &j| bytes[i].total_cmp(&bytes[j]))?
            };
        }
        Some(floors)
    }

    /// Whether as much as at the moment `index`, or nearly, was in use at some moment before `first`.
    fn was_as_high(&self, first: usize, index: usize) -> bool {
        let highest = (0..first).max_by(|&i, &j| self.bytes[i].total_cmp(&self.bytes[j]));
        // mutant: D14 what falls and rises again grows
        highest.is_some_and(|highest| self.z(highest, index) < Z_MIN)
    }

    /// Returns the growth between two moments, in times what chance would bring.
    pub(super) fn z(&self, from: usize, to: usize) -> f64 {
        let growth = self.bytes[to] - self.bytes[from];
        // Most groups do not grow, and to learn what chance would bring takes longer.
        if growth <= 0.0 { 0.0 } else { growth / self.chance(from, to) }
    }

    /// Returns how much growth between two moments may be by chance: the root of what sampling and the program itself make it vary.
    fn chance(&self, from: usize, to: usize) -> f64 {
        // mutant: D14 suspects forget what samples weighed
        (self.sampling_variance(from, to) + self.program_variance(from, to)).sqrt()
    }

    /// Returns the variance of the estimated growth between two moments.
    pub(super) fn sampling_variance(&self, from: usize, to: usize) -> f64 {
        let number = self.moments.numbers[from];
        let is_born_since = |births: &&alloc_profiler::Births| births.after_snapshot >= number;
        let born: f64 =
            self.births[to].iter().filter(is_born_since).map(|births| births.bytes_variance).sum();
        let survived = (self.variances[to] - born).max(0.0);
        born + (self.variances[from] - survived).max(0.0)
    }

    /// Returns the variance that the true growth has, if blocks come and go at random.
    fn program_variance(&self, from: usize, to: usize) -> f64 {
        let is_older = |cohort: &&Cohort| cohort.born <= self.moments.times[from];
        let survivors: f64 = self.live.iter().filter(is_older).map(|cohort| cohort.objects).sum();
        let born = (self.objects[to] - survivors).max(0.0);
        let died = (self.objects[from] - survivors).max(0.0);
        self.mean_square_size() * (born + died).max(1.0)
    }

    /// Returns that of the blocks in use.
    fn mean_square_size(&self) -> f64 {
        let objects: f64 = self.live.iter().map(|cohort| cohort.objects).sum();
        let squares = self.live.iter().map(|cohort| cohort.bytes * cohort.bytes / cohort.objects);
        if objects > 0.0 { squares.sum::<f64>() / objects } else { f64::INFINITY }
    }
}

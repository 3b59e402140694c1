//! How a leak is told from a cache that fills up, a burst, and a queue: one stack's history and the ages of its blocks.
//!
//! The window is cut into three equal parts. Of each, the *floor* counts, the least that was in use: what comes and goes
//! does not hide what stays. With floors `a`, `b`, `c` at the times they were reached,
//!
//! - growth is `c - a`, and grows by `(c - a) / (time of c - time of a)`;
//! - its standard error is that of the estimate, by the variances of what was born after `a` and of what died since, as
//!   of any difference of two snapshots (docs/sampling.md): each sample's own weight counts, whatever the interval is now;
//! - beside choosing samples, a program that allocates and frees at random makes what is in use vary, even where every
//!   block is sampled: by the mean square size of a block for each one that was born or died (the ages of what is in use
//!   tell how many lived on);
//! - `z` is growth over the root of the sum of both variances: how many times what chance would make of it.
//!
//! From [`Z_MIN`] on it is no accident. Then, in this order: growth that came in one step is a *burst*; growth whose blocks
//! are freed, only later and later or ever more of them, is a *backlog*; growth that has stopped is a *burst* too; growth that
//! gets slower is *slowing*, as a cache that fills; the rest is a *leak*. docs/leaks.md has the rates of hits and false alarms.
//!
//! Path: *read path*. Pure.

use alloc_profiler::Births;

/// Growth below so many times what chance makes is no growth: of a normal distribution, one in 30 000 lies beyond.
pub(super) const Z_MIN: f64 = 4.0;
/// Records needed, the one of now included.
pub(super) const MIN_RECORDS: usize = 7;
/// A step between two records that is so much of all growth makes it a burst.
const BURST_SHARE: f64 = 0.5;
/// The later half of the growth must be more than so many times what chance makes, or growth has stopped.
const STOPPED_ERRORS: f64 = 2.0;
/// Where growth is steady, half of it comes in the later half; below this share it gets slower, if the halves differ by
/// more than chance would have it.
const SLOWING_SHARE: f64 = 0.4;
/// In what chance makes of their difference.
const SLOWING_ERRORS: f64 = 2.0;
/// Of what grew in the earlier half, so much must still be there to call it a leak.
const SURVIVING_SHARE: f64 = 0.5;

/// What is known of a stack in the window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// Times in seconds, ascending. The last one is now. They are the same for all stacks.
    pub(crate) times: Vec<f64>,
    /// Bytes in use at each time.
    pub(crate) bytes: Vec<f64>,
    pub(crate) objects: Vec<f64>,
    /// The variance of `bytes` at each time.
    pub(crate) variances: Vec<f64>,
    /// For each time, the part of `variances` that is of blocks born since a snapshot with a given number had begun.
    pub(crate) births: Vec<Vec<Births>>,
    /// The numbers of the snapshots. They are the same for all stacks.
    pub(crate) numbers: Vec<u32>,
    /// What is in use now, by age, the youngest first.
    pub(crate) live: Vec<Cohort>,
}

/// Blocks in use of one age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cohort {
    /// When the blocks were allocated, on the clock of [`Series::times`].
    pub(crate) born: f64,
    pub(crate) bytes: f64,
    pub(crate) objects: f64,
}

/// What a stack that grew is suspected of. A kind that is surer to be a leak is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// It grew in one step, or has stopped growing.
    Burst,
    /// It grows ever slower.
    Slowing,
    /// It grows, and its old blocks are freed: a queue that gets longer, or more load.
    Backlog,
    /// It grows steadily, and its old blocks stay.
    Leak,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Burst => "burst",
            Kind::Slowing => "slowing",
            Kind::Backlog => "backlog",
            Kind::Leak => "leak",
        }
    }
}

/// How a stack grew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) kind: Kind,
    pub(crate) bytes: f64,
    pub(crate) bytes_per_hour: f64,
    /// One standard error of it: 0 where every block was sampled with certainty.
    pub(crate) error_bytes_per_hour: f64,
    /// How many times what chance makes.
    pub(crate) z: f64,
}

/// `None` if the stack did not grow, or not surely.
pub(crate) fn judge(series: &Series) -> Option<Growth> {
    let [a, b, c] = floors(series)?;
    let bytes = series.bytes[c] - series.bytes[a];
    let z = bytes / series.chance(a, c);
    if z.is_nan() || z < Z_MIN {
        return None;
    }
    let hours = (series.times[c] - series.times[a]) / 3600.0;
    Some(Growth {
        kind: kind(series, [a, b, c], bytes),
        bytes,
        bytes_per_hour: bytes / hours,
        error_bytes_per_hour: series.sampling_variance(a, c).sqrt() / hours,
        z,
    })
}

fn kind(series: &Series, [a, b, c]: [usize; 3], growth: f64) -> Kind {
    let earlier = series.bytes[b] - series.bytes[a];
    let later = series.bytes[c] - series.bytes[b];
    let steps = series.bytes[a..=c].windows(2).map(|pair| pair[1] - pair[0]);
    let largest_step = steps.fold(0.0, f64::max);
    if largest_step > BURST_SHARE * growth || earlier <= 0.0 {
        return Kind::Burst;
    }
    let is_of_then = |cohort: &&Cohort| (series.times[a]..series.times[b]).contains(&cohort.born);
    let surviving: f64 = series.live.iter().filter(is_of_then).map(|cohort| cohort.bytes).sum();
    if surviving < SURVIVING_SHARE * earlier {
        Kind::Backlog
    } else if later < STOPPED_ERRORS * series.chance(b, c) {
        Kind::Burst
    } else if later < SLOWING_SHARE * growth && earlier - later > SLOWING_ERRORS * series.chance(a, c) {
        Kind::Slowing
    } else {
        Kind::Leak
    }
}

/// Where the least is in use in each third of the window.
fn floors(series: &Series) -> Option<[usize; 3]> {
    let (first, last) = (*series.times.first()?, *series.times.last()?);
    if series.times.len() < MIN_RECORDS {
        return None;
    }
    let third = (last - first) / 3.0;
    let in_third = |index: usize, n: usize| {
        let position = (series.times[index] - first) / third;
        position >= n as f64 && (position < (n + 1) as f64 || n == 2)
    };
    let mut floors = [0; 3];
    for (n, floor) in floors.iter_mut().enumerate() {
        // Where several are equally low, the first one counts in the first third, and the last one in the others.
        let within = (0..series.times.len()).filter(|&index| in_third(index, n));
        *floor = if n == 0 {
            within.min_by(|&i, &j| series.bytes[i].total_cmp(&series.bytes[j]))?
        } else {
            within.rev().min_by(|&i, &j| series.bytes[i].total_cmp(&series.bytes[j]))?
        };
    }
    Some(floors)
}

impl Series {
    /// How much growth between two times may be by chance: the root of what sampling and the program itself make it vary.
    fn chance(&self, from: usize, to: usize) -> f64 {
        // mutant: D14 suspects forget what samples weighed
        (self.sampling_variance(from, to) + self.program_variance(from, to)).sqrt()
    }

    /// The variance of the estimated growth between two times.
    fn sampling_variance(&self, from: usize, to: usize) -> f64 {
        let is_born_since = |births: &&Births| births.after_snapshot >= self.numbers[from];
        let born: f64 =
            self.births[to].iter().filter(is_born_since).map(|births| births.bytes_variance).sum();
        let survived = (self.variances[to] - born).max(0.0);
        born + (self.variances[from] - survived).max(0.0)
    }

    /// The variance that the true growth has, if blocks come and go at random.
    fn program_variance(&self, from: usize, to: usize) -> f64 {
        let is_older = |cohort: &&Cohort| cohort.born <= self.times[from];
        let survivors: f64 = self.live.iter().filter(is_older).map(|cohort| cohort.objects).sum();
        let born = (self.objects[to] - survivors).max(0.0);
        let died = (self.objects[from] - survivors).max(0.0);
        self.mean_square_size() * (born + died).max(1.0)
    }

    /// Of the blocks in use.
    fn mean_square_size(&self) -> f64 {
        let objects: f64 = self.live.iter().map(|cohort| cohort.objects).sum();
        let squares = self.live.iter().map(|cohort| cohort.bytes * cohort.bytes / cohort.objects);
        if objects > 0.0 { squares.sum::<f64>() / objects } else { f64::INFINITY }
    }
}

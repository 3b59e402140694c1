//! Programs of which it is known whether they leak, in simulated time: what is said of each, over many seeds.
//!
//! docs/leaks.md shows the tables that `cargo test -p pprof-server --lib scenarios -- --nocapture` prints.

mod documented;
mod hours;
mod minutes;
mod simulation;
mod windows;

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::kind::{Kind, WORDS};
use simulation::{Block, INTERVAL, Pace, Run, sampled};

/// How many runs each program has, each with a seed of its own.
const SEEDS: u64 = 40;

/// A program, and what it may be called.
struct Scenario {
    name: &'static str,
    /// What it may be called, because it was made so. `None` means that it is not suspected.
    truth: &'static [Option<Kind>],
    blocks: fn(&mut SmallRng) -> Vec<Block>,
}

/// Draws the moments of a Poisson process in a time of `length`, with `rate(moment)` events in each unit of time, by thinning
/// one with `most` events.
fn moments(generator: &mut SmallRng, length: u32, most: f64, rate: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut now = 0.0;
    let mut moments = Vec::new();
    loop {
        now -= (1.0 - generator.random::<f64>()).ln() / most;
        if now > f64::from(length) {
            return moments;
        }
        if generator.random::<f64>() * most < rate(now) {
            moments.push(now);
        }
    }
}

fn exponential(generator: &mut SmallRng, mean: f64) -> f64 {
    -(1.0 - generator.random::<f64>()).ln() * mean
}

/// Of a block of a quarter of a MiB, about two in five are sampled.
const SIZE: f64 = 262_144.0;

fn blocks(born: Vec<f64>, mut life: impl FnMut(f64) -> f64) -> Vec<Block> {
    born.into_iter().map(|born| Block { born, dies: born + life(born), bytes: SIZE }).collect()
}

impl Scenario {
    /// What is said of it at each of `times`.
    fn verdicts(&self, seed: u64, pace: Pace, times: &[u32]) -> Vec<Option<Kind>> {
        let times: Vec<_> = times.iter().map(|&time| (time, None)).collect();
        self.verdicts_in(seed, pace, &times)
    }

    /// What is said of it at each of the moments in `asked`, by the window beside it.
    fn verdicts_in(&self, seed: u64, pace: Pace, asked: &[(u32, Option<Duration>)]) -> Vec<Option<Kind>> {
        let mut generator = SmallRng::seed_from_u64(seed);
        let blocks = (self.blocks)(&mut generator);
        let samples = sampled(blocks, &mut generator, |_| INTERVAL);
        let mut run = Run::new(&samples, pace, &|_| INTERVAL);
        asked.iter().map(|&(time, window)| run.verdict_at(time, window).map(|growth| growth.kind)).collect()
    }
}

/// All that can be said, in the order of the tables.
fn said() -> Vec<(Option<Kind>, &'static str)> {
    let kinds = WORDS.iter().map(|words| (Some(words.kind), words.title));
    kinds.chain([(None, "not suspected")]).collect()
}

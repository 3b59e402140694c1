//! Programs of which it is known whether they leak, in simulated time: what the method says of each, over many seeds.
//!
//! A program is a stack on which blocks are allocated at random moments and freed at moments of its own; each is sampled as
//! the profiler samples, by its size. Snapshots are taken once a minute, as the recorder does, and judged at the end.
//! docs/leaks.md shows the table that `cargo test -p pprof-server scenarios -- --nocapture` prints.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use alloc_profiler::{AgeTotals, Births, SizeTotals, Snapshot, StackTotals, Totals};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::{Groups, Growth, Kind, judge, series};
use crate::history::{DEFAULT_LIMIT_BYTES, DEFAULT_PERIOD, History, testing};
use crate::process::Memory;

const INTERVAL: f64 = 524_288.0;
/// How many runs each scenario has, each with a seed of its own.
const SEEDS: u64 = 40;
/// How many minutes one run takes.
const MINUTES: u32 = 90;

/// One block: when it is allocated and freed, in minutes, and its size.
struct Block {
    born: f64,
    dies: f64,
    bytes: f64,
}

struct Scenario {
    name: &'static str,
    /// What the scenario may be called, because it was made so. `None` means that it is not suspected.
    truth: &'static [Option<Kind>],
    blocks: fn(&mut SmallRng) -> Vec<Block>,
}

/// Draws the moments of a Poisson process with `rate(minute)` events a minute, by thinning one with `most` events a minute.
fn moments(generator: &mut SmallRng, most: f64, rate: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut now = 0.0;
    let mut moments = Vec::new();
    loop {
        now -= (1.0 - generator.random::<f64>()).ln() / most;
        if now > f64::from(MINUTES) {
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

/// Of every block: about two in five are sampled.
const SIZE: f64 = 262_144.0;

fn blocks(born: Vec<f64>, mut life: impl FnMut(f64) -> f64) -> Vec<Block> {
    born.into_iter().map(|born| Block { born, dies: born + life(born), bytes: SIZE }).collect()
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "steady state: 250 a minute that live a minute or so",
        truth: &[None],
        blocks: |generator| {
            let born = moments(generator, 250.0, |_| 250.0);
            blocks(born, |_| exponential(generator, 1.0))
        },
    },
    Scenario {
        name: "steady state of long lives: 25 a minute, 20 min each",
        truth: &[None],
        blocks: |generator| {
            // As it is after a long time: the first ones are there from the start.
            let mut all: Vec<Block> = (0..500)
                .map(|_| Block { born: 0.0, dies: exponential(generator, 20.0), bytes: SIZE })
                .collect();
            let born = moments(generator, 25.0, |_| 25.0);
            all.extend(blocks(born, |_| exponential(generator, 20.0)));
            all
        },
    },
    Scenario {
        name: "warm-up: 500 blocks in the first five minutes, for ever",
        truth: &[None, Some(Kind::Burst)],
        blocks: |generator| {
            let born = moments(generator, 100.0, |minute| if minute < 5.0 { 100.0 } else { 0.0 });
            blocks(born, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "bounded cache, full: the oldest of 750 goes for each that comes",
        truth: &[None],
        blocks: |generator| {
            let mut born: Vec<f64> = vec![0.0; 750];
            born.extend(moments(generator, 50.0, |_| 50.0));
            let dies: Vec<f64> =
                (0..born.len()).map(|n| born.get(n + 750).copied().unwrap_or(f64::INFINITY)).collect();
            born.into_iter().zip(dies).map(|(born, dies)| Block { born, dies, bytes: SIZE }).collect()
        },
    },
    Scenario {
        name: "cache that fills: misses get rarer, 20 min to two thirds",
        truth: &[Some(Kind::Slowing), Some(Kind::Burst)],
        blocks: |generator| {
            let born = moments(generator, 60.0, |minute| 60.0 * (-minute / 20.0).exp());
            blocks(born, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "burst: 750 blocks in one minute, kept",
        truth: &[Some(Kind::Burst)],
        blocks: |generator| {
            let born =
                moments(generator, 750.0, |minute| if (60.0..61.0).contains(&minute) { 750.0 } else { 0.0 });
            blocks(born, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "sawtooth: 50 a minute, all freed every 12 min",
        truth: &[None],
        blocks: |generator| {
            let born = moments(generator, 50.0, |_| 50.0);
            blocks(born, |born| 12.0 - born % 12.0)
        },
    },
    Scenario {
        name: "queue that gets longer: who comes at minute m waits m/8",
        truth: &[Some(Kind::Backlog)],
        blocks: |generator| {
            let born = moments(generator, 200.0, |_| 200.0);
            blocks(born, |born| 1.0 + born / 8.0)
        },
    },
    Scenario {
        name: "more load: 25 to 250 a minute, five minutes each",
        truth: &[Some(Kind::Backlog)],
        blocks: |generator| {
            let born = moments(generator, 250.0, |minute| 25.0 + 2.5 * minute);
            blocks(born, |_| exponential(generator, 5.0))
        },
    },
    Scenario {
        name: "leak: 12 a minute",
        truth: &[Some(Kind::Leak)],
        blocks: |generator| {
            let born = moments(generator, 12.0, |_| 12.0);
            blocks(born, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "slow leak under heavy churn: 1 block in 50 of 300 a minute",
        truth: &[Some(Kind::Leak)],
        blocks: |generator| {
            let born = moments(generator, 300.0, |_| 300.0);
            blocks(born, |_| {
                if generator.random_bool(0.02) { f64::INFINITY } else { exponential(generator, 0.05) }
            })
        },
    },
    Scenario {
        name: "the same tasks, ended: those of 8 connections a minute, half more or less in turn",
        truth: &[None],
        blocks: |generator| {
            let rate = |minute: f64| 8.0 * (1.0 + 0.5 * (minute / 3.0).sin());
            let born = moments(generator, 12.0, rate);
            let twice = born.into_iter().flat_map(|born| [born, born]).collect();
            blocks(twice, |_| exponential(generator, 1.0))
        },
    },
    Scenario {
        name: "leaked tasks: those of 8 connections a minute, half more or less in turn",
        truth: &[Some(Kind::Leak)],
        blocks: |generator| {
            let rate = |minute: f64| 8.0 * (1.0 + 0.5 * (minute / 3.0).sin());
            let born = moments(generator, 12.0, rate);
            // Each holds two buffers.
            let twice = born.into_iter().flat_map(|born| [born, born]).collect();
            blocks(twice, |_| f64::INFINITY)
        },
    },
];

/// A block that the profiler took as a sample.
struct Sample {
    block: Block,
    /// Objects that it stands for.
    weight: f64,
}

impl Sample {
    /// The snapshots that have it are those from here on.
    fn first_minute(&self) -> u32 {
        self.block.born.ceil() as u32
    }

    /// What it adds to what is in use.
    fn totals(&self) -> Totals {
        let (weight, bytes) = (self.weight, self.block.bytes);
        Totals {
            inuse_objects: weight,
            inuse_bytes: weight * bytes,
            inuse_samples: 1,
            inuse_objects_variance: weight * (weight - 1.0),
            inuse_bytes_variance: weight * (weight - 1.0) * bytes * bytes,
            ..Totals::default()
        }
    }
}

/// The blocks that the profiler takes as samples.
fn sampled(blocks: Vec<Block>, generator: &mut SmallRng, interval_at: impl Fn(f64) -> f64) -> Vec<Sample> {
    blocks
        .into_iter()
        .filter_map(|block| {
            let interval = interval_at(block.born);
            let probability = if interval <= 1.0 { 1.0 } else { 1.0 - (-block.bytes / interval).exp() };
            generator.random_bool(probability).then_some(Sample { block, weight: 1.0 / probability })
        })
        .collect()
}

/// Returns the profile at each minute. Only the last one has ages.
fn snapshots(samples: &[Sample], interval_at: impl Fn(f64) -> f64) -> Vec<Snapshot> {
    // In use, by the first snapshot that has it.
    let mut in_use: BTreeMap<u32, Totals> = BTreeMap::new();
    let mut changes: Vec<(f64, bool, &Sample)> = samples
        .iter()
        .flat_map(|sample| [(sample.block.born, true, sample), (sample.block.dies, false, sample)])
        .collect();
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut changes = changes.into_iter().peekable();
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for minute in 0..=MINUTES {
        while let Some((_, is_born, sample)) = changes.next_if(|change| change.0 <= f64::from(minute)) {
            let of_then = in_use.entry(sample.first_minute()).or_default();
            *of_then = if is_born {
                let mut sum = *of_then;
                sum += sample.totals();
                sum
            } else {
                of_then.without(sample.totals())
            };
        }
        in_use.retain(|_, totals| totals.inuse_samples > 0);
        snapshots.push(snapshot(minute, &in_use, interval_at(f64::from(minute)) as u64));
    }
    if let Some(last) = snapshots.last_mut() {
        last.stacks[0].by_size[0].ages = ages(samples);
    }
    snapshots
}

/// The snapshot of minute `n` has the number `n + 1`.
fn snapshot(minute: u32, in_use: &BTreeMap<u32, Totals>, sampling_interval: u64) -> Snapshot {
    let mut totals = Totals::default();
    in_use.values().for_each(|part| totals += *part);
    let births = in_use.iter().map(|(first_minute, totals)| Births {
        after_snapshot: *first_minute,
        objects_variance: totals.inuse_objects_variance,
        bytes_variance: totals.inuse_bytes_variance,
    });
    let births = births.filter(|births| births.bytes_variance > 0.0).collect();
    let size = SizeTotals { size_class: SIZE as u64, totals, births, ages: Vec::new() };
    Snapshot {
        number: minute + 1,
        taken_at: UNIX_EPOCH + DEFAULT_PERIOD * minute,
        stacks: vec![StackTotals { by_size: vec![size], ..StackTotals::default() }],
        overflow: Vec::new(),
        sampling_interval,
        ..testing::snapshot(&[])
    }
}

/// Of what is in use at the end.
fn ages(samples: &[Sample]) -> Vec<AgeTotals> {
    let mut by_age: BTreeMap<Duration, Totals> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.block.dies > f64::from(MINUTES)) {
        let age = Duration::from_secs_f64((f64::from(MINUTES) - sample.block.born) * 60.0);
        *by_age.entry(age).or_default() += sample.totals();
    }
    let age = |(age, totals): (Duration, Totals)| AgeTotals {
        age,
        objects: totals.inuse_objects,
        bytes: totals.inuse_bytes,
        samples: totals.inuse_samples,
        objects_variance: totals.inuse_objects_variance,
        bytes_variance: totals.inuse_bytes_variance,
    };
    by_age.into_iter().map(age).collect()
}

/// What the method says at the end of a run.
fn verdict(scenario: &Scenario, seed: u64) -> Option<Kind> {
    let mut generator = SmallRng::seed_from_u64(seed);
    let blocks = (scenario.blocks)(&mut generator);
    let samples = sampled(blocks, &mut generator, |_| INTERVAL);
    judged(snapshots(&samples, |_| INTERVAL)).map(|growth| growth.kind)
}

/// What the method says of the profiles of a run.
fn judged(mut snapshots: Vec<Snapshot>) -> Option<Growth> {
    let start = Instant::now();
    let at = |minute: u32| start + DEFAULT_PERIOD * minute;
    let mut history = History::new(Some(DEFAULT_PERIOD), DEFAULT_LIMIT_BYTES);
    let now = snapshots.pop().expect("one for each minute");
    // Earlier ones are not looked at.
    for (minute, snapshot) in (0..).zip(&snapshots).skip(MINUTES as usize - 61) {
        history.record(snapshot, Memory::default(), at(minute));
    }
    let groups = Groups { of_stack: vec![0] };
    let (_, series) = series(&history, &now, at(MINUTES), &groups);
    series.get(&0).and_then(judge)
}

#[test]
fn known_programs_are_called_what_they_are() {
    println!("| program | called leak | backlog | slowing | burst | not suspected |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for scenario in SCENARIOS {
        let verdicts: Vec<_> = (0..SEEDS).map(|seed| verdict(scenario, seed)).collect();
        let count = |kind| verdicts.iter().filter(|&&verdict| verdict == kind).count();
        let shares = [Some(Kind::Leak), Some(Kind::Backlog), Some(Kind::Slowing), Some(Kind::Burst), None]
            .map(|kind| format!("{:.1} %", 100.0 * count(kind) as f64 / SEEDS as f64));
        println!("| {} | {} |", scenario.name, shares.join(" | "));
        let right = verdicts.iter().filter(|verdict| scenario.truth.contains(verdict)).count();
        assert!(right * 100 >= SEEDS as usize * 95, "{}: {right} of {SEEDS} right", scenario.name);
        if !scenario.truth.contains(&Some(Kind::Leak)) {
            assert!(count(Some(Kind::Leak)) * 100 <= SEEDS as usize, "{}: false alarms", scenario.name);
        }
    }
}

/// A first-in, first-out store of small blocks, always full, in which each lives for 20 minutes. The interval is lowered
/// to 1 after 40 minutes, where the estimate has just been far too low: from then on what is in use is known exactly,
/// and seems to grow to what it always was.
#[test]
fn a_lower_interval_is_no_leak() {
    const BLOCKS: usize = 20_000;
    const LIFE: f64 = 20.0;
    const CHANGE: f64 = 40.0;
    let interval_at = |minute: f64| if minute < CHANGE { INTERVAL } else { 1.0 };
    let step = LIFE / BLOCKS as f64;
    let mut unlucky = 0;
    for seed in 0..100 {
        let mut generator = SmallRng::seed_from_u64(seed);
        let blocks: Vec<Block> = (0..((f64::from(MINUTES) + LIFE) / step) as usize)
            .map(|n| n as f64 * step - LIFE)
            .map(|born| Block { born: born.max(0.0), dies: born + LIFE, bytes: 1024.0 })
            .collect();
        let samples = sampled(blocks, &mut generator, interval_at);
        let at_change: f64 = samples
            .iter()
            .filter(|sample| sample.block.born < CHANGE && sample.block.dies >= CHANGE)
            .map(|sample| sample.weight)
            .sum();
        if at_change > 0.8 * BLOCKS as f64 {
            continue;
        }
        unlucky += 1;
        let growth = judged(snapshots(&samples, interval_at));
        assert!(growth.is_none(), "seed {seed}, {at_change} of {BLOCKS} estimated: {growth:?}");
    }
    assert!(unlucky >= 5, "{unlucky} runs began with an estimate that was too low");
}

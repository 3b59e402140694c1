//! Programs of which it is known whether they leak, in simulated time: what the method says of each, over many seeds.
//!
//! A program is a stack on which blocks are allocated at random moments and freed at moments of its own; each is sampled as
//! the profiler samples, by its size. Snapshots are taken once a minute, as the recorder does, and judged at the end.
//! docs/leaks.md shows the table that `cargo test -p pprof-server scenarios -- --nocapture` prints.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use alloc_profiler::{AgeTotals, SizeTotals, Snapshot, StackTotals, Totals};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::{Groups, Kind, judge, series};
use crate::history::{DEFAULT_LIMIT_BYTES, DEFAULT_PERIOD, History, testing};
use crate::process::Memory;

const INTERVAL: f64 = 524_288.0;
/// Of each scenario.
const SEEDS: u64 = 40;
/// Of one run.
const MINUTES: u32 = 90;

/// One block: when it is allocated and freed, in minutes, and its size.
struct Block {
    born: f64,
    dies: f64,
    bytes: f64,
}

struct Scenario {
    name: &'static str,
    /// What it is, by construction: what it may be called. `None` is "not suspected".
    truth: &'static [Option<Kind>],
    blocks: fn(&mut SmallRng) -> Vec<Block>,
}

/// Moments of a Poisson process of `rate(minute)` a minute, by thinning one of `most`.
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

/// The blocks that the profiler takes as samples, with what each stands for.
fn sampled(blocks: Vec<Block>, generator: &mut SmallRng) -> Vec<(Block, f64)> {
    blocks
        .into_iter()
        .filter_map(|block| {
            let probability = 1.0 - (-block.bytes / INTERVAL).exp();
            generator.random_bool(probability).then_some((block, 1.0 / probability))
        })
        .collect()
}

/// The profile at each minute; the last one with ages.
fn snapshots(samples: &[(Block, f64)]) -> Vec<Snapshot> {
    // What each minute adds and takes away.
    let mut changes = vec![Totals::default(); MINUTES as usize + 1];
    let mut by_age: BTreeMap<Duration, AgeTotals> = BTreeMap::new();
    for (block, weight) in samples {
        let (objects, bytes) = (*weight, weight * block.bytes);
        let change = |samples: i64| Totals {
            inuse_objects: samples as f64 * objects,
            inuse_bytes: samples as f64 * bytes,
            inuse_samples: samples,
            ..Totals::default()
        };
        let born = Totals { alloc_objects: objects, alloc_bytes: bytes, alloc_samples: 1, ..change(1) };
        if let Some(at) = changes.get_mut(block.born.ceil() as usize) {
            *at += born;
        }
        if let Some(at) = changes.get_mut(block.dies.ceil() as usize) {
            *at += change(-1);
        }
        if block.dies > f64::from(MINUTES) {
            let age = Duration::from_secs_f64((f64::from(MINUTES) - block.born) * 60.0);
            let ages = by_age.entry(age).or_insert(AgeTotals { age, objects: 0.0, bytes: 0.0, samples: 0 });
            ages.objects += objects;
            ages.bytes += bytes;
            ages.samples += 1;
        }
    }
    let mut now = Totals::default();
    let mut snapshots: Vec<Snapshot> = (0..)
        .zip(changes)
        .map(|(minute, change)| {
            now += change;
            let size = SizeTotals { size_class: SIZE as u64, totals: now, ages: Vec::new() };
            Snapshot {
                taken_at: UNIX_EPOCH + DEFAULT_PERIOD * minute,
                stacks: vec![StackTotals { by_size: vec![size], ..StackTotals::default() }],
                overflow: Vec::new(),
                sampling_interval: INTERVAL as u64,
                ..testing::snapshot(&[])
            }
        })
        .collect();
    if let Some(last) = snapshots.last_mut() {
        last.stacks[0].by_size[0].ages = by_age.into_values().collect();
    }
    snapshots
}

/// What the method says at the end of a run.
fn verdict(scenario: &Scenario, seed: u64) -> Option<Kind> {
    let mut generator = SmallRng::seed_from_u64(seed);
    let blocks = (scenario.blocks)(&mut generator);
    let samples = sampled(blocks, &mut generator);
    let start = Instant::now();
    let at = |minute: u32| start + DEFAULT_PERIOD * minute;
    let mut history = History::new(Some(DEFAULT_PERIOD), DEFAULT_LIMIT_BYTES);
    let mut snapshots = snapshots(&samples);
    let now = snapshots.pop().expect("one for each minute");
    // Earlier ones are not looked at.
    for (minute, snapshot) in (0..).zip(&snapshots).skip(MINUTES as usize - 61) {
        history.record(snapshot, Memory::default(), at(minute));
    }
    let groups = Groups { of_stack: vec![0], count: 1 };
    let (_, series) = series(&history, &now, at(MINUTES), &groups);
    series.get(&0).and_then(judge).map(|growth| growth.kind)
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

//! Programs that run for an hour and a half, whose recorder takes a snapshot a minute. They are judged at the end.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::simulation::{Block, INTERVAL, Pace, Run, sampled};
use super::{Kind, SEEDS, SIZE, Scenario, blocks, exponential, moments, said};

/// How long one run takes.
pub(super) const MINUTES: u32 = 90;
pub(super) const PACE: Pace = Pace { unit: Duration::from_secs(60), step: 1 };

pub(super) const SCENARIOS: &[Scenario] =
    &[
        Scenario {
            name: "steady state: 250 a minute that live a minute or so",
            truth: &[None],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 250.0, |_| 250.0);
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
                let born = moments(generator, MINUTES, 25.0, |_| 25.0);
                all.extend(blocks(born, |_| exponential(generator, 20.0)));
                all
            },
        },
        Scenario {
            name: "warm-up: 500 blocks in the first five minutes, for ever",
            truth: &[None, Some(Kind::Burst)],
            blocks: |generator| {
                let born =
                    moments(generator, MINUTES, 100.0, |minute| if minute < 5.0 { 100.0 } else { 0.0 });
                blocks(born, |_| f64::INFINITY)
            },
        },
        Scenario {
            name: "bounded cache, full: the oldest of 750 goes for each that comes",
            truth: &[None],
            blocks: |generator| {
                let mut born: Vec<f64> = vec![0.0; 750];
                born.extend(moments(generator, MINUTES, 50.0, |_| 50.0));
                let dies: Vec<f64> =
                    (0..born.len()).map(|n| born.get(n + 750).copied().unwrap_or(f64::INFINITY)).collect();
                born.into_iter().zip(dies).map(|(born, dies)| Block { born, dies, bytes: SIZE }).collect()
            },
        },
        Scenario {
            name: "cache that fills: misses get rarer, 20 min to two thirds",
            truth: &[Some(Kind::Slowing), Some(Kind::Burst)],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 60.0, |minute| 60.0 * (-minute / 20.0).exp());
                blocks(born, |_| f64::INFINITY)
            },
        },
        Scenario {
            name: "burst: 750 blocks in one minute, kept",
            truth: &[Some(Kind::Burst)],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 750.0, |minute| {
                    if (60.0..61.0).contains(&minute) { 750.0 } else { 0.0 }
                });
                blocks(born, |_| f64::INFINITY)
            },
        },
        Scenario {
            name: "sawtooth: 50 a minute, all freed every 12 min",
            truth: &[None],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 50.0, |_| 50.0);
                blocks(born, |born| 12.0 - born % 12.0)
            },
        },
        Scenario {
            name: "queue that gets longer: who comes at minute m waits m/8",
            truth: &[Some(Kind::Backlog)],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 200.0, |_| 200.0);
                blocks(born, |born| 1.0 + born / 8.0)
            },
        },
        Scenario {
            name: "more load: 25 to 250 a minute, five minutes each",
            truth: &[Some(Kind::Backlog)],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 250.0, |minute| 25.0 + 2.5 * minute);
                blocks(born, |_| exponential(generator, 5.0))
            },
        },
        Scenario {
            name: "leak: 12 a minute",
            truth: &[Some(Kind::Leak)],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 12.0, |_| 12.0);
                blocks(born, |_| f64::INFINITY)
            },
        },
        Scenario {
            name: "slow leak under heavy churn: 1 block in 50 of 300 a minute",
            truth: &[Some(Kind::Leak)],
            blocks: |generator| {
                let born = moments(generator, MINUTES, 300.0, |_| 300.0);
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
                let born = moments(generator, MINUTES, 12.0, rate);
                let twice = born.into_iter().flat_map(|born| [born, born]).collect();
                blocks(twice, |_| exponential(generator, 1.0))
            },
        },
        Scenario {
            name: "leaked tasks: those of 8 connections a minute, half more or less in turn",
            truth: &[Some(Kind::Leak)],
            blocks: |generator| {
                let rate = |minute: f64| 8.0 * (1.0 + 0.5 * (minute / 3.0).sin());
                let born = moments(generator, MINUTES, 12.0, rate);
                // Each holds two buffers.
                let twice = born.into_iter().flat_map(|born| [born, born]).collect();
                blocks(twice, |_| f64::INFINITY)
            },
        },
    ];

/// Runs all programs, and prints how often each is called what. Returns what of it is wrong too often.
pub(super) fn complaints(seeds: Range<u64>) -> Vec<String> {
    let mut complaints = Vec::new();
    let titles: Vec<&str> = said().iter().map(|(_, title)| *title).collect();
    println!("| program | {} |", titles.join(" | "));
    println!("| --- |{}", " --- |".repeat(titles.len()));
    for scenario in SCENARIOS {
        let verdicts: Vec<_> =
            seeds.clone().map(|seed| scenario.verdicts(seed, PACE, &[MINUTES])[0]).collect();
        let count = |kind| verdicts.iter().filter(|&&verdict| verdict == kind).count();
        let share = |count| format!("{:.1} %", 100.0 * count as f64 / verdicts.len() as f64);
        let shares: Vec<String> = said().iter().map(|&(kind, _)| share(count(kind))).collect();
        println!("| {} | {} |", scenario.name, shares.join(" | "));
        let right = verdicts.iter().filter(|verdict| scenario.truth.contains(verdict)).count();
        if right * 100 < verdicts.len() * 95 {
            complaints.push(format!("{}: {right} of {} right", scenario.name, verdicts.len()));
        }
        let leaks = count(Some(Kind::Leak));
        if !scenario.truth.contains(&Some(Kind::Leak)) && leaks * 100 > verdicts.len() {
            complaints.push(format!("{}: {leaks} of {} false alarms", scenario.name, verdicts.len()));
        }
    }
    complaints
}

#[test]
fn known_programs_are_called_what_they_are() {
    assert_eq!(complaints(0..SEEDS), [""; 0]);
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
        let growth = Run::new(&samples, PACE, &interval_at).verdict_at(MINUTES, None);
        assert!(growth.is_none(), "seed {seed}, {at_change} of {BLOCKS} estimated: {growth:?}");
    }
    assert!(unlucky >= 5, "{unlucky} runs began with an estimate that was too low");
}

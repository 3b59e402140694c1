//! Programs whose load begins after two minutes, and whose recorder takes a snapshot every five seconds, or every second. They
//! are judged again and again in the minutes that follow.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::simulation::{Block, Pace};
use super::windows::Looks;
use super::{Kind, SEEDS, Scenario, exponential, moments, said};

/// How long one run takes.
pub(super) const SECONDS: u32 = 420;
/// When its load begins.
const BEGIN: f64 = 120.0;
/// A program is judged so many seconds after its load began.
const JUDGED: [u32; 8] = [15, 30, 45, 60, 90, 120, 180, 300];
const KIB: f64 = 1024.0;

fn of_size(born: Vec<f64>, bytes: f64, mut life: impl FnMut(f64) -> f64) -> Vec<Block> {
    born.into_iter().map(|born| Block { born, dies: born + life(born), bytes }).collect()
}

/// Blocks that come at a rate from the beginning of the load on.
fn under_load(generator: &mut SmallRng, rate: f64) -> Vec<f64> {
    moments(generator, SECONDS, rate, |second| if second >= BEGIN { rate } else { 0.0 })
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "churn: 40 MiB/s that live 0.2 s or so, always",
        truth: &[None],
        blocks: |generator| {
            let born = moments(generator, SECONDS, 160.0, |_| 160.0);
            of_size(born, 256.0 * KIB, |_| exponential(generator, 0.2))
        },
    },
    Scenario {
        name: "churn: 10 MiB/s that live 10 s or so, always",
        truth: &[None],
        blocks: |generator| {
            // As it is after a long time.
            let mut all: Vec<Block> = (0..6400)
                .map(|_| Block { born: 0.0, dies: exponential(generator, 10.0), bytes: 16.0 * KIB })
                .collect();
            let born = moments(generator, SECONDS, 640.0, |_| 640.0);
            all.extend(of_size(born, 16.0 * KIB, |_| exponential(generator, 10.0)));
            all
        },
    },
    Scenario {
        name: "bounded cache, full: the oldest of 2000 blocks of 32 KiB goes for each that comes",
        truth: &[None],
        blocks: |generator| {
            let mut born: Vec<f64> = vec![0.0; 2000];
            born.extend(moments(generator, SECONDS, 100.0, |_| 100.0));
            let dies: Vec<f64> =
                (0..born.len()).map(|n| born.get(n + 2000).copied().unwrap_or(f64::INFINITY)).collect();
            let block = |(born, dies)| Block { born, dies, bytes: 32.0 * KIB };
            born.into_iter().zip(dies).map(block).collect()
        },
    },
    Scenario {
        name: "sawtooth: 2 MiB/s, all freed every 20 s",
        truth: &[None],
        blocks: |generator| {
            let born = moments(generator, SECONDS, 32.0, |_| 32.0);
            of_size(born, 64.0 * KIB, |born| 20.0 - born % 20.0)
        },
    },
    Scenario {
        name: "load begins: 40 MiB/s that live 0.5 s or so",
        truth: &[None, Some(Kind::Burst)],
        blocks: |generator| {
            let born = under_load(generator, 160.0);
            of_size(born, 256.0 * KIB, |_| exponential(generator, 0.5))
        },
    },
    Scenario {
        name: "load begins: 2 MiB/s that live 20 s",
        truth: &[None, Some(Kind::Burst), Some(Kind::Growing)],
        blocks: |generator| {
            let born = under_load(generator, 32.0);
            of_size(born, 64.0 * KIB, |_| 20.0)
        },
    },
    Scenario {
        name: "burst: 60 MiB in two seconds, kept",
        truth: &[Some(Kind::Burst)],
        blocks: |generator| {
            let is_then = |second: f64| (BEGIN..BEGIN + 2.0).contains(&second);
            let born = moments(generator, SECONDS, 480.0, |second| if is_then(second) { 480.0 } else { 0.0 });
            of_size(born, 64.0 * KIB, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "cache that fills in 90 s: 2000 blocks of 32 KiB",
        truth: &[Some(Kind::Burst)],
        blocks: |generator| {
            let born = under_load(generator, 2000.0 / 90.0);
            of_size(born, 32.0 * KIB, |_| f64::INFINITY).into_iter().take(2000).collect()
        },
    },
    Scenario {
        name: "cache whose misses get rarer: 30 s to two thirds of 60 MiB",
        truth: &[Some(Kind::Slowing), Some(Kind::Burst)],
        blocks: |generator| {
            let rate = |second: f64| {
                if second < BEGIN { 0.0 } else { 64.0 * (-(second - BEGIN) / 30.0).exp() }
            };
            let born = moments(generator, SECONDS, 64.0, rate);
            of_size(born, 32.0 * KIB, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "channel: 100 messages of 16 KiB a second, of which 50 are taken",
        truth: &[Some(Kind::Backlog)],
        blocks: |generator| {
            let born = under_load(generator, 100.0);
            // Who comes at second t is taken when as many have been taken as came before.
            of_size(born, 16.0 * KIB, |born| born - BEGIN)
        },
    },
    Scenario {
        name: "sessions: 600 of 4 KiB a second, kept",
        truth: &[Some(Kind::Leak)],
        blocks: |generator| {
            let born = under_load(generator, 600.0);
            of_size(born, 4.0 * KIB, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "leak: 0.5 MiB/s of 8 KiB",
        truth: &[Some(Kind::Leak)],
        blocks: |generator| {
            let born = under_load(generator, 64.0);
            of_size(born, 8.0 * KIB, |_| f64::INFINITY)
        },
    },
    Scenario {
        name: "leak within churn: 1 block in 20 of 10 MiB/s, the others live 0.5 s or so",
        truth: &[Some(Kind::Leak)],
        blocks: |generator| {
            let born = moments(generator, SECONDS, 640.0, |_| 640.0);
            of_size(born, 16.0 * KIB, |born| {
                let leaks = born >= BEGIN && generator.random_bool(0.05);
                if leaks { f64::INFINITY } else { exponential(generator, 0.5) }
            })
        },
    },
];

/// Whether something may be said so long after the load began. For two and a half minutes nobody can tell a leak from a cache, and
/// what has just begun may be called growing; but it is never called a leak.
fn is_right(scenario: &Scenario, said: Option<Kind>, seconds: u32) -> bool {
    let grows = !matches!(scenario.truth, [None]);
    let is_early = grows && said != Some(Kind::Leak) && seconds < 180;
    is_early || scenario.truth.contains(&said)
}

/// Runs all programs, and prints what is said of each, or how often, if not always. Returns what of it is wrong too often.
pub(super) fn complaints(step: u32, seeds: Range<u64>) -> Vec<String> {
    let mut complaints = Vec::new();
    let times: Vec<u32> = JUDGED.iter().map(|seconds| BEGIN as u32 + seconds).collect();
    println!("| program | {} |", JUDGED.map(|seconds| format!("{seconds} s")).join(" | "));
    println!("| --- |{}", " --- |".repeat(JUDGED.len()));
    let pace = Pace { unit: Duration::from_secs(1), step };
    for scenario in SCENARIOS {
        let runs: Vec<_> = seeds.clone().map(|seed| scenario.verdicts(seed, pace, &times)).collect();
        let cells: Vec<String> = (0..JUDGED.len()).map(|index| cell(&runs, index)).collect();
        println!("| {} | {} |", scenario.name, cells.join(" | "));
        let leaks = scenario.truth.contains(&Some(Kind::Leak));
        for (index, &seconds) in JUDGED.iter().enumerate() {
            let wrong = runs.iter().filter(|run| !is_right(scenario, run[index], seconds)).count();
            let most = if leaks { runs.len().div_ceil(20) } else { runs.len() / 100 };
            if wrong > most {
                complaints.push(format!(
                    "{} after {seconds} s: {wrong} of {} wrong",
                    scenario.name,
                    runs.len()
                ));
            }
        }
    }
    complaints
}

/// What was said in all runs at the moment with this index.
fn cell(runs: &[Vec<Option<Kind>>], index: usize) -> String {
    let count = |kind| runs.iter().filter(|run| run[index] == kind).count();
    let mut counts: Vec<(usize, &str)> = said().iter().map(|&(kind, title)| (count(kind), title)).collect();
    counts.retain(|(count, _)| *count > 0);
    counts.sort_by_key(|(count, _)| Reverse(*count));
    let share = |&(count, title): &(usize, &str)| match count == runs.len() {
        true => title.to_owned(),
        false => format!("{title} {:.1} %", 100.0 * count as f64 / runs.len() as f64),
    };
    counts.iter().map(share).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_first_minutes_are_told_right() {
    assert_eq!(complaints(5, 0..SEEDS), [""; 0]);
}

#[test]
fn a_recorder_that_is_faster_is_as_right() {
    assert_eq!(complaints(1, 0..SEEDS / 4), [""; 0]);
}

/// In one window, unlike in all, what a long time ago was higher does not count.
#[test]
fn steady_programs_are_suspected_in_no_window() {
    let alarms = Looks::of_minutes(&[180, 300, SECONDS]).alarms(0..SEEDS / 4);
    for of_program in alarms.chunk_by(|a, b| a.program == b.program) {
        let looks: usize = of_program.iter().map(|alarms| alarms.looks).sum();
        let suspected: usize = of_program.iter().map(|alarms| alarms.suspected).sum();
        assert!(suspected * 100 <= looks, "{of_program:?}");
    }
}

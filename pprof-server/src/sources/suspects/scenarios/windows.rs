//! How often each window alone raises a false alarm, and whether seeds that no threshold was tuned on tell the same.

use std::ops::Range;
use std::time::Duration;

use super::simulation::Pace;
use super::{Kind, Scenario, hours, minutes};

/// The seeds of `fresh_seeds_are_told_as_well`, unless `PPROF_SCENARIO_SEEDS` names others, such as `5000..5200`. All other tests have
/// seeds below 100.
const FRESH_SEEDS: Range<u64> = 1000..1200;

/// Which programs are looked at, when, and by which windows.
pub(super) struct Looks<'a> {
    scenarios: &'static [Scenario],
    pace: Pace,
    times: &'a [u32],
    /// `None` stands for all windows together, as a report without `window` has them.
    windows: &'static [Option<Duration>],
}

/// How often something was said of programs that do not grow.
#[derive(Debug)]
pub(super) struct Alarms {
    window: Option<Duration>,
    pub(super) program: &'static str,
    pub(super) looks: usize,
    /// How often it was suspected of anything.
    pub(super) suspected: usize,
    /// How often it was called a leak.
    leaks: usize,
}

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

impl<'a> Looks<'a> {
    pub(super) fn of_minutes(times: &'a [u32]) -> Looks<'a> {
        Looks {
            scenarios: minutes::SCENARIOS,
            pace: Pace { unit: Duration::from_secs(1), step: 5 },
            times,
            windows: const { &[None, seconds(30), seconds(60), seconds(120), seconds(300)] },
        }
    }

    /// Windows that are shorter than the longest sawtooth would call each of its teeth growth, and be right.
    fn of_hours(times: &'a [u32]) -> Looks<'a> {
        Looks {
            scenarios: hours::SCENARIOS,
            pace: hours::PACE,
            times,
            windows: const { &[None, seconds(1800), seconds(3600)] },
        }
    }

    /// Counts what is said of each program that does not grow, in each window.
    pub(super) fn alarms(&self, seeds: Range<u64>) -> Vec<Alarms> {
        let mut all = Vec::new();
        for scenario in self.scenarios.iter().filter(|scenario| matches!(scenario.truth, [None])) {
            for &window in self.windows {
                let asked: Vec<_> = self.times.iter().map(|&time| (time, window)).collect();
                let verdicts: Vec<_> =
                    seeds.clone().flat_map(|seed| scenario.verdicts_in(seed, self.pace, &asked)).collect();
                all.push(Alarms {
                    window,
                    program: scenario.name,
                    looks: verdicts.len(),
                    suspected: verdicts.iter().flatten().count(),
                    leaks: verdicts.iter().filter(|&&verdict| verdict == Some(Kind::Leak)).count(),
                });
            }
        }
        all
    }
}

impl Alarms {
    fn are_rare(&self) -> bool {
        self.suspected * 100 <= self.looks
    }
}

fn name(window: Option<Duration>) -> String {
    window.map_or("all".into(), |window| humantime::format_duration(window).to_string())
}

fn print(alarms: &[Alarms]) {
    println!("| program | window | looks | suspected | called a leak |\n| --- | --- | --- | --- | --- |");
    for Alarms { window, program, looks, suspected, leaks } in alarms {
        let share = |count: usize| format!("{:.2} %", 100.0 * count as f64 / *looks as f64);
        println!("| {program} | {} | {looks} | {} | {} |", name(*window), share(*suspected), share(*leaks));
    }
}

fn fresh_seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("PPROF_SCENARIO_SEEDS") else { return FRESH_SEEDS };
    let ends = asked.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.unwrap_or_else(|| panic!("PPROF_SCENARIO_SEEDS={asked}: two numbers are needed, such as 1000..1200"))
}

/// Prints the tables of docs/leaks.md for these seeds, and one of what each window says of steady programs.
#[test]
#[ignore = "it takes minutes: docs/leaks.md has the command"]
fn fresh_seeds_are_told_as_well() {
    let seeds = fresh_seeds();
    let mut complaints = hours::complaints(seeds.clone());
    complaints.extend(minutes::complaints(5, seeds.clone()));
    let mut alarms = Looks::of_hours(&[70, 80, hours::MINUTES]).alarms(seeds.clone());
    alarms.extend(Looks::of_minutes(&[135, 180, 240, 300, minutes::SECONDS]).alarms(seeds));
    print(&alarms);
    complaints.extend(alarms.iter().filter(|alarms| !alarms.are_rare()).map(|alarms| format!("{alarms:?}")));
    assert_eq!(complaints, [""; 0]);
}

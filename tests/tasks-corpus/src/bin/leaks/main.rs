//! Tasks that nobody can wake, and tasks that somebody can, and what `/debug/pprof/goroutineleak` says of them.
//!
//! The truth is in the names: tasks of functions called `leaked_…` are leaked. Of `doubtful_…` nobody can tell by memory alone, so that they
//! may be found or not. Tasks of functions called `alive_…` can be woken. To call one of these leaked is a false accusation, of which
//! there must be none, however often somebody asks.
//!
//! A word that was left behind may hide a leaked task, and where such words are differs with the build. So the program asks its own
//! server until it has found tasks of nearly all leaked kinds, and then some times more. It prints a table, and fails if there was a
//! false accusation, or if too few kinds were found.
//!
//! Arguments: how many times to ask (10 if that is not given).

mod alive;
mod client;
mod leaked;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many tasks there are of each kind.
pub(crate) const TASKS: usize = 6;
/// So long the program asks for what it has not found.
const PATIENCE: Duration = Duration::from_secs(240);
/// So many kinds may be hidden.
const MAX_HIDDEN: usize = 4;

/// Spawns the task that is given as often as there are tasks of each kind, and drops the handles.
macro_rules! spawn {
    ($task:expr) => {
        for _ in 0..crate::TASKS {
            drop(tokio::spawn($task));
        }
    };
}
pub(crate) use spawn;

/// How often tasks of each function were called leaked in one answer.
fn accused(answer: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for header in answer.lines().filter(|line| line.starts_with("task 0x")) {
        let name = header.rsplit("] ").next().unwrap_or_default().trim_end_matches(':');
        let name = name.rsplit("::").find(|part| !part.starts_with('{')).unwrap_or(name);
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

fn main() {
    let times: usize = std::env::args().nth(1).map_or(10, |times| times.parse().expect("a number"));
    let served = pprof_server::install!("127.0.0.1:0").expect("a free port can be had");
    let runtime = tasks_corpus::runtime();
    // What planting leaves behind on the stack goes with its thread.
    let handle = runtime.handle().clone();
    let plant = move || {
        let _context = handle.enter();
        handle.block_on(async {
            leaked::plant().await;
            alive::plant().await;
        });
    };
    std::thread::spawn(plant).join().expect("all is planted");

    let start = Instant::now();
    let mut most: BTreeMap<&str, usize> = leaked::KINDS.iter().map(|&kind| (kind, 0)).collect();
    let (mut asked, mut false_accusations, mut answer) = (0, 0, String::new());
    let missing = |most: &BTreeMap<&str, usize>| most.values().filter(|&&count| count == 0).count();
    while asked < times || missing(&most) > MAX_HIDDEN && start.elapsed() < PATIENCE {
        answer = client::get(served, "/debug/pprof/goroutineleak?debug=2");
        asked += 1;
        for (name, count) in accused(&answer) {
            if let Some(most) = most.get_mut(&*name) {
                *most = count.max(*most);
            } else if !name.starts_with("doubtful_") {
                println!("false accusation: {count} tasks of {name}");
                false_accusations += count;
            }
        }
    }
    let expected = |name: &str| if name == "leaked_in_pairs" { 2 * TASKS } else { TASKS };
    most.iter().for_each(|(name, count)| println!("| {name} | {count} of {} |", expected(name)));
    let missing = missing(&most);
    answer.lines().filter(|line| line.starts_with("# ")).for_each(|note| println!("{note}"));
    println!(
        "asked {asked} times in {:.0} s; {missing} kinds were not found; {false_accusations} false accusations",
        start.elapsed().as_secs_f64()
    );
    // Some tasks never let go of their thread.
    std::process::exit(i32::from(missing > MAX_HIDDEN || false_accusations > 0));
}

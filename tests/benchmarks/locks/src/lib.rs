//! Each program of this package has another tool watch the same locks. It prints what the tool says of each part beside the truth, which the
//! threads and tasks sum up themselves, and what locks cost meanwhile.
//!
//! The first argument says what is done:
//!
//! - `waits [PART]` prints `part<TAB>truth in ms<TAB>what the tool says<TAB>the waiter's line<TAB>the holder's line`.
//! - `deadlocks` prints what the tool says of two deadlocks.
//! - `cost` prints `lock<TAB>nanoseconds of taking it and giving it back, while nobody else wants it`.
//! - `handover` prints `lock<TAB>microseconds of processor time of each turn, while eight want it`.
//! - `count LOCK PAIRS` takes and gives back a lock so often, for a tool that counts instructions.
//!
//! With `off` in its end, the tool is built in and not switched on.

pub mod cost;
pub mod deadlocks;
pub mod parts;

use std::env;
use std::thread;
use std::time::Duration;

use parts::{Load, PARTS, Part};

/// Takes a lock, and has the time measured by a span, as people write it: each place that takes a lock has one.
#[cfg(feature = "timers")]
#[macro_export]
macro_rules! timed {
    ($lock:literal, $taken:expr) => {{
        let span = tracing::info_span!("wait", lock = $lock).entered();
        let guard = $taken;
        drop(span);
        guard
    }};
}

/// The same for locks that are awaited.
#[cfg(feature = "timers")]
#[macro_export]
macro_rules! timed_async {
    ($lock:literal, $future:expr) => {
        tracing::Instrument::instrument($future, tracing::info_span!("wait", lock = $lock)).await
    };
}

/// Takes a lock.
#[cfg(not(feature = "timers"))]
#[macro_export]
macro_rules! timed {
    ($lock:literal, $taken:expr) => {
        $taken
    };
}

/// Takes a lock that is awaited.
#[cfg(not(feature = "timers"))]
#[macro_export]
macro_rules! timed_async {
    ($lock:literal, $future:expr) => {
        $future.await
    };
}

/// This holds what a tool says of a part.
#[derive(Debug, Default)]
pub struct Told {
    pub waited: Option<Duration>,
    /// The lines, as `file.rs:7`, that it names as those of who waits, and of who makes wait.
    pub waiters: Vec<String>,
    pub holders: Vec<String>,
}

pub trait Tool {
    /// Called before the lock of a part is used, for as many seconds as the tool has to watch.
    fn watch(&mut self, _seconds: u64) {}
    /// Called when the part is done.
    fn told(&mut self, _part: &Part) -> Told {
        Told::default()
    }
    /// What it says of deadlocks that have lasted for two seconds.
    fn deadlocks(&mut self) -> String {
        "nothing".into()
    }
}

/// Watches nothing.
pub struct Nothing;

impl Tool for Nothing {}

/// Does what the arguments say. `start` is given whether the tool is to be switched on.
pub fn main<T: Tool>(start: impl FnOnce(bool) -> T) {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let is_on = arguments.pop_if(|last| last == "off").is_none();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut tool = start(is_on);
    match arguments[..] {
        ["waits"] => waits(&mut tool, &PARTS.each_ref()),
        ["waits", module] => waits(&mut tool, &[part_of(module)]),
        ["deadlocks"] => {
            deadlocks::of_std();
            deadlocks::of_parking_lot();
            thread::sleep(Duration::from_secs(2));
            println!("{}", tool.deadlocks());
        }
        ["cost"] => cost::LOCKS
            .iter()
            .for_each(|(name, pairs)| println!("{name}\t{:.2}", cost::nanos_of_pair(*pairs))),
        ["handover"] => handover(),
        ["count", lock, pairs] => {
            let (_, pairs_of) = cost::LOCKS.iter().find(|(name, _)| *name == lock).expect("a lock");
            pairs_of(pairs.parse().expect("a number"));
        }
        _ => panic!("{arguments:?} is nothing to do"),
    }
}

fn part_of(module: &str) -> &'static Part {
    const ALL: &[Part] = &PARTS;
    ALL.iter().find(|part| part.module == module).expect("a part")
}

fn waits(tool: &mut impl Tool, parts: &[&Part]) {
    const LOAD: Load = Load { turns: 25, held: Duration::from_millis(5) };
    for part in parts {
        // A part takes a second, and up to three on a busy machine.
        let truth = (part.run)(LOAD, &mut || tool.watch(6));
        let told = tool.told(part);
        let said = told.waited.map_or("-".into(), |waited| format!("{:.0}", waited.as_secs_f64() * 1e3));
        let (waiters, holders) =
            (lines(&told.waiters, part, "waits"), lines(&told.holders, part, "gives back"));
        println!("{}\t{:.0}\t{said}\t{waiters}\t{holders}", part.name, truth.waited.as_secs_f64() * 1e3);
    }
}

/// Says which of the lines that a tool has told are the true ones.
fn lines(told: &[String], part: &Part, comment: &str) -> String {
    let truth = part.lines(comment);
    let mut said: Vec<String> =
        told.iter().map(|line| format!("{}{line}", if truth.contains(line) { "" } else { "not " })).collect();
    said.sort();
    said.dedup();
    if said.is_empty() { "-".into() } else { said.join(" ") }
}

/// Prints what a turn costs while others want the lock too. Turns are short, so that they are many.
fn handover() {
    const LOAD: Load = Load { turns: 500, held: Duration::from_micros(100) };
    for part in
        PARTS.iter().filter(|part| ["std_mutex", "parking_lot_mutex", "tokio_mutex"].contains(&part.module))
    {
        let before = cost::processor_time();
        let turns = (part.run)(LOAD, &mut || ()).turns;
        println!(
            "{}\t{:.2}",
            part.name,
            (cost::processor_time() - before).as_secs_f64() * 1e6 / turns as f64
        );
    }
}

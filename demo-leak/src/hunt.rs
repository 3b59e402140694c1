//! The hunt takes a snapshot when the service is idle, puts load on it, takes another when it is idle again, and shows
//! what grew in between, where the tasks wait that hold it, and what holds these.
//!
//! This is the comparison that `go tool pprof -diff_base before after` makes, but within the process and with nothing
//! but Rust installed. What counts as growth is defined in `growth`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use pprof_server::TaskRow;

use crate::arguments::Arguments;
use crate::growth::{Growth, LEAST_BYTES, STANDARD_ERRORS, growth_by_line};
use crate::load;
use crate::proxy::Proxy;
use crate::reader::Variant;
use crate::status::{BYTES_PER_MIB, Status, wait_until_drained};
use crate::waits;

/// There is some load before the first snapshot too, so that what a program sets up once is in both.
const WARM_UP: Duration = Duration::from_secs(1);
/// The hunt takes 32 times as many samples as a service does by default. A task is some hundred bytes long, and there shall be
/// dozens of samples of them after a few seconds of load.
const SAMPLING_INTERVAL_BYTES: u64 = 16_384;
/// How many rows are printed at most.
const ROWS: usize = 8;
/// How many callers in our own code are printed with each row at most.
const CALLERS: usize = 3;

/// The function that spawns a reader's task.
const READER: &str = "demo_leak::reader::Reader::start";

/// How many columns stand before a row's line and its callers, which are below its figures.
const MARGIN: usize = 11;

/// How many columns a terminal has at least.
const LINE_WIDTH: usize = 80;

/// Hunts. It succeeds if it finds what is to be expected of the variant.
pub(crate) async fn hunt(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    if !alloc_profiler::is_installed() || alloc_profiler::sampling_interval() == 0 {
        return Err("the heap profiler is off; unset ALLOC_PROFILER_INTERVAL".into());
    }
    if std::env::var_os(alloc_profiler::INTERVAL_VARIABLE).is_none() {
        alloc_profiler::set_sampling_interval(SAMPLING_INTERVAL_BYTES);
    }
    let proxy = Proxy::start(arguments.listen, arguments.variant).await?;
    let (address, rate) = (proxy.address(), arguments.connections_per_second);

    load::drive(address, rate, WARM_UP).await;
    wait_until_drained(proxy.connections()).await;
    tokio::time::sleep(arguments.idle).await;
    println!("idle:       {}", Status::read(proxy.connections()));
    let before = alloc_profiler::snapshot();

    load::drive(address, rate, arguments.load).await;
    println!("load:       {}", Status::read(proxy.connections()));
    wait_until_drained(proxy.connections()).await;
    tokio::time::sleep(arguments.idle).await;
    println!("idle again: {}", Status::read(proxy.connections()));
    let after = alloc_profiler::snapshot_with_ages();

    // What was allocated and freed again shows that the profiler sees this load at all: "nothing grows" from a
    // profiler that sees nothing would be worth nothing.
    let allocated = after.since(&before).totals();
    if allocated.alloc_samples == 0 {
        return Err("no allocation was sampled during the load; give it more (--load-seconds)".into());
    }
    println!(
        "\nAllocated in between: ~{:.1} MiB, {} samples.",
        allocated.alloc_bytes / BYTES_PER_MIB,
        allocated.alloc_samples
    );
    let grown = growth_by_line(&before, &after);
    print_table(&grown);
    let leak = grown.iter().find(|growth| growth.counts());
    let waits = print_waits(leak);
    Ok(judge(arguments.variant, leak, &waits))
}

fn print_table(grown: &[Growth]) {
    let total_bytes: f64 = grown.iter().map(|growth| growth.totals.inuse_bytes).sum();
    println!("\nWhat the heap holds more than before the load, by line (estimated from samples):\n");
    println!("        growth ± std err   objects  samples   share  age: median / max");
    for growth in grown.iter().take(ROWS) {
        let share_percent = growth.totals.inuse_bytes / total_bytes * 100.0;
        let mark = if growth.counts() { '*' } else { ' ' };
        let ages = growth.ages.map(|ages| ages.to_string()).unwrap_or_default();
        println!("{mark} {growth}  {share_percent:5.1} %  {ages:>17}");
        print_below(&growth.line.to_string());
        for caller in growth.callers.iter().take(CALLERS) {
            print_below(&format!("from {caller}"));
        }
    }
    if grown.is_empty() {
        println!("  (nothing)");
    }
    println!(
        "\n* counts as growth: {:.0} MiB or more, and over {STANDARD_ERRORS:.0} standard errors above zero.",
        LEAST_BYTES / BYTES_PER_MIB
    );
}

/// Prints a line of code below the figures of its row. Where it is goes below its name if both would be wider than the
/// terminal.
fn print_below(line: &str) {
    match line.rsplit_once(' ') {
        Some((name, place)) if MARGIN + line.len() > LINE_WIDTH => {
            println!("{:MARGIN$}{name}\n{:MARGIN$}     {place}", "", "");
        }
        _ => println!("{:MARGIN$}{line}", ""),
    }
}

/// Prints the largest growth that counts, and where the tasks wait that its function has spawned. Returns these tasks; without
/// such a growth, all that the reader has spawned.
fn print_waits(leak: Option<&Growth>) -> Vec<TaskRow> {
    let tasks = pprof_server::task_table();
    let Some(leak) = leak else { return waits::spawned_by(&tasks, READER) };
    println!(
        "leak: ~{:.1} MiB in ~{:.0} objects grew at {}",
        leak.totals.inuse_bytes / BYTES_PER_MIB,
        leak.totals.inuse_objects,
        leak.line
    );
    let waiting = waits::spawned_by(&tasks, &leak.line.function);
    for row in &waiting {
        println!("where the tasks wait that it spawned: {}", waits::described(row));
    }
    if !waiting.is_empty() {
        let leaked = pprof_server::leaked_task_table();
        println!("{}", waits::leaked(&leaked, &leak.line.function));
    }
    match pprof_server::held_by(&leak.line.function) {
        Ok(sentences) => sentences.iter().for_each(|sentence| println!("{sentence}")),
        Err(why) => println!("what holds it is not known: {why}"),
    }
    if waiting.is_empty() {
        println!("it has spawned no task that is known to live:");
        tasks.notes.iter().for_each(|note| println!("  {note}"));
    }
    waiting
}

/// Prints the verdict on what was found.
fn judge(variant: Variant, leak: Option<&Growth>, waiting: &[TaskRow]) -> ExitCode {
    match (variant, leak) {
        (Variant::Leaking, Some(leak)) if leak.line.function.contains("demo_leak::reader::") => {
            ExitCode::SUCCESS
        }
        (Variant::Leaking, Some(_)) => {
            println!("not found: that is not the reader, where this demo leaks");
            ExitCode::FAILURE
        }
        (Variant::Leaking, None) => {
            println!(
                "not found: no growth counts. Give it more load (--load-seconds, --connections-per-second)"
            );
            println!("or more samples (ALLOC_PROFILER_INTERVAL=4096).");
            ExitCode::FAILURE
        }
        (Variant::Fixed, None) if waiting.is_empty() => {
            println!("no leak: nothing grows, and no task of the reader is left");
            ExitCode::SUCCESS
        }
        (Variant::Fixed, None) => {
            println!("unexpected: tasks of the fixed reader are left, {}", waits::described(&waiting[0]));
            ExitCode::FAILURE
        }
        (Variant::Fixed, Some(_)) => {
            println!("unexpected: the fixed reader should not grow");
            ExitCode::FAILURE
        }
    }
}

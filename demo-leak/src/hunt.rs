//! The hunt takes a snapshot when the service is idle, puts load on it, takes another when it is idle again, and shows
//! what grew in between.
//!
//! This is the comparison that `go tool pprof -diff_base before after` makes, but within the process and with nothing
//! but Rust installed. What counts as growth is defined in `growth`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::growth::{Growth, LEAST_BYTES, STANDARD_ERRORS, growth_by_line};
use crate::load;
use crate::proxy::Proxy;
use crate::reader::Variant;
use crate::status::{BYTES_PER_MIB, Status, wait_until_drained};

/// There is some load before the first snapshot too, so that what a program sets up once is in both.
const WARM_UP: Duration = Duration::from_secs(1);
/// How many rows are printed at most.
const ROWS: usize = 8;
/// How many callers in our own code are printed with each row at most.
const CALLERS: usize = 3;

/// Hunts. It succeeds if it finds what is to be expected of the variant.
pub(crate) async fn hunt(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    if !alloc_profiler::is_installed() || alloc_profiler::sampling_interval() == 0 {
        return Err("the heap profiler is off; unset ALLOC_PROFILER_INTERVAL".into());
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
    Ok(judge(arguments.variant, &grown))
}

fn print_table(grown: &[Growth]) {
    let total_bytes: f64 = grown.iter().map(|growth| growth.totals.inuse_bytes).sum();
    println!("\nWhat the heap holds more than before the load, by line (estimated from samples):\n");
    println!("      growth ± std err   objects  samples   share  age: median / max  line");
    for growth in grown.iter().take(ROWS) {
        let share_percent = growth.totals.inuse_bytes / total_bytes * 100.0;
        let mark = if growth.counts() { '*' } else { ' ' };
        let ages = growth.ages.map(|ages| ages.to_string()).unwrap_or_default();
        println!("{mark} {growth}  {share_percent:5.1} %  {ages:>17}  {}", growth.line);
        for caller in growth.callers.iter().take(CALLERS) {
            println!("{:69}  from {caller}", "");
        }
    }
    if grown.is_empty() {
        println!("  (nothing)");
    }
    println!(
        "\n* counts as growth: at least {:.0} MiB, and more than {STANDARD_ERRORS:.0} standard errors above zero.",
        LEAST_BYTES / BYTES_PER_MIB
    );
}

/// Prints the verdict on the largest growth that counts.
fn judge(variant: Variant, grown: &[Growth]) -> ExitCode {
    let leak = grown.iter().find(|growth| growth.counts());
    if let Some(leak) = leak {
        println!(
            "leak: ~{:.1} MiB in ~{:.0} objects grew at {}",
            leak.totals.inuse_bytes / BYTES_PER_MIB,
            leak.totals.inuse_objects,
            leak.line
        );
    }
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
            println!("or more samples (ALLOC_PROFILER_INTERVAL=65536).");
            ExitCode::FAILURE
        }
        (Variant::Fixed, None) => {
            println!("no leak: nothing grows");
            ExitCode::SUCCESS
        }
        (Variant::Fixed, Some(_)) => {
            println!("unexpected: the fixed reader should not grow");
            ExitCode::FAILURE
        }
    }
}

//! Blocks whose owners are known, and who holds them as `/debug/pprof/holders` says.
//!
//! It prints a row for each shape with the share of bytes that have the right owner, none, and a wrong one. It fails if any has a wrong one.
//!
//! Arguments: the sampling interval in bytes, and how many targets each shape has.

#[macro_use]
#[path = "../../../pprof-server/tests/holders/shapes.rs"]
mod shapes;
#[path = "../../tasks-corpus/src/bin/leaks/client.rs"]
mod client;
mod libraries;
#[path = "../../../pprof-server/tests/holders/verdicts.rs"]
mod verdicts;

use pprof_server::alloc_profiler::{SamplingAllocator, set_sampling_interval};
use verdicts::{Verdicts, verdicts};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: SamplingAllocator<mimalloc::MiMalloc> = SamplingAllocator::with_allocator(mimalloc::MiMalloc);
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: SamplingAllocator<tikv_jemallocator::Jemalloc> =
    SamplingAllocator::with_allocator(tikv_jemallocator::Jemalloc);
#[cfg(not(any(feature = "mimalloc", feature = "jemalloc")))]
#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let (interval, count) = (arguments.next().expect("the interval"), arguments.next().expect("how many"));
    let server = pprof_server::serve("127.0.0.1:0").expect("a free port can be had");
    set_sampling_interval(interval);
    shapes::COUNT.set(count).expect("it is set once");
    shapes::plant();
    // What planting leaves behind on the stack goes with its thread.
    std::thread::spawn(libraries::plant).join().expect("all is planted");
    let mut sum = Verdicts::default();
    let (mut right_shapes, mut shapes) = (0, 0);
    for (part, list) in [("shapes::", shapes::SHAPES), ("libraries::", libraries::SHAPES)] {
        let target = format!("/debug/pprof/holders?stack={part}&format=folded");
        let answer = client::get(server.local_addr(), &target);
        for &(target, expected, _) in list {
            let found = verdicts(&answer, target, expected);
            let total = found.right + found.none + found.wrong;
            let share = |part: f64| if total > 0.0 { 100.0 * part / total } else { 0.0 };
            let [right, none, wrong] = [found.right, found.none, found.wrong].map(share);
            println!("| {target} | {right:.0} % | {none:.0} % | {wrong:.0} % |");
            (shapes, right_shapes) = (shapes + 1, right_shapes + u32::from(right >= 95.0));
            sum.right += found.right;
            sum.none += found.none;
            sum.wrong += found.wrong;
        }
        answer.lines().filter(|line| line.starts_with("# holders:")).for_each(|note| println!("{note}"));
    }
    let total = sum.right + sum.none + sum.wrong;
    println!(
        "| {right_shapes} of {shapes} shapes | {:.1} % | {:.1} % | {:.1} % |",
        100.0 * sum.right / total,
        100.0 * sum.none / total,
        100.0 * sum.wrong / total
    );
    // Some threads never end.
    std::process::exit(i32::from(sum.wrong > 0.0));
}

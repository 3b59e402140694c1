//! Blocks whose owners are known, and what a profiler says of them.
//!
//! With `ours` the program prints a row for each shape: how much of its bytes has the right owner. With `dhat` and `jemalloc` it writes a
//! profile to the file that is given. Without any it makes the blocks and ends, for a profiler that watches it from outside.
//!
//! Arguments: how many targets each shape has, and what follows from the feature: the sampling interval in bytes, or the file.

#[macro_use]
#[path = "../../../pprof-server/tests/holders/shapes.rs"]
mod shapes;
#[cfg(feature = "ours")]
#[path = "../../tasks-corpus/src/bin/leaks/client.rs"]
mod client;
#[cfg(feature = "ours")]
#[path = "../../../pprof-server/tests/holders/verdicts.rs"]
mod verdicts;

#[cfg(feature = "ours")]
#[global_allocator]
static ALLOCATOR: pprof_server::alloc_profiler::SamplingAllocator =
    pprof_server::alloc_profiler::SamplingAllocator::new();
#[cfg(feature = "dhat")]
#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().expect("how many targets").parse().expect("a number");
    let second = arguments.next();
    shapes::COUNT.set(count).expect("it is set once");
    profiled(second);
    // Some threads never end.
    std::process::exit(0);
}

#[cfg(not(any(feature = "ours", feature = "dhat", feature = "jemalloc")))]
fn profiled(_: Option<String>) {
    shapes::plant();
    names();
}

/// Prints the shapes, each with its owner.
fn names() {
    shapes::SHAPES.iter().for_each(|(target, expected, _)| println!("{target}\t{}", expected[0]));
}

#[cfg(feature = "ours")]
fn profiled(interval: Option<String>) {
    let interval = interval.expect("the interval").parse().expect("a number");
    let server = pprof_server::serve("127.0.0.1:0").expect("a free port can be had");
    pprof_server::alloc_profiler::set_sampling_interval(interval);
    shapes::plant();
    names();
    let answer = client::get(server.local_addr(), "/debug/pprof/holders?stack=shapes::&format=folded");
    for &(target, expected, _) in shapes::SHAPES {
        let found = verdicts::verdicts(&answer, target, expected);
        let total = found.right + found.none + found.wrong;
        println!("| {target} | {:.2} | {:.2} |", found.right / total, found.wrong / total);
    }
}

#[cfg(feature = "dhat")]
fn profiled(file: Option<String>) {
    let profiler = dhat::Profiler::builder().file_name(file.expect("a file")).build();
    shapes::plant();
    names();
    drop(profiler);
}

#[cfg(feature = "jemalloc")]
fn profiled(file: Option<String>) {
    shapes::plant();
    names();
    let control = jemalloc_pprof::PROF_CTL.as_ref().expect("_RJEM_MALLOC_CONF or MALLOC_CONF has prof:true");
    let profile = control.blocking_lock().dump_pprof().expect("a profile");
    std::fs::write(file.expect("a file"), profile).expect("it can be written");
}

//! mimalloc-pprof as its README starts it: 0 is its default interval of about 512 KiB.

use mimalloc_pprof::{MiMalloc, prof};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    assert!(prof::start(0), "profiler already running");
    benchmarks::main();
}

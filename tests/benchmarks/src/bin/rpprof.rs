//! This program uses rpprof's wrapper over the system's allocator, as its README starts it, at 512 KiB.

#[global_allocator]
static ALLOCATOR: rpprof::alloc::AllocProfiler = rpprof::alloc::AllocProfiler::system();

fn main() {
    rpprof::alloc::start();
    benchmarks::main();
}

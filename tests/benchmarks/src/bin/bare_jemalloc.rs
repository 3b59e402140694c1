//! This program uses jemalloc as it is, built without its profiler.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    benchmarks::main();
}

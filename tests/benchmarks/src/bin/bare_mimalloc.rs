//! This program uses mimalloc as it is.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    benchmarks::main();
}

//! This program uses the system's allocator as it is, or what is preloaded in its stead.

fn main() {
    benchmarks::main();
}

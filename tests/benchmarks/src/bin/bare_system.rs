//! The system's allocator as it is; by preload, whatever takes its place.

fn main() {
    benchmarks::main();
}

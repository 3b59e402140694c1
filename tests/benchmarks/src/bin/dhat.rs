//! This program uses dhat, which records every allocation.

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let profiler = dhat::Profiler::new_heap();
    benchmarks::main();
    // If it were dropped, it would name its stacks and write its report, which is not what is measured here.
    std::mem::forget(profiler);
}

//! This program uses pprof-alloc's wrapper over the system's allocator, at its default interval of 512 KiB. (What its
//! README recommends before that is jemalloc's own profiler, which has a program of its own here.) It is built with
//! frame pointers, which the wrapper asks for.

#[global_allocator]
static ALLOCATOR: pprof_alloc::PprofAlloc = pprof_alloc::PprofAlloc::new().with_pprof();

fn main() {
    benchmarks::main();
}

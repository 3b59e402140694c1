//! This program uses jemalloc with its own profiler built in. `_RJEM_MALLOC_CONF` switches that on, as with
//! `prof:true,prof_active:true,lg_prof_sample:19`.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    benchmarks::main();
}

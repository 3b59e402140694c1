//! A program for `other_builds`: it leaks, serves, tells where, and waits for the end of its standard input.

use std::hint::black_box;

use pprof_server::{SamplingAllocator, serve};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[inline(never)]
fn leak() -> Vec<u8> {
    black_box(inlined())
}

#[inline(always)]
fn inlined() -> Vec<u8> {
    vec![1; 5 << 20]
}

fn main() {
    pprof_server::alloc_profiler::set_sampling_interval(1);
    let leaked = leak();
    let server = serve("127.0.0.1:0").unwrap();
    println!("served at {}", server.local_addr());
    std::io::read_to_string(std::io::stdin()).unwrap();
    drop(leaked);
}

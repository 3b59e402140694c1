//! A plugin for `other_builds` that brings the profiler. It leaks, tells where it serves, and waits for the end of its
//! standard input.

use std::hint::black_box;

#[inline(never)]
fn leak() -> Vec<u8> {
    black_box(vec![1; 5 << 20])
}

#[unsafe(no_mangle)]
pub extern "C" fn run() {
    let address = pprof_server::install!("127.0.0.1:0").expect("it serves");
    let leaked = leak();
    println!("served at {address}");
    std::io::read_to_string(std::io::stdin()).unwrap();
    drop(leaked);
}

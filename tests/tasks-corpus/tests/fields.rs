//! Where the program's own package has types, `/debug/pprof/holders` names the fields that hold, and what blocks are that were not sampled.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

#[path = "../src/bin/leaks/client.rs"]
mod client;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, LazyLock, Mutex};

#[global_allocator]
static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();

struct Session {
    _name: u64,
    _buffer: Box<[u64; 512]>,
}

#[derive(Default)]
struct Inner {
    table: HashMap<u64, Arc<Session>>,
}

#[derive(Default)]
struct Registry {
    inner: Mutex<Inner>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);

#[inline(never)]
fn buffer(name: u64) -> Box<[u64; 512]> {
    black_box(Box::new([name; 512]))
}

#[inline(never)]
fn open_sessions() {
    for name in 0..50 {
        alloc_profiler::set_sampling_interval(1);
        let buffer = buffer(name);
        // Nothing else of it is sampled.
        alloc_profiler::set_sampling_interval(0);
        let session = Arc::new(Session { _name: name, _buffer: buffer });
        REGISTRY.inner.lock().unwrap().table.insert(name, session);
    }
    alloc_profiler::set_sampling_interval(1);
}

#[test]
fn the_fields_that_hold_and_the_types_of_blocks_are_named() {
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    std::thread::spawn(open_sessions).join().unwrap();
    let answer = |format: &str| {
        let target = format!("/debug/pprof/holders?stack=fields::buffer&format={format}");
        client::get(server.local_addr(), &target)
    };
    let folded = answer("folded");
    let expected = "static fields::REGISTRY.inner.table;\
        [block that was not sampled: [(u64, Arc<fields::Session>)]];\
        [block that was not sampled: ArcInner<fields::Session>];fields::buffer ";
    let bytes: u64 = folded.lines().filter_map(|line| line.strip_prefix(expected)?.parse::<u64>().ok()).sum();
    // A word that was left behind may hide the owner of a few blocks.
    assert!((45 * 4096..=50 * 4096).contains(&bytes), "{folded}");
    let json = answer("json");
    assert!(json.contains("\"[u64; 512]\""), "{json}");
}

//! Where the program's own package has types, `/debug/pprof/holders` names the fields that hold, and what blocks are that were not sampled.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

#[path = "../src/bin/leaks/client.rs"]
mod client;

use std::collections::HashMap;
use std::hint::black_box;
use std::io::Read;
use std::sync::{Arc, LazyLock, Mutex};

use flate2::read::GzDecoder;
use pprof_server::internal::proto::Profile;
use prost::Message;

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
    let target = "/debug/pprof/holders?stack=fields::buffer";
    let folded = client::get(server.local_addr(), &format!("{target}&format=folded"));
    let expected = "static fields::REGISTRY.inner.table;\
        [block that was not sampled: [(u64, Arc<fields::Session>)]];\
        [block that was not sampled: ArcInner<fields::Session>];fields::buffer ";
    let bytes: u64 = folded.lines().filter_map(|line| line.strip_prefix(expected)?.parse::<u64>().ok()).sum();
    // A word that was left behind may hide the owner of a block or two.
    assert!((48 * 4096..=50 * 4096).contains(&bytes), "{folded}");
    // The blocks that were asked about have types too.
    let mut message = Vec::new();
    let profile = client::get_bytes(server.local_addr(), target);
    GzDecoder::new(&profile[..]).read_to_end(&mut message).unwrap();
    let profile = Profile::decode(&message[..]).unwrap();
    let string = |index: i64| &*profile.string_table[index as usize];
    let labels = profile.sample.iter().flat_map(|sample| &sample.label);
    let types: Vec<&str> = labels
        .filter(|label| string(label.key_index) == "type")
        .map(|label| string(label.str_index))
        .collect();
    assert!(types.contains(&"[u64; 512]"), "{types:?}");
}

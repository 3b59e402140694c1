//! `/metrics` and `gc=1`: whether memory leaks or is merely kept can be told, and what is kept be given back.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use pprof_server::{SamplingAllocator, serve};
use std::collections::HashMap;
use std::hint::black_box;
use std::net::SocketAddr;
use workspace_tests::client::{get, request};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn figures(address: SocketAddr, query: &str) -> HashMap<String, u64> {
    let reply = get(address, &format!("/metrics{query}"));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let values = reply.text().lines().filter(|line| !line.starts_with('#'));
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    values.map(|line| figure(line).expect(line)).collect()
}

#[test]
fn retention_is_told_from_a_leak_and_given_back_on_request() {
    const MIB: u64 = 1 << 20;
    pprof_server::alloc_profiler::set_sampling_interval(64 * 1024);
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let before = figures(address, "?malloc=1");

    // Small blocks, so that they lie in the heap; a live one on top, so that freeing gives nothing back.
    let mut blocks: Vec<Vec<u8>> = (0..100 * 1024).map(|_| vec![1; 1000]).collect();
    let full = figures(address, "?malloc=1");
    let grown = |name: &str| full[name].saturating_sub(before[name]);
    for name in ["glibc_malloc_inuse_bytes", "glibc_malloc_held_bytes", "process_resident_memory_bytes"] {
        assert!((90 * MIB..130 * MIB).contains(&grown(name)), "{name} {}", grown(name));
    }
    // An estimate from 1 600 samples: within six standard errors.
    assert!((83 * MIB..115 * MIB).contains(&grown("alloc_profiler_inuse_bytes")), "{full:?}");
    assert!(grown("alloc_profiler_allocated_bytes_total") > 83 * MIB, "{full:?}");
    assert!(grown("alloc_profiler_samples_total") > 1000, "{full:?}");

    let top = blocks.pop();
    drop(blocks);
    let freed = figures(address, "?malloc=1");
    assert!(freed["alloc_profiler_inuse_bytes"] < 5 * MIB, "{freed:?}");
    assert!(freed["glibc_malloc_free_bytes"] > 80 * MIB, "{freed:?}");
    assert!(freed["process_resident_memory_bytes"] > 80 * MIB, "{freed:?}");

    // Only `heap` gives it back, and not for a difference.
    for query in ["allocs?gc=1", "heap?gc=0", "heap?gc=x", "heap?gc=1&seconds=1", "heap?gc=-1&debug=1"] {
        assert_eq!(get(address, &format!("/debug/pprof/{query}")).status, 200, "{query}");
        let resident = figures(address, "")["process_resident_memory_bytes"];
        assert!(resident > 80 * MIB, "{query} {resident}");
    }
    assert_eq!(get(address, "/debug/pprof/heap?gc=1&debug=1").status, 200);
    let given_back = figures(address, "")["process_resident_memory_bytes"];
    assert!(given_back + 60 * MIB < freed["process_resident_memory_bytes"], "{given_back} {freed:?}");
    black_box(top);
}

#[test]
fn figures_are_where_prometheus_and_pprof_look() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let plain = figures(address, "");
    assert_eq!(plain["alloc_profiler_installed"], 1);
    // Asking the allocator holds up other threads: only on request.
    assert!(!plain.contains_key("glibc_malloc_held_bytes"), "{plain:?}");
    assert_eq!(get(address, "/debug/pprof/metrics").status, 200);
    let head = request(address, "HEAD", "/metrics", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let refused = get(address, "/metrics?malloc=0");
    assert_eq!((refused.status, refused.header("x-go-pprof")), (400, Some("1")));
    let posted = request(address, "POST", "/metrics", "");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

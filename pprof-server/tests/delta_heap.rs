//! `delta_heap`: each client gets what was allocated since its own last call, and what is in use.

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::internal::proto::Profile;
use pprof_server::serve;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use workspace_tests::client::{get, request};
use workspace_tests::{check_valid, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[inline(never)]
fn work(kept: &mut Vec<Vec<u8>>) {
    for _ in 0..10 {
        kept.push(vec![1; 7_000]);
        drop(black_box(vec![1_u8; 9_000]));
    }
}

fn call(address: SocketAddr, query: &str) -> Profile {
    let reply = get(address, &format!("/debug/pprof/delta_heap{query}"));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/octet-stream")));
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"heap\""));
    check_valid(&reply.body);
    scraper_rules(&reply.body)
}

/// Adds up the bytes that were allocated and that are in use on `work`, in the size class of 7 000 and in that of 9 000 bytes.
fn of_work(profile: &Profile) -> [(i64, i64); 2] {
    let is_work = |id: &u64| {
        profile.location[*id as usize - 1].line.iter().any(|line| {
            let function = &profile.function[line.function_id as usize - 1];
            profile.string_table[function.name_index as usize] == "delta_heap::work"
        })
    };
    [7_000_u64, 9_000].map(|size| {
        let class = pprof_server::alloc_profiler::size_class(size as usize) as i64;
        let samples = profile
            .sample
            .iter()
            .filter(|sample| sample.label[0].num == class && sample.location_id.iter().any(is_work));
        samples.fold((0, 0), |(alloc, inuse), sample| (alloc + sample.value[1], inuse + sample.value[3]))
    })
}

#[test]
fn clients_do_not_take_each_other_s_deltas() {
    pprof_server::alloc_profiler::set_sampling_interval(1);
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let mut kept = Vec::with_capacity(100);
    work(&mut kept);
    let before_first = Instant::now();
    let first = call(address, "?client=a");
    assert_eq!(of_work(&first), [(70_000, 70_000), (90_000, 0)]);
    // Since the start of the process: this test's own is the time of its work at least.
    assert!(first.duration_nanos > 0 && first.duration_nanos < 3_600_000_000_000, "{}", first.duration_nanos);

    std::thread::sleep(Duration::from_millis(300));
    work(&mut kept);
    let second = call(address, "?client=a");
    assert_eq!(of_work(&second), [(70_000, 140_000), (90_000, 0)]);
    let passed = before_first.elapsed().as_nanos() as i64;
    assert!((300_000_000..=passed).contains(&second.duration_nanos), "{}", second.duration_nanos);
    // Times are by one clock and durations by another: they agree as long as nobody sets the first.
    let difference = second.time_nanos - first.time_nanos - second.duration_nanos;
    assert!(difference.abs() < 1_000_000_000, "{difference}");

    // Nothing new on these stacks: what is in use stays, what is not, goes.
    assert_eq!(of_work(&call(address, "?client=a")), [(0, 140_000), (0, 0)]);
    // Another client has had nothing yet, nor has the one without a name.
    for query in ["?client=b&gc=1", ""] {
        assert_eq!(of_work(&call(address, query)), [(140_000, 140_000), (180_000, 0)], "{query}");
        assert_eq!(of_work(&call(address, query)), [(0, 140_000), (0, 0)], "{query}");
    }

    // HEAD takes nothing away, nor do refused requests.
    work(&mut kept);
    let head = request(address, "HEAD", "/debug/pprof/delta_heap?client=a", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    for query in ["seconds=1", "debug=1", "format=json", "client=a%20b", "limit=x&client=a"] {
        assert_eq!(get(address, &format!("/debug/pprof/delta_heap?{query}")).status, 400, "{query}");
    }
    assert_eq!(of_work(&call(address, "?client=a")), [(70_000, 210_000), (90_000, 0)]);
}

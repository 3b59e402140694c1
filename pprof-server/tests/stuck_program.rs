//! Profiles come while the program itself is stuck: when they are wanted most.

use std::time::Duration;

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;
use workspace_tests::busy::within;
use workspace_tests::client::get;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[test]
fn a_program_whose_workers_are_all_blocked_is_still_profiled() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(async { serve("127.0.0.1:0").unwrap() });
    // The names of this program's functions are read once.
    assert_eq!(get(server.local_addr(), "/debug/pprof/heap").status, 200);
    for _ in 0..8 {
        runtime.spawn(async { std::thread::sleep(Duration::from_secs(3)) });
    }
    within(Duration::from_secs(1), "three profiles", || {
        for target in ["/debug/pprof/heap", "/debug/pprof/allocs?debug=1", "/debug/pprof/"] {
            assert_eq!(get(server.local_addr(), target).status, 200, "{target}");
        }
    });
    runtime.shutdown_background();
}

//! Starting and stopping leaves nothing behind: alone in its process, to count threads and descriptors.

use workspace_tests::client::get;

/// Only compiled: the macro takes its two arguments in either order.
#[allow(dead_code)]
fn the_allocator_may_come_first() {
    pprof_server::install!(allocator = std::alloc::System, "127.0.0.1:0",);
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_hundred_servers_leave_no_thread_and_no_descriptor() {
    let one_round = || {
        let server = pprof_server::serve("127.0.0.1:0").unwrap();
        assert_eq!(get(server.local_addr(), "/debug/pprof/heap").status, 200);
        drop(server);
    };
    one_round();
    let before = (entries("/proc/self/task"), entries("/proc/self/fd"));
    (0..100).for_each(|_| one_round());
    assert_eq!((entries("/proc/self/task"), entries("/proc/self/fd")), before);
}

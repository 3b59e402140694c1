//! A program that closes all descriptors after it has installed the profiler. Crates of this program have asked tokio for its
//! `signal` feature, so tokio keeps a pair of sockets for the whole process, which are closed too.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{ask, install};

/// The numbers of what was opened by then, and more.
const CLOSED: std::ops::Range<libc::c_int> = 3..256;

/// Closes all that is open, and goes on when the server has noticed it.
pub(crate) fn close_all() {
    let address = install().expect("installed");
    assert_eq!(ask(address, "/debug/pprof/heap"), Some(200));
    // The server is done with that client. Whether it may be interrupted at any instant is not what is asked here: some
    // microseconds lie between its look at a descriptor and the use.
    sleep(Duration::from_millis(300));
    // SAFETY: nothing but the server and tokio has one of these numbers, and nothing is opened meanwhile.
    CLOSED.for_each(|number| _ = unsafe { libc::close(number) });
    let started = Instant::now();
    while is_there("pprof-server") {
        assert!(started.elapsed() < Duration::from_secs(60), "the server's thread goes on");
        sleep(Duration::from_millis(50));
    }
    // tokio cannot make another runtime in this process, which is one line and no harm.
    assert_eq!(install(), None);
    println!("went on");
}

/// Whether there is a thread of that name.
fn is_there(name: &str) -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let path = task.unwrap().path().join("comm");
        std::fs::read_to_string(path).is_ok_and(|found| found.trim() == name)
    })
}

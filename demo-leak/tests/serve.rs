//! The service itself: it proxies, it leaks a task and its memory with each client or does not, it shows that
//! on its status line, and it ends cleanly on Ctrl-C.
#![cfg(unix)]

#[path = "service/leaked.rs"]
mod leaked;
mod service;

use std::io::{Read, Write};
use std::net::TcpStream;

use service::Service;

#[test]
fn each_client_leaves_a_task_and_its_window_behind() {
    let service = Service::start(&["--idle-seconds", "1", "--load-seconds", "4"]);
    let idle = service.figures("idle");
    assert_eq!((idle.open, idle.total), (0, 0));
    let after = service.settled_figures("idle again");
    assert!(after.total >= 100, "the load was {} connections", after.total);
    assert_eq!(after.tasks - idle.tasks, after.total);
    if let (Some(idle_mib), Some(after_mib)) = (idle.resident_mib, after.resident_mib) {
        let windows_mib = after.total as f64 * 48.0 / 1024.0;
        assert!(after_mib - idle_mib > 0.8 * windows_mib, "{idle_mib} MiB became {after_mib} MiB");
    }
    service.interrupt();
}

#[test]
fn fixed_every_task_ends_and_memory_stays_low() {
    let service = Service::start(&["--fixed", "--idle-seconds", "1", "--load-seconds", "4"]);
    let idle = service.figures("idle");
    let after = service.settled_figures("idle again");
    assert!(after.total >= 100, "the load was {} connections", after.total);
    assert_eq!(after.tasks, idle.tasks);
    if let (Some(idle_mib), Some(after_mib)) = (idle.resident_mib, after.resident_mib) {
        let windows_mib = after.total as f64 * 48.0 / 1024.0;
        assert!(after_mib - idle_mib < 0.5 * windows_mib, "{idle_mib} MiB became {after_mib} MiB");
    }
    service.interrupt();
}

#[test]
fn unless_the_load_has_an_end_a_few_clients_go_on_coming() {
    let service = Service::start(&["--connections-per-second", "60", "--idle-seconds", "0"]);
    service.figures("load");
    let first = service.figures("trickle");
    let later = service.figures("trickle");
    let came = later.total - first.total;
    // Two seconds lie between two lines, in which 120 came before.
    assert!((1..=80).contains(&came) && later.tasks > first.tasks, "{first:?} {later:?}");
    service.interrupt();
}

#[test]
fn without_load_of_its_own_it_serves_whoever_comes() {
    let service =
        Service::start(&["--connections-per-second", "0", "--idle-seconds", "0", "--load-seconds", "0"]);
    let idle = service.figures("idle again");
    let mut client = TcpStream::connect(service.proxy).unwrap();
    client.write_all(b"is anybody there?").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "is anybody there?");
    let after = service.settled_figures("idle again");
    assert_eq!((after.total, after.tasks), (1, idle.tasks + 1));
    service.interrupt();
}

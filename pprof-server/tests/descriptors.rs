//! A program without file descriptors left: the server waits without burning the processor, and recovers.
#![cfg(target_os = "linux")]

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use workspace_tests::client::get;
use workspace_tests::examples;

/// Ticks (of 10 ms) that a process has spent on the processor.
fn processor_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    after_name.split(' ').skip(12).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_server_that_cannot_accept_waits_and_recovers() {
    let mut child = Command::new("sh")
        // A start needs nine, and some may be inherited.
        .args(["-c", "ulimit -n 24; exec \"$0\""])
        .arg(examples::path_of("serve"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let address = examples::address_in(&examples::first_line(&mut child));

    let connections: Vec<_> = (0..30).map(|_| TcpStream::connect(address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(500));
    // Inherited ones above the limit may be open too.
    let is_open = |number: u32| Path::new(&format!("/proc/{}/fd/{number}", child.id())).is_symlink();
    assert!((0..24).all(is_open), "some descriptors are free");
    let before = processor_ticks(child.id());
    std::thread::sleep(Duration::from_secs(1));
    let spent = processor_ticks(child.id()) - before;
    assert!(spent < 20, "{spent} ticks in a second");

    drop(connections);
    assert_eq!(get(address, "/debug/pprof/symbol").status, 200);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

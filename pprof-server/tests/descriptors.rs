//! A program without file descriptors left: the server waits without burning the processor, and recovers.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use workspace_tests::client::get;

/// Ticks (of 10 ms) that a process has spent on the processor.
fn processor_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    after_name.split(' ').skip(12).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_server_that_cannot_accept_waits_and_recovers() {
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/serve");
    assert!(
        example.exists(),
        "run `cargo test -p pprof-server` without --test, which builds the examples first"
    );
    let mut child = Command::new("sh")
        // A start needs nine, and some may be inherited.
        .args(["-c", "ulimit -n 24; exec \"$0\""])
        .arg(example)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().trim_start_matches("http://").trim_end_matches("/debug/pprof/");
    let address: SocketAddr = address.parse().unwrap();

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

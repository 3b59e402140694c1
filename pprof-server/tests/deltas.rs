//! Profiles with `seconds=N`: side by side, given up, and cut short by the server's end.

use std::time::{Duration, Instant};

use pprof_server::serve;
use workspace_tests::client::{get, receive, send};

const DELTA_OF_5_MINUTES: &[u8] = b"GET /debug/pprof/heap?seconds=300 HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Asks until the answer has another status than `status`; fails after ten seconds.
fn status_after(status: u16, ask: impl Fn() -> u16) -> u16 {
    let started = Instant::now();
    loop {
        let now = ask();
        if now != status || started.elapsed() > Duration::from_secs(10) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn eight_wait_side_by_side_and_a_client_that_leaves_makes_room() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();

    let started = Instant::now();
    let replies: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || get(address, "/debug/pprof/allocs?seconds=1").status))
        .collect();
    for reply in replies {
        assert_eq!(reply.join().unwrap(), 200);
    }
    assert!(started.elapsed() < Duration::from_secs(6), "they waited one after the other");

    let waiting: Vec<_> = (0..8).map(|_| send(address, DELTA_OF_5_MINUTES)).collect();
    let delta = || get(address, "/debug/pprof/heap?seconds=1");
    assert_eq!(status_after(200, || delta().status), 429);
    let refused = delta();
    assert_eq!((refused.header("retry-after"), refused.header("x-go-pprof")), (Some("10"), Some("1")));
    // A plain profile needs no permit.
    assert_eq!(get(address, "/debug/pprof/heap").status, 200);

    let left = Instant::now();
    drop(waiting);
    assert_eq!(status_after(429, || delta().status), 200);
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
}

#[test]
fn a_stopping_server_answers_those_who_wait_and_leaves_no_thread() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let waiting = send(address, DELTA_OF_5_MINUTES);
    let silent = std::net::TcpStream::connect(address).unwrap();
    // Answered after the two above were accepted: connections are accepted in order.
    assert_eq!(get(address, "/debug/pprof/").status, 200);

    let stopped = Instant::now();
    server.shutdown();
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(receive(waiting).map(|reply| reply.status), Some(503));
    drop(silent);
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is still open");
    // The address can be taken again at once.
    drop(serve(address).unwrap());
}

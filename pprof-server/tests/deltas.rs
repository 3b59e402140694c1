//! Profiles with `seconds=N`: side by side, given up, and cut short by the server's end.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pprof_server::serve;
use workspace_tests::busy::within;
use workspace_tests::client::{Reply, get, receive, send};

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

/// Asks for `GET target` from `127.0.0.LAST`, and returns the answer.
fn get_from(last: u8, address: SocketAddr, target: &str) -> Reply {
    receive(send_from(last, address, target)).expect("an answer")
}

/// Asks from `127.0.0.LAST`; the answer is still to be read.
fn send_from(last: u8, address: SocketAddr, target: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("all of 127.0.0.0/8 is ours");
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream
}

#[test]
fn eight_wait_side_by_side_and_a_client_that_leaves_makes_room() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();

    let started = Instant::now();
    let replies: Vec<_> = (1..=8)
        .map(|last| {
            std::thread::spawn(move || get_from(last, address, "/debug/pprof/allocs?seconds=1").status)
        })
        .collect();
    for reply in replies {
        assert_eq!(reply.join().unwrap(), 200);
    }
    assert!(started.elapsed() < Duration::from_secs(6), "they waited one after the other");

    let waiting: Vec<_> =
        (1..=8).map(|last| send_from(last, address, "/debug/pprof/heap?seconds=300")).collect();
    let delta = || get_from(9, address, "/debug/pprof/heap?seconds=1");
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
fn a_client_waits_for_heap_and_allocs_but_for_neither_twice() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let ask = |name: &'static str| {
        std::thread::spawn(move || {
            let reply = get(address, &format!("/debug/pprof/{name}?seconds=2"));
            (reply.status, reply.header("retry-after").map(str::to_owned))
        })
    };
    let asked: Vec<_> = (0..50).map(|index| ask(if index % 2 == 0 { "heap" } else { "allocs" })).collect();
    let replies: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
    let count = |status, retry: Option<&str>| {
        replies.iter().filter(|(found, after)| *found == status && after.as_deref() == retry).count()
    };
    assert_eq!((count(200, None), count(429, Some("10"))), (2, 48), "{replies:?}");
    // Another client is not held up by the first.
    let waiting = send(address, DELTA_OF_5_MINUTES);
    assert_eq!(status_after(200, || get(address, "/debug/pprof/heap?seconds=1").status), 429);
    assert_eq!(get_from(2, address, "/debug/pprof/heap?seconds=1").status, 200);
    drop(waiting);
}

#[test]
fn a_stopping_server_answers_those_who_wait_and_leaves_no_thread() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let waiting = send(address, DELTA_OF_5_MINUTES);
    let silent = std::net::TcpStream::connect(address).unwrap();
    // Answered after the two above were accepted: connections are accepted in order.
    assert_eq!(get(address, "/debug/pprof/").status, 200);

    within(Duration::from_secs(1), "shutdown", || server.shutdown());
    assert_eq!(receive(waiting).map(|reply| reply.status), Some(503));
    drop(silent);
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is still open");
    // The address can be taken again at once.
    drop(serve(address).unwrap());
}

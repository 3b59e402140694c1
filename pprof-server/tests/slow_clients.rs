//! Clients that send or read too slowly are cut, and others are served meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pprof_server::serve;
use workspace_tests::busy::within;
use workspace_tests::client::{get, receive, send};

/// Time until the server closes the connection.
fn time_to_close(mut stream: TcpStream) -> Duration {
    let started = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    started.elapsed()
}

fn assert_about_five_seconds(took: Duration, what: &str) {
    assert!((Duration::from_secs(4)..Duration::from_secs(15)).contains(&took), "{what}: {took:?}");
}

#[test]
fn a_request_must_arrive_within_five_seconds() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let requests: [(&str, &[u8]); 3] = [
        ("nothing", b""),
        ("half a head", b"GET /debug/pprof/heap HTTP/1.1\r\nHost: loc"),
        (
            "half a body",
            b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n0x1",
        ),
    ];
    let closed = requests.map(|(what, bytes)| {
        let stream = send(address, bytes);
        (what, std::thread::spawn(move || time_to_close(stream)))
    });
    let dripping = std::thread::spawn(move || drip(address));
    // Others are served meanwhile.
    within(Duration::from_secs(3), "others", || assert_eq!(get(address, "/debug/pprof/heap").status, 200));
    for (what, took) in closed {
        assert_about_five_seconds(took.join().unwrap(), what);
    }
    assert_about_five_seconds(dripping.join().unwrap(), "a header a second");
}

/// Sends a header each second until the server has had enough.
fn drip(address: SocketAddr) -> Duration {
    let started = Instant::now();
    let mut stream = send(address, b"GET /debug/pprof/heap HTTP/1.1\r\n");
    while started.elapsed() < Duration::from_secs(20) && stream.write_all(b"A: b\r\n").is_ok() {
        std::thread::sleep(Duration::from_secs(1));
    }
    started.elapsed()
}

#[test]
fn a_crowd_of_silent_clients_keeps_nobody_waiting() {
    let server = serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    within(Duration::from_secs(1), "others", || assert_eq!(get(address, "/debug/pprof/heap").status, 200));
    drop(silent);
    assert_eq!(get(address, "/debug/pprof/heap").status, 200);
}

#[test]
fn heads_are_bounded() {
    let server = serve("127.0.0.1:0").unwrap();
    let long = format!("GET /debug/pprof/heap?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let status =
        |request: String| receive(send(server.local_addr(), request.as_bytes())).map(|reply| reply.status);
    assert!(matches!(status(long), None | Some(400..=499)));
    let many = format!("GET /debug/pprof/heap HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(100));
    assert!(matches!(status(many), None | Some(400..=499)));
    assert!(matches!(status("\r\n\r\nnonsense\r\n\r\n".to_owned()), None | Some(400)));
    assert_eq!(get(server.local_addr(), "/debug/pprof/heap").status, 200);
}

//! An axum service with connections that are kept alive and silent, and what `/debug/pprof/goroutineleak` says of it: no task of it may be
//! called leaked. Some tasks that are leaked show that tasks are read at all.
//!
//! Arguments: how many connections (1000 if that is not given).

#[path = "leaks/client.rs"]
mod client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::sync::mpsc;

/// So often the program asks.
const TIMES: usize = 3;
/// What is younger than 5 s is not judged, and so long nothing happens.
const SILENCE: Duration = Duration::from_secs(6);
/// So many tasks are leaked, since a word that was left behind may hide one.
const LEAKED: usize = 20;
/// So long the program asks for one of them.
const PATIENCE: Duration = Duration::from_secs(120);

async fn leaked(sender: mpsc::Sender<u8>, mut receiver: mpsc::Receiver<u8>) {
    receiver.recv().await;
    drop(sender);
}

async fn serve(ready: std::sync::mpsc::Sender<SocketAddr>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port can be had");
    ready.send(listener.local_addr().expect("it listens")).expect("somebody waits");
    let app = Router::new().route("/", get(|| async { "hello" }));
    axum::serve(listener, app).await.expect("it serves");
}

/// Asks once, and leaves the connection open.
fn connected(service: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(service).expect("the service listens");
    write!(stream, "GET / HTTP/1.1\r\nHost: {service}\r\n\r\n").expect("the service reads");
    let (mut answer, mut part) = (Vec::new(), [0; 512]);
    while !answer.ends_with(b"hello") {
        let count = stream.read(&mut part).expect("the service answers");
        assert!(count > 0, "the connection was closed");
        answer.extend_from_slice(&part[..count]);
    }
    stream
}

fn main() {
    let connections: usize = std::env::args().nth(1).map_or(1000, |count| count.parse().expect("a number"));
    let profiles = pprof_server::install!("127.0.0.1:0").expect("a free port can be had");
    let runtime = tasks_corpus::runtime();
    let (ready, is_ready) = std::sync::mpsc::channel();
    drop(runtime.spawn(serve(ready)));
    let service = is_ready.recv().expect("the service starts");
    let open: Vec<TcpStream> = (0..connections).map(|_| connected(service)).collect();
    for _ in 0..LEAKED {
        let (sender, receiver) = mpsc::channel(1);
        drop(runtime.spawn(leaked(sender, receiver)));
    }
    std::thread::sleep(SILENCE);

    let (start, mut asked, mut is_found, mut accused) = (Instant::now(), 0, false, 0);
    let mut answer = String::new();
    while asked < TIMES || !is_found && start.elapsed() < PATIENCE {
        answer = client::get(profiles, "/debug/pprof/goroutineleak?debug=2");
        asked += 1;
        for header in answer.lines().filter(|line| line.starts_with("task 0x")) {
            match header.contains("leaked") && header.ends_with("idle::leaked:") {
                true => is_found = true,
                false => {
                    accused += 1;
                    println!("false accusation: {header}");
                }
            }
        }
    }
    answer.lines().filter(|line| line.starts_with("# ")).for_each(|note| println!("{note}"));
    println!(
        "{} connections, asked {asked} times; {accused} false accusations; leaked tasks were found: {is_found}",
        open.len()
    );
    // The tasks never end.
    std::process::exit(i32::from(accused > 0 || !is_found));
}

//! Two services with connections that are kept alive and silent, and what `/debug/pprof/goroutineleak` says of them: no task of theirs may
//! be called leaked. One is of axum; the other one has an `async fn` for each connection, as services with a protocol of their own do.
//! Some tasks that are leaked show that tasks are read at all.
//!
//! Arguments: how many connections each service has (1000 if that is not given), and the sampling interval in bytes (1 if it is not).

#[path = "leaks/client.rs"]
mod client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// So often the program asks.
const TIMES: usize = 3;
/// What is younger than 5 s is not judged, and so long nothing happens.
const SILENCE: Duration = Duration::from_secs(6);
/// So many tasks are leaked if every allocation is sampled, since a word that was left behind may hide one.
const LEAKED: usize = 20;
/// So many are leaked otherwise. At the default interval, some ten of them are sampled.
const LEAKED_AMONG_SAMPLES: usize = 4000;
/// So much a task has in its memory. A little more, and tokio would put it into a box.
const HELD_BYTES: usize = 1024;
/// So long the program asks for one of them.
const PATIENCE: Duration = Duration::from_secs(120);

async fn leaked(sender: mpsc::Sender<u8>, mut receiver: mpsc::Receiver<u8>) {
    let held = [1_u8; HELD_BYTES];
    receiver.recv().await;
    drop((sender, std::hint::black_box(&held)));
}

/// Answers whatever it is sent.
async fn answers(mut stream: tokio::net::TcpStream) {
    let mut buffer = [0; HELD_BYTES];
    while let Ok(1..) = stream.read(&mut buffer).await {
        let answer = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        answer.expect("the client reads");
    }
}

async fn serve_by_hand(ready: std::sync::mpsc::Sender<SocketAddr>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port can be had");
    ready.send(listener.local_addr().expect("it listens")).expect("somebody waits");
    while let Ok((stream, _)) = listener.accept().await {
        drop(tokio::spawn(answers(stream)));
    }
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
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let connections = arguments.next().unwrap_or(1000);
    let interval = arguments.next().unwrap_or(1);
    let profiles = pprof_server::install!("127.0.0.1:0").expect("a free port can be had");
    let runtime = tasks_corpus::runtime();
    alloc_profiler::set_sampling_interval(interval as u64);
    let (ready, is_ready) = std::sync::mpsc::channel();
    drop(runtime.spawn(serve(ready.clone())));
    drop(runtime.spawn(serve_by_hand(ready)));
    let services = [(); 2].map(|()| is_ready.recv().expect("the services start"));
    let open: Vec<TcpStream> =
        services.iter().flat_map(|&service| (0..connections).map(move |_| connected(service))).collect();
    let leaks = if interval == 1 { LEAKED } else { LEAKED_AMONG_SAMPLES };
    for _ in 0..leaks {
        let (sender, receiver) = mpsc::channel(1);
        drop(runtime.spawn(leaked(sender, receiver)));
    }
    std::thread::sleep(SILENCE);

    let (start, mut asked, mut most_found, mut accused) = (Instant::now(), 0, 0, 0);
    let mut answer = String::new();
    // Words that were left behind may hide the few leaked tasks that are sampled. That tasks are read is enough then.
    let is_known =
        |found: usize, answer: &str| found > 0 || interval != 1 && answer.contains("# goroutineleak: of ");
    while asked < TIMES || !is_known(most_found, &answer) && start.elapsed() < PATIENCE {
        answer = client::get(profiles, "/debug/pprof/goroutineleak?debug=2");
        asked += 1;
        let headers = || answer.lines().filter(|line| line.starts_with("task 0x"));
        let is_true = |header: &&str| header.contains("leaked") && header.ends_with("idle::leaked:");
        most_found = most_found.max(headers().filter(is_true).count());
        for header in headers().filter(|header| !is_true(header)) {
            accused += 1;
            println!("false accusation: {header}");
        }
    }
    answer.lines().filter(|line| line.starts_with("# ")).for_each(|note| println!("{note}"));
    println!(
        "{} connections, an interval of {interval}, asked {asked} times; {accused} false accusations; \
         at most {most_found} samples of {leaks} leaked tasks were found at a time",
        open.len()
    );
    // The tasks never end.
    std::process::exit(i32::from(accused > 0 || !is_known(most_found, &answer)));
}

//! What the clients of an axum service feel while `/debug/pprof/holders` is asked again and again.
//!
//! Each request is due at a fixed moment, and what it waits counts. In turns the service is left alone and asked for its holders. The
//! program prints the times of each round and the medians of all. It judges nothing, since other programs on the machine decide how long
//! requests take.
//!
//! Arguments: how many MiB the service holds (256 if that is not given), and how many rounds of each kind there are (8).

#[path = "leaks/client.rs"]
mod client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;

const ROUND: Duration = Duration::from_secs(3);
const REQUEST_EVERY: Duration = Duration::from_millis(2);
const SESSION_BYTES: usize = 4096;

/// What the service holds.
static SESSIONS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

async fn serve(ready: mpsc::Sender<SocketAddr>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port can be had");
    ready.send(listener.local_addr().expect("it listens")).expect("somebody waits");
    let app = Router::new().route("/", get(answers));
    axum::serve(listener, app).await.expect("it serves");
}

/// Answers with a part of what is held.
async fn answers() -> String {
    let held = SESSIONS.lock().expect("nobody panics");
    String::from_utf8_lossy(&held[held.len() / 2][..1024]).into_owned()
}

fn asks(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: service\r\n\r\n").expect("the service reads");
    let (mut answer, mut part) = (Vec::new(), [0; 2048]);
    while !answer.ends_with(&[b'x'; 1024]) {
        let count = stream.read(&mut part).expect("the service answers");
        assert!(count > 0, "the connection was closed");
        answer.extend_from_slice(&part[..count]);
    }
}

/// Sends requests for one round. Returns how long each took, ascending.
fn round(service: SocketAddr) -> Vec<Duration> {
    let mut stream = TcpStream::connect(service).expect("the service listens");
    stream.set_nodelay(true).expect("a socket");
    let (start, mut due, mut times) = (Instant::now(), Duration::ZERO, Vec::new());
    while start.elapsed() < ROUND {
        due += REQUEST_EVERY;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        asks(&mut stream);
        times.push(start.elapsed().saturating_sub(due));
    }
    times.sort_unstable();
    times
}

/// Sends requests for one round while holders are asked for all the time. Returns how long each request took, and how many answers there were.
fn round_with_holders(service: SocketAddr, profiles: SocketAddr) -> (Vec<Duration>, usize) {
    let (is_over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let times = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                let answer = client::get(profiles, "/debug/pprof/holders?format=folded");
                assert!(answer.contains("static serving::SESSIONS"), "{answer}");
                answers.fetch_add(1, Relaxed);
            }
        });
        let times = round(service);
        is_over.store(true, Relaxed);
        times
    });
    (times, answers.into_inner())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().expect("a number"));
    let mib = arguments.next().unwrap_or(256);
    let rounds = arguments.next().unwrap_or(8);
    let profiles = pprof_server::install!("127.0.0.1:0").expect("a free port can be had");
    let sessions = (mib << 20) / SESSION_BYTES;
    SESSIONS.lock().expect("nobody panics").extend((0..sessions).map(|_| vec![b'x'; SESSION_BYTES]));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (ready, is_ready) = mpsc::channel();
    drop(runtime.spawn(serve(ready)));
    let service = is_ready.recv().expect("the service starts");
    drop(round(service));

    println!("load: {}", load());
    println!("| round | searches | median | p99 | longest |\n|---|---|---|---|---|");
    let mut sums = [(); 2].map(|()| (Vec::new(), Vec::new()));
    for number in 0..2 * rounds {
        // Which of the two comes first changes from pair to pair.
        let has_searches = number % 4 == 1 || number % 4 == 2;
        let (times, answers) =
            if has_searches { round_with_holders(service, profiles) } else { (round(service), 0) };
        let (half, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!("| {number} | {answers} | {half:.1?} | {p99:.1?} | {:.1?} |", times[times.len() - 1]);
        sums[usize::from(has_searches)].0.push(half);
        sums[usize::from(has_searches)].1.push(p99);
    }
    println!("load: {}", load());
    for (what, (halves, p99s)) in ["without searches", "with searches"].into_iter().zip(sums) {
        println!(
            "{what}: median {:.1?}, p99 {:.1?} (medians of {rounds} rounds)",
            median(halves),
            median(p99s)
        );
    }
    // The service never ends.
    std::process::exit(0);
}

//! A web service whose memory grows in three ways at once, with clients of its own. `scripts/check-first-minute.py` runs it.
//!
//! Sessions are never ended: a leak. Events come twice as fast as they are taken from their channel: a backlog. Pages are kept in a
//! cache of 2000 keys, which is full after 90 s. Searches need much memory for a moment. The clients begin after as many seconds as
//! the argument says, and go on for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep};

const KEYS: u64 = 2000;
const SESSION_BYTES: usize = 4 << 10;
const EVENT_BYTES: usize = 16 << 10;
const PAGE_BYTES: usize = 32 << 10;
const SEARCH_BYTES: usize = 1 << 20;
/// So many people log in by one request.
const PEOPLE: u64 = 10;
const EVENTS_TAKEN_PER_SECOND: f64 = 50.0;

/// Tells how many requests of each path come in a second. Each has a client with a connection of its own.
const LOAD: [(&str, &str, f64); 5] = [
    ("GET", "/log-in", 30.0),
    ("GET", "/log-in", 30.0),
    ("POST", "/publish", 100.0),
    ("GET", "/page", KEYS as f64 / 90.0),
    ("GET", "/search", 40.0),
];

struct Session {
    _state: Vec<u8>,
}

impl Session {
    #[inline(never)]
    fn new() -> Session {
        Session { _state: vec![1; SESSION_BYTES] }
    }
}

#[inline(never)]
fn encode_event() -> Vec<u8> {
    vec![1; EVENT_BYTES]
}

#[inline(never)]
fn render_page() -> Vec<u8> {
    vec![1; PAGE_BYTES]
}

struct Shop {
    sessions: Mutex<HashMap<u64, Session>>,
    events: UnboundedSender<Vec<u8>>,
    pages: Mutex<HashMap<u64, Vec<u8>>>,
    visits: AtomicU64,
}

async fn log_in(State(shop): State<Arc<Shop>>) -> &'static str {
    for _ in 0..PEOPLE {
        let id = shop.visits.fetch_add(1, Relaxed);
        shop.sessions.lock().unwrap().insert(id, Session::new());
    }
    "welcome"
}

async fn publish(State(shop): State<Arc<Shop>>) -> &'static str {
    shop.events.send(encode_event()).unwrap();
    "published"
}

async fn page(State(shop): State<Arc<Shop>>) -> &'static str {
    let mut pages = shop.pages.lock().unwrap();
    let key = shop.visits.fetch_add(1, Relaxed);
    // The keys come in turn, as long as there are new ones.
    let key = if (pages.len() as u64) < KEYS { pages.len() as u64 } else { key % KEYS };
    pages.entry(key).or_insert_with(render_page);
    "page"
}

async fn search() -> &'static str {
    let found = vec![1_u8; SEARCH_BYTES];
    sleep(Duration::from_millis(5)).await;
    drop(found);
    "found"
}

async fn take_events(mut events: UnboundedReceiver<Vec<u8>>) {
    let mut pace = interval(Duration::from_secs_f64(1.0 / EVENTS_TAKEN_PER_SECOND));
    loop {
        pace.tick().await;
        drop(events.recv().await);
    }
}

/// Sends the same request at a rate. Where it is late, it makes up for it.
async fn client(port: u16, method: &str, path: &str, per_second: f64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
    let mut pace = interval(Duration::from_secs_f64(1.0 / per_second));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answer = [0; 1024];
    loop {
        pace.tick().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        // An answer is so short that it comes in one piece.
        assert!(stream.read(&mut answer).await.unwrap() > 0);
    }
}

fn main() {
    pprof_server::install!();
    let idle: u64 = std::env::args().nth(1).expect("the seconds before the load").parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (events, received) = unbounded_channel();
    let shop = Arc::new(Shop {
        sessions: Mutex::default(),
        events,
        pages: Mutex::default(),
        visits: AtomicU64::new(0),
    });
    let app = Router::new()
        .route("/log-in", get(log_in))
        .route("/publish", post(publish))
        .route("/page", get(page))
        .route("/search", get(search))
        .with_state(shop);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(take_events(received));
        tokio::spawn(async move {
            sleep(Duration::from_secs(idle)).await;
            println!("load begins");
            for (method, path, per_second) in LOAD {
                tokio::spawn(client(port, method, path, per_second));
            }
        });
        axum::serve(listener, app).await.unwrap();
    });
}

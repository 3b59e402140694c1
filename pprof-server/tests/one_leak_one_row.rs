//! A leak of a web service, on stacks that differ in frames of libraries alone, is one suspect.

use std::future::ready;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{map_request, map_response};
use axum::response::Response;
use axum::routing::get;
use pprof_server::Server;
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::alloc_profiler::{set_sampling_interval, unsampled};
use serde_json::Value;
use workspace_tests::client::get as fetch;
use workspace_tests::{check_schema, decode};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

static SESSIONS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Where the block is allocated below.
const SESSION_LINE: u32 = line!() + 4;

#[inline(never)]
fn new_session() -> Vec<u8> {
    vec![1; 100_000]
}

async fn log_in() -> &'static str {
    let session = new_session();
    SESSIONS.lock().unwrap().push(session);
    "welcome"
}

/// The address of a service in which one handler is reached by several ways.
fn service() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        // Layers that do nothing poll the handler from within.
        let of_request = map_request(ready::<Request>);
        let of_response = map_response(ready::<Response>);
        let app = Router::new()
            .route("/plain", get(log_in))
            .route("/one", get(log_in).layer(of_request.clone()))
            .route("/other", get(log_in).layer(of_response.clone()))
            .route("/both", get(log_in).layer(of_request).layer(of_response))
            .fallback(log_in);
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
        });
    });
    address
}

#[test]
fn one_leak_of_a_service_is_one_row() {
    set_sampling_interval(1);
    SESSIONS.lock().unwrap().reserve(1000);
    let server = Server::builder().record_every(Duration::from_secs(1)).serve("127.0.0.1:0").unwrap();
    let ask = |query: &str| unsampled(|| fetch(server.local_addr(), &format!("/debug/pprof/{query}")));
    let json = |query: &str| -> Value { unsampled(|| serde_json::from_str(ask(query).text()).unwrap()) };
    while json("history")["records"].as_array().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let address = service();
    for _ in 0..20 {
        for path in ["/plain", "/one", "/other", "/both", "/else"] {
            let reply = unsampled(|| fetch(address, path));
            assert_eq!((reply.status, reply.text()), (200, "welcome"), "{path}");
        }
    }

    let is_the_leak = |function: &str| function.ends_with("new_session");
    let profile = decode(&ask("heap").body);
    let function_of = |location: u64| {
        let line = &profile.location[location as usize - 1].line[0];
        let name = profile.function[line.function_id as usize - 1].name_index;
        &profile.string_table[name as usize]
    };
    let mut stacks: Vec<&[u64]> = profile
        .sample
        .iter()
        .filter(|sample| is_the_leak(function_of(sample.location_id[0])))
        .map(|sample| &sample.location_id[..])
        .collect();
    stacks.dedup();
    assert!(stacks.len() >= 4, "{} stacks", stacks.len());

    let leaks = json("leaks?format=json");
    check_schema("Leaks", &leaks);
    let frame = |suspect: &Value| suspect["stack"][suspect["named_frame"].as_u64().unwrap() as usize].clone();
    let suspects = leaks["suspects"].as_array().unwrap();
    let of_the_leak: Vec<&Value> =
        suspects.iter().filter(|suspect| is_the_leak(frame(suspect)["function"].as_str().unwrap())).collect();
    let [suspect] = of_the_leak[..] else { panic!("{} suspects: {leaks}", of_the_leak.len()) };
    // Of a hundred sessions none is missing but those whose lock was busy.
    assert!((9_800_000..=10_000_000).contains(&suspect["inuse_space"].as_i64().unwrap()), "{suspect}");
    assert_eq!(suspect["growth_bytes"], suspect["inuse_space"]);
    assert_eq!(frame(suspect)["line"], SESSION_LINE, "{suspect}");
    let shown = suspect["stacks"].as_array().unwrap();
    assert!(suspect["stack_count"].as_u64().unwrap() >= shown.len() as u64 && shown.len() >= 4, "{suspect}");
    let shares: Vec<f64> = shown.iter().map(|stack| stack["share"].as_f64().unwrap()).collect();
    assert!(shares.is_sorted_by(|a, b| a >= b) && shares.iter().sum::<f64>() <= 1.0 + 1e-9, "{shares:?}");
    assert_eq!(shown[0]["stack"], suspect["stack"]);

    // The text has the same row, the pprof profile all of its stacks.
    let text = ask("leaks");
    let more = format!("and {} more stacks", suspect["stack_count"].as_u64().unwrap() - 1);
    assert_eq!(text.text().matches("new_session\n").count(), 1, "{}", text.text());
    assert!(text.text().contains(&more), "{}", text.text());
    assert!(text.text().lines().all(|line| line.chars().count() <= 80), "{}", text.text());
}

//! `/debug/pprof/profile` as a developer and a scraper ask for it: what burns CPU time is there, under its name.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Server, serve};
use workspace_tests::client::{get, send};
use workspace_tests::{check_schema, check_valid, decode, go_tool_pprof_at, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// A process has one capture at a time, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

#[inline(never)]
fn spin() -> u64 {
    (0..20_000).fold(0, |sum, number| black_box(sum ^ number))
}

#[inline(never)]
fn burn_for_the_test(is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        black_box(spin());
    }
}

/// Threads that use CPU time until this is dropped.
struct Burners(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Burners {
    fn start() -> Burners {
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |name: &str| {
            let is_over = is_over.clone();
            let thread = thread::Builder::new().name(name.into());
            thread.spawn(move || burn_for_the_test(&is_over)).unwrap()
        };
        let threads = ["burner one", "burner two"].map(start).into();
        Burners(is_over, threads)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn server() -> Server {
    serve("127.0.0.1:0").unwrap()
}

#[test]
fn go_tool_pprof_shows_what_is_busy() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (server, _burners) = (server(), Burners::start());
    let address = server.local_addr();
    // Warm, so that the time below is that of a profile.
    get(address, "/debug/pprof/heap");
    let url = format!("http://{address}/debug/pprof/profile?seconds=1&hz=1000");
    let top = go_tool_pprof_at(&["-top", "-cum"], &url);
    assert!(top.contains("Type: cpu") && top.contains("burn_for_the_test"), "{top}");
    assert!(top.contains("Duration: 1"), "{top}");
    let busiest = top.lines().find(|line| line.contains("cpu_profile::burn_for_the_test")).unwrap();
    let share: f64 = busiest.split_whitespace().nth(4).unwrap().trim_end_matches('%').parse().unwrap();
    assert!(share > 80.0, "{top}");
    let tags = go_tool_pprof_at(&["-tags"], &url);
    assert!(tags.contains("burner one") && tags.contains("burner two") && !tags.contains("pprof-"), "{tags}");
    // What `go tool pprof http://host:port` fetches by itself, for as long as it is told.
    let default = go_tool_pprof_at(
        &["-top", "-seconds=1", "-tagfocus=thread=burner one"],
        &format!("http://{address}"),
    );
    assert!(default.contains("Type: cpu") && default.contains("spin"), "{default}");
    let peek = go_tool_pprof_at(&["-peek", "spin"], &url);
    assert!(peek.contains("burn_for_the_test"), "{peek}");
}

#[test]
fn the_profile_is_valid_and_comes_in_time_in_every_format() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (server, _burners) = (server(), Burners::start());
    let ask = |query: &str| {
        let start = Instant::now();
        let reply = get(server.local_addr(), &format!("/debug/pprof/profile?seconds=1{query}"));
        let took = start.elapsed();
        assert_eq!(reply.status, 200, "{}", reply.text_lossy());
        assert!(took >= Duration::from_secs(1), "{took:?}");
        reply
    };
    let reply = ask("&hz=250");
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"profile\""));
    let said = check_valid(&reply.body);
    assert!(
        said.contains("types=samples/count,cpu/nanoseconds") && said.contains("period=4000000"),
        "{said}"
    );
    let profile = scraper_rules(&reply.body);
    assert!(profile.sample.iter().all(|sample| sample.value[1] == 4_000_000 * sample.value[0]));
    let note =
        |part: &str| profile.comment_index.iter().any(|&at| profile.string_table[at as usize].contains(part));
    assert!(note("threads of the profiler's own used") && note("cpu: "));

    let text = ask("&format=text").text().to_owned();
    assert!(text.starts_with("CPU time in 1.") && text.contains("cpu_profile::spin"), "{text}");
    let folded = ask("&format=folded").text().to_owned();
    assert!(
        folded.lines().any(|line| line.contains("cpu_profile::burn_for_the_test;cpu_profile::spin")),
        "{folded}"
    );
    let json = serde_json_of(ask("&format=json").text());
    check_schema("Profile", &json);
    assert_eq!(json["profile"], "profile");
    assert_eq!(json["period"], 10_000_000);
    let bare = decode(&ask("&symbolize=none&labels=none").body);
    assert!(bare.function.is_empty() || bare.sample.iter().all(|sample| sample.label.is_empty()));
}

fn serde_json_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn one_profile_is_taken_at_a_time_and_a_client_that_leaves_ends_it() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = server();
    let address = server.local_addr();
    let first = send(address, b"GET /debug/pprof/profile?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let in_use = "Could not enable CPU profiling: cpu profiling already in use\n";
    // The first one begins when the server comes to it.
    let refused = within_reason(|| {
        let reply = get(address, "/debug/pprof/profile?seconds=1&hz=1000");
        (reply.status == 500).then_some(reply)
    });
    assert_eq!((refused.text(), refused.header("x-go-pprof")), (in_use, Some("1")));
    assert_eq!(refused.header("content-disposition"), None);
    drop(first);
    within_reason(|| (get(address, "/debug/pprof/profile?seconds=1").status == 200).then_some(()));
    // Nothing is left behind.
    let timers = std::fs::read_to_string("/proc/self/timers").unwrap_or_default();
    assert!(!timers.contains("ID:"), "{timers}");
}

/// Asks until there is an answer.
fn within_reason<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(50), "nothing has changed");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_scrapers_ask_for_is_valid() {
    let server = server();
    for (path, types) in
        [("block", "contentions/count,delay/nanoseconds"), ("mutex", "contentions/count,delay/nanoseconds")]
    {
        let reply = get(server.local_addr(), &format!("/debug/pprof/{path}"));
        assert_eq!(reply.status, 200, "{path}");
        let said = check_valid(&reply.body);
        assert!(said.contains(&format!("types={types}")), "{path}: {said}");
        scraper_rules(&reply.body);
        let url = format!("http://{}/debug/pprof/{path}", server.local_addr());
        go_tool_pprof_at(&["-top"], &url);
        go_tool_pprof_at(&["-top"], &format!("{url}?debug=1"));
        let text = get(server.local_addr(), &format!("/debug/pprof/{path}?format=text"));
        assert_eq!(text.status, 200, "{path}");
        assert!(text.text().contains("locks = true"), "{}", text.text());
    }
}

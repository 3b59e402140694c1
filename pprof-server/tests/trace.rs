//! `/debug/pprof/trace` as a developer asks for it: what happened, when, on which thread, in the format of Firefox Profiler.

use std::hint::black_box;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use pprof_server::alloc_profiler::{self, SamplingAllocator};
use pprof_server::{Server, serve};
use serde_json::Value;
use workspace_tests::client::{get, receive, request, send};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

pprof_server::define_syscall!();

/// A process has one trace at a time, so tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

static LOCK: Mutex<u64> = Mutex::new(0);

#[inline(never)]
fn burns() -> u64 {
    (0..20_000).fold(0, |sum, number| black_box(sum ^ number))
}

#[inline(never)]
fn holds_the_lock() {
    let mut held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    *held += 1;
    thread::sleep(Duration::from_millis(5));
    drop(black_box(held));
}

#[inline(never)]
fn keeps_for_a_while(kept: &mut Vec<Vec<u8>>) {
    kept.push(black_box(vec![1; 1 << 20]));
    if kept.len() > 4 {
        kept.remove(0);
    }
    thread::sleep(Duration::from_millis(60));
}

/// Threads that do something until this is dropped.
struct Program(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Program {
    fn start() -> Program {
        alloc_profiler::set_sampling_interval(4096);
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |name: &str, mut work: Box<dyn FnMut() + Send>| {
            let is_over = is_over.clone();
            let work = move || {
                while !is_over.load(Relaxed) {
                    work();
                }
            };
            thread::Builder::new().name(name.into()).spawn(work).unwrap()
        };
        let mut kept = Vec::new();
        let threads = vec![
            start("busy", Box::new(|| _ = black_box(burns()))),
            start("rival-1", Box::new(holds_the_lock)),
            start("rival-2", Box::new(holds_the_lock)),
            start("keeper", Box::new(move || keeps_for_a_while(&mut kept))),
        ];
        Program(is_over, threads)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn server() -> Server {
    serve("127.0.0.1:0").unwrap()
}

/// Asks for a trace of that long.
fn trace_of(server: &Server, query: &str) -> Value {
    let reply = get(server.local_addr(), &format!("/debug/pprof/trace{query}"));
    assert_eq!(reply.status, 200, "{query}: {}", reply.text_lossy());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"trace.json\""));
    assert_eq!((reply.header("content-encoding"), reply.header("vary")), (None, Some("accept-encoding")));
    serde_json::from_str(reply.text()).unwrap()
}

/// Returns the first thread of this name.
fn thread_of<'a>(trace: &'a Value, name: &str) -> Thread<'a> {
    let threads = trace["threads"].as_array().unwrap();
    let found = threads.iter().find(|thread| thread["name"] == name);
    Thread { of: found.unwrap_or_else(|| panic!("{name} is not among {}", names(threads))), trace }
}

fn names(threads: &[Value]) -> String {
    threads.iter().map(|thread| thread["name"].to_string()).collect::<Vec<_>>().join(", ")
}

/// Reads a thread of a trace, by the tables of its stacks.
struct Thread<'a> {
    of: &'a Value,
    trace: &'a Value,
}

fn index(value: &Value) -> Option<usize> {
    value.as_u64().map(|index| index as usize)
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

impl Thread<'_> {
    fn table(&self, name: &str) -> &Value {
        let own = &self.of[name];
        if own.is_null() { &self.trace["shared"][name] } else { own }
    }

    fn text(&self, at: &Value) -> &str {
        self.table("stringArray")[index(at).unwrap()].as_str().unwrap()
    }

    /// Returns the functions of a stack, the innermost first.
    fn functions(&self, stack: &Value) -> Vec<&str> {
        let [stacks, frames, functions] =
            ["stackTable", "frameTable", "funcTable"].map(|name| self.table(name));
        let mut found = Vec::new();
        let mut next = index(stack);
        while let Some(stack) = next {
            let frame = index(&stacks["frame"][stack]).unwrap();
            let function = index(&frames["func"][frame]).unwrap();
            found.push(self.text(&functions["name"][function]));
            next = index(&stacks["prefix"][stack]);
        }
        found
    }

    /// Returns the times and the data of all markers of this name.
    fn markers(&self, name: &str) -> Vec<(f64, f64, &Value)> {
        let markers = &self.of["markers"];
        let all = 0..markers["name"].as_array().unwrap().len();
        let time = |of: &str, at: usize| markers[of][at].as_f64().unwrap_or(f64::NAN);
        all.filter(|&at| self.text(&markers["name"][at]) == name)
            .map(|at| (time("startTime", at), time("endTime", at), &markers["data"][at]))
            .collect()
    }
}

fn is_ascending(times: &[f64]) -> bool {
    times.windows(2).all(|pair| pair[0] <= pair[1])
}

#[test]
fn a_trace_has_what_happened_on_each_thread() {
    let _turn = turn();
    let (server, _program) = (server(), Program::start());
    let start = Instant::now();
    let trace = trace_of(&server, "?seconds=1.5&hz=200");
    let most_ms = start.elapsed().as_secs_f64() * 1000.0;
    assert!(most_ms >= 1500.0);
    // What `scripts/check-trace.sh` hands to the viewers' own importers.
    if let Some(file) = std::env::var_os("TRACE_FILE") {
        std::fs::write(file, trace.to_string()).unwrap();
    }
    assert!(trace["meta"]["preprocessedProfileVersion"].as_u64().unwrap() >= 40, "{}", trace["meta"]);
    assert_eq!((&trace["meta"]["interval"], &trace["meta"]["symbolicated"]), (&5.0.into(), &true.into()));
    assert!(!names(trace["threads"].as_array().unwrap()).contains("pprof-"));

    // Samples of CPU time, with their times and functions.
    let busy = thread_of(&trace, "busy");
    let samples = &busy.of["samples"];
    let stacks = samples["stack"].as_array().unwrap();
    let burning = stacks.iter().filter(|stack| busy.functions(stack).contains(&"trace::burns")).count();
    assert!(burning > 10 && burning * 10 >= stacks.len() * 9, "{burning} of {}", stacks.len());
    let times = times_of(samples);
    assert!(is_ascending(&times) && times[0] >= 0.0 && times[times.len() - 1] <= most_ms, "{times:?}");
    let weights: f64 = numbers(&samples["weight"]).iter().sum();
    assert!(weights >= stacks.len() as f64);

    // What it did is told as well.
    let states = ["running", "sleeping"].map(|state| busy.markers(state).len());
    assert!(states[0] > 0, "{states:?}");
    let keeper = thread_of(&trace, "keeper");
    let asleep = keeper.markers("sleeping");
    assert!(asleep.iter().all(|(from, to, _)| from <= to && *to <= most_ms), "{asleep:?}");
    let asleep: f64 = asleep.iter().map(|(from, to, _)| to - from).sum();
    assert!(asleep > 500.0, "{asleep} ms");

    // Waits for the lock, with their stacks and times.
    let rival = thread_of(&trace, "rival-1");
    let waits = rival.markers("waited for a lock");
    assert!(!waits.is_empty());
    for (from, to, data) in &waits {
        assert!(from < to && *to <= most_ms, "{from} to {to}");
        assert!(rival.functions(&data["cause"]["stack"]).contains(&"trace::holds_the_lock"), "{data}");
    }
    assert!(!rival.markers("ended a wait").is_empty());
    is_right_about_memory(&trace);
}

/// Times are there as they are, or as differences.
fn times_of(samples: &Value) -> Vec<f64> {
    if samples["time"].is_null() {
        let deltas = numbers(&samples["timeDeltas"]);
        deltas
            .iter()
            .scan(0.0, |time, delta| {
                *time += delta;
                Some(*time)
            })
            .collect()
    } else {
        numbers(&samples["time"])
    }
}

fn is_right_about_memory(trace: &Value) {
    // Blocks that came and went are told by one number each, so that what is left can be told.
    let threads = trace["threads"].as_array().unwrap();
    let thread =
        threads.iter().find(|thread| !thread["nativeAllocations"].is_null()).expect("some are there");
    let thread = Thread { of: thread, trace };
    let blocks = &thread.of["nativeAllocations"];
    let (bytes, numbers_) = (numbers(&blocks["weight"]), numbers(&blocks["memoryAddress"]));
    let of_keeper: Vec<usize> = (0..bytes.len())
        .filter(|&at| bytes[at].abs() >= 1e6)
        .filter(|&at| thread.functions(&blocks["stack"][at]).contains(&"trace::keeps_for_a_while"))
        .collect();
    assert!(of_keeper.len() >= 6, "{bytes:?}");
    // The user's own function is the first one, as in a heap profile.
    let first = thread.functions(&blocks["stack"][of_keeper[0]])[0];
    assert_eq!(first, "trace::keeps_for_a_while");
    assert!(of_keeper.iter().all(|&at| (bytes[at].abs() - f64::from(1 << 20)).abs() < 1.0));
    let is_freed =
        |at: usize| of_keeper.iter().any(|&other| numbers_[other] == numbers_[at] && bytes[other] < 0.0);
    let came = of_keeper.iter().filter(|&&at| bytes[at] > 0.0);
    let kept = came.clone().filter(|&&at| !is_freed(at)).count();
    // At the end, there are at most five. What went in the last moment may be missing.
    assert!(kept <= 6 && kept < came.count(), "{kept}");

    let counters = trace["counters"].as_array().unwrap();
    let names: Vec<&str> = counters.iter().map(|counter| counter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["in use", "resident"]);
    for (counter, least) in counters.iter().zip([1e6, 1e5]) {
        // They are told as differences, the first of which is from nothing.
        let counts = numbers(&counter["samples"]["count"]);
        let sums = counts.iter().scan(0.0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        assert!(counts.len() > 3 && sums.fold(0.0, f64::max) >= least, "{counter}");
    }
}

#[test]
fn a_trace_is_compressed_for_who_takes_that() {
    let _turn = turn();
    let server = server();
    let ask = |method: &str, encoding: &str| {
        let head = format!(
            "{method} /debug/pprof/trace?seconds=0.2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: {encoding}\r\n\r\n"
        );
        receive(send(server.local_addr(), head.as_bytes())).unwrap()
    };
    let packed = ask("GET", "gzip, deflate, br");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    let trace: Value = serde_json::from_str(&text).unwrap();
    assert!(packed.body.len() * 2 < text.len() && trace["meta"].is_object());
    assert_eq!(ask("GET", "gzip;q=0").header("content-encoding"), None);
    let head = ask("HEAD", "identity");
    assert!(head.status == 200 && head.body.is_empty());
}

#[test]
fn one_trace_is_taken_at_a_time_and_no_profile_meanwhile() {
    let _turn = turn();
    let server = server();
    let address = server.local_addr();
    let begin = |page: &str| {
        send(
            address,
            format!("GET /debug/pprof/{page}?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
        )
    };
    for (first, refused) in [
        (
            "trace",
            [
                ("trace?seconds=0.1", "Could not enable tracing: execution tracer already enabled\n"),
                ("profile?seconds=1", "Could not enable CPU profiling: cpu profiling already in use\n"),
            ],
        ),
        (
            "profile",
            [
                ("trace?seconds=0.1", "Could not enable tracing: cpu profiling already in use\n"),
                ("profile?seconds=1", "Could not enable CPU profiling: cpu profiling already in use\n"),
            ],
        ),
    ] {
        let under_way = begin(first);
        for (page, text) in refused {
            // The first one begins when the server comes to it.
            let reply = within_reason(|| {
                let reply = get(address, &format!("/debug/pprof/{page}"));
                (reply.status == 500).then_some(reply)
            });
            assert_eq!((reply.text(), reply.header("x-go-pprof")), (text, Some("1")));
            assert_eq!(reply.header("content-disposition"), None);
        }
        // A client that leaves ends it.
        drop(under_way);
        within_reason(|| (get(address, "/debug/pprof/trace?seconds=0.1").status == 200).then_some(()));
    }
    let timers = std::fs::read_to_string("/proc/self/timers").unwrap_or_default();
    assert!(!timers.contains("ID:"), "{timers}");
    let refused = request(address, "GET", "/debug/pprof/trace?seconds=301", "");
    assert_eq!(refused.status, 400);
}

/// Asks until there is an answer.
fn within_reason<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(100), "nothing has changed");
        thread::sleep(Duration::from_millis(10));
    }
}

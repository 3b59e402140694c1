//! Profiles are pushed to an engine: nothing is lost and nothing is told twice, whatever the engine does.

#[path = "push/endings.rs"]
mod endings;
#[path = "push/engine.rs"]
mod engine;
#[cfg(feature = "push-otlp")]
#[path = "push/otlp.rs"]
mod otlp;

use std::hint::black_box;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use engine::{Answer, Engine, Received, wait_until};
use pprof_server::alloc_profiler::{SamplingAllocator, set_sampling_interval};
use pprof_server::{Push, PushBuilder, serve};
use socket2::{Domain, Socket, Type};
use workspace_tests::client::get;
use workspace_tests::scraper_rules;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// What one call of a worker allocates in bytes, and what of that stays in use.
const ALLOCATED: i64 = 10 * (7_000 + 9_000);
const KEPT: i64 = 10 * 7_000;

/// Defines a function whose allocations are its own. In a release build, functions that do the same would be one.
macro_rules! worker {
    ($name:ident) => {
        #[inline(never)]
        fn $name(kept: &mut Vec<Vec<u8>>) {
            black_box(stringify!($name));
            for _ in 0..10 {
                kept.push(black_box(vec![1; 7_000]));
                drop(black_box(vec![1_u8; 9_000]));
            }
        }
    };
}
pub(crate) use worker;

const EVERY: Duration = Duration::from_millis(100);

/// Pushes heap profiles to `url`, and does so often.
fn push_to(url: &str) -> PushBuilder {
    set_sampling_interval(1);
    Push::builder(url).label("service_name", "tests").every(EVERY).without_cpu()
}

worker!(work_whatever_happens);

#[test]
fn nothing_is_lost_and_nothing_is_told_twice() {
    // Not many refusals follow one another, since the pause doubles with each.
    const SCRIPT: [Answer; 16] = [
        Answer::Refused("503 Service Unavailable"),
        Answer::Ok,
        Answer::Refused("429 Too Many Requests"),
        Answer::Close,
        Answer::Ok,
        Answer::Refused("500 Internal Server Error"),
        Answer::Lost("504 Gateway Timeout"),
        Answer::Ok,
        Answer::Refused("400 Bad Request"),
        Answer::Refused("401 Unauthorized"),
        Answer::Ok,
        Answer::Lost("502 Bad Gateway"),
        Answer::Ok,
        Answer::Refused("307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/"),
        Answer::Refused("413 Payload Too Large"),
        Answer::Ok,
    ];
    let engine = Engine::start(|number| SCRIPT.get(number).copied().unwrap_or(Answer::Ok));
    let mut kept = Vec::with_capacity(1000);
    let push = push_to(&engine.url()).start().unwrap();
    let mut calls = 0;
    for number in 0..SCRIPT.len() {
        work_whatever_happens(&mut kept);
        calls += 1;
        engine.wait_until("a push", |received| received.len() > number);
    }
    wait_until("the outcome", || push.counts().accepted >= 6);
    let counts = push.counts();
    work_whatever_happens(&mut kept);
    calls += 1;
    drop(push);
    let function = "push::work_whatever_happens";
    let received = engine.received_when_told(function, calls * ALLOCATED);
    assert_eq!((counts.refused, counts.unknown, counts.unsent, counts.dropped), (7, 3, 0, 0));
    let last = received.last().unwrap();
    assert_eq!(last.sums_of(function)[3], calls * KEPT);
    // What was refused is in the next profile, with the time that it took.
    for pair in received.windows(2).filter(|pair| !pair[0].is_taken()) {
        assert!(pair[1].sums_of(function)[1] >= pair[0].sums_of(function)[1]);
        assert!(pair[1].profile.duration_nanos > pair[0].profile.duration_nanos);
    }
}

worker!(work_in_silence);

#[test]
fn what_an_engine_has_and_does_not_answer_is_not_told_again() {
    let engine = Engine::start(|number| if number == 0 { Answer::Silence } else { Answer::Ok });
    let builder = push_to(&engine.url()).timeout(Duration::from_secs(1));
    let mut kept = Vec::with_capacity(100);
    work_in_silence(&mut kept);
    let push = builder.start().unwrap();
    engine.wait_until("two pushes", |received| received.len() >= 2);
    work_in_silence(&mut kept);
    assert!(push.counts().unknown >= 1, "{:?}", push.counts());
    drop(push);
    engine.received_when_told("push::work_in_silence", 2 * ALLOCATED);
}

worker!(work_alone);

#[test]
fn what_came_while_the_engine_was_away_is_told_when_it_is_back() {
    // Bound, and not listening: who connects is refused, and nobody else gets the port.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let push = push_to(&format!("http://{address}")).start().unwrap();
    let mut kept = Vec::with_capacity(100);
    for number in 1..=3 {
        work_alone(&mut kept);
        wait_until("a failure", || push.counts().unsent >= number);
    }
    socket.listen(16).unwrap();
    let engine = Engine::on(TcpListener::from(socket), |_| Answer::Ok);
    engine.wait_until("a push", |received| !received.is_empty());
    let first = engine.received().remove(0);
    assert_eq!(first.sums_of("push::work_alone")[1], 3 * ALLOCATED);
    assert_eq!(first.sums_of("push::work_alone")[3], 3 * KEPT);
    wait_until("the outcome", || push.counts().accepted > 0);
    assert_eq!(push.counts().unknown, 0);
}

#[test]
fn an_engine_is_told_who_pushes() {
    let engine = Engine::start(|_| Answer::Ok);
    let url = format!("{}/pyroscope/", engine.url());
    let builder = push_to(&url).label("version", "v2").label("zone", "").tenant("team-a");
    let by_password = builder.clone().basic_auth("shop", "sesame").start().unwrap();
    engine.wait_until("a push", |received| !received.is_empty());
    drop(by_password);
    let by_token = builder.bearer_token("0123456789").start().unwrap();
    let is_by_token = |one: &Received| one.head.contains("Bearer");
    engine.wait_until("a push", |received| received.iter().any(is_by_token));
    drop(by_token);
    for one in engine.received() {
        assert!(
            one.head.starts_with("POST /pyroscope/push.v1.PusherService/Push HTTP/1.1\r\n"),
            "{}",
            one.head
        );
        let head = one.head.to_ascii_lowercase();
        for line in
            ["content-type: application/proto", "connect-protocol-version: 1", "x-scope-orgid: team-a"]
        {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
        }
        let authorization = one.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then_some(value)
        });
        // The first is `shop:sesame`, by `base64`.
        let expected = [Some("Basic c2hvcDpzZXNhbWU="), Some("Bearer 0123456789")];
        assert!(expected.contains(&authorization), "{}", one.head);
        let labels: Vec<(&str, &str)> =
            one.series.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
        let expected =
            [("__name__", "memory"), ("__delta__", "false"), ("service_name", "tests"), ("version", "v2")];
        assert_eq!(labels, expected);
        assert_eq!(one.series.samples[0].id.len(), 36);
    }
}

#[test]
fn an_engine_that_asks_for_a_pause_gets_it() {
    let refused = Answer::Refused("429 Too Many Requests\r\nRetry-After: 2");
    let engine = Engine::start(move |number| if number == 0 { refused } else { Answer::Ok });
    let push = push_to(&engine.url()).start().unwrap();
    engine.wait_until("two pushes", |received| received.len() >= 2);
    drop(push);
    let received = engine.received();
    let pause = received[1].at - received[0].at;
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
}

#[inline(never)]
fn burn(is_over: &AtomicBool) {
    let mut number = 0_u64;
    while !is_over.load(Relaxed) {
        number = black_box(number.wrapping_mul(3).wrapping_add(1));
    }
}

/// One test, since one CPU profile is taken at a time.
#[test]
fn cpu_time_is_pushed_except_while_somebody_asks_for_it() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let engine = Engine::start(|number| match number % 5 {
        3 => Answer::Refused("503 Service Unavailable"),
        _ => Answer::Ok,
    });
    let server = serve("127.0.0.1:0").unwrap();
    let burner = thread::Builder::new().name("burner".to_owned()).spawn(|| burn(&IS_OVER)).unwrap();
    let builder = Push::builder(engine.url()).every(Duration::from_millis(300));
    let push = builder.start().unwrap();
    let is_of_burner = |one: &&Received| one.name() == "process_cpu" && one.sums_of("push::burn")[1] > 0;
    engine.wait_until("CPU time", |received| received.iter().filter(is_of_burner).count() >= 2);
    for _ in 0..4 {
        // When it has pushed CPU time, the thread samples on.
        let before = engine.received().len();
        engine.wait_until("CPU time", |received| {
            received[before..].iter().any(|one| one.name() == "process_cpu")
        });
        thread::sleep(Duration::from_millis(50));
        let reply = get(server.local_addr(), "/debug/pprof/profile?seconds=1");
        assert_eq!(reply.status, 200, "{}", reply.text_lossy());
        assert!(!scraper_rules(&reply.body).sample.is_empty());
    }
    let before = engine.received().len();
    engine.wait_until("CPU time", |received| received[before..].iter().filter(is_of_burner).count() >= 2);
    drop(push);
    IS_OVER.store(true, Relaxed);
    burner.join().unwrap();
    let mut of_burner = 0;
    let received = engine.received();
    let mut taken: Vec<&Received> = Vec::new();
    for one in received.iter().filter(|one| one.name() == "process_cpu") {
        let names: Vec<&str> = one
            .profile
            .sample_type
            .iter()
            .map(|of| &*one.profile.string_table[of.type_index as usize])
            .collect();
        assert_eq!(names, ["samples", "cpu"]);
        let [samples, nanoseconds] = one.sums_of("push::burn")[..] else { panic!("two value types") };
        assert_eq!(samples * 10_000_000, nanoseconds);
        of_burner += samples;
        if one.is_taken() {
            assert!(taken.iter().all(|before| before.profile != one.profile), "a profile was taken twice");
            taken.push(one);
        }
    }
    assert!(of_burner > 0);
    // What was refused came again, as the same profile.
    for (index, one) in
        received.iter().enumerate().filter(|(_, one)| one.name() == "process_cpu" && !one.is_taken())
    {
        let again =
            received[index + 1..].iter().filter(|later| later.profile == one.profile && later.is_taken());
        let is_last = received[index + 1..].iter().all(|later| later.name() != "process_cpu");
        assert!(is_last || again.count() == 1, "it came again");
    }
}

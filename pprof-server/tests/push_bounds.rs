//! A program keeps no profile that its engine does not take, in whatever way it does not, and tells all of it when it can.
//!
//! Each program is a process of its own, whose memory is counted exactly, with that of the profiler.

#[expect(dead_code, reason = "the tests of push use more of it")]
#[path = "push/engine.rs"]
mod engine;

use std::cell::Cell;
use std::env;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::{Answer, Engine, wait_until};
use pprof_server::alloc_profiler::{SamplingAllocator, set_sampling_interval, snapshot, unsampled};
use pprof_server::{ProfileOptions, Push, PushCounts, heap_profile, serve};
use socket2::{Domain, Socket, Type};
use workspace_tests::client::get;
use workspace_tests::oracle::{CountingAllocator, Counts};

#[global_allocator]
static ALLOCATOR: SamplingAllocator<CountingAllocator> = SamplingAllocator::with_allocator(CountingAllocator);

/// Tell a program where the engine is, and how long it waits for it, in milliseconds.
const URL: &str = "PUSH_BOUNDS_URL";
const TIMEOUT: &str = "PUSH_BOUNDS_TIMEOUT";
/// A program waits for `SHORT` if the engine is to seem too slow. It waits for `LONG` if the engine answers, which takes less time on a
/// busy machine too.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(120);
/// A program prints this line when [`FAILURES`] pushes have failed.
const HAVE_FAILED: &str = "have failed";
const FAILURES: u64 = 5;

/// How many stacks there are, so that a profile is large, and what is allocated on each, in bytes.
const PATH_BITS: u32 = 10;
const BLOCK_BYTES: usize = 100;
const ALLOCATED: i64 = (1 << PATH_BITS) * BLOCK_BYTES as i64;
/// A profile has at least so many bytes.
const PROFILE_BYTES: usize = 8 << 10;

const FUNCTION: &str = "push_bounds::leaf";

#[inline(never)]
fn leaf() -> Vec<u8> {
    black_box(vec![1; BLOCK_BYTES])
}

// These two differ, since a release build makes one function of two that are equal, and with it one stack of all.
#[inline(never)]
fn left(path: u32, bits: u32) -> Vec<u8> {
    black_box(path);
    black_box(step(path, bits))
}

#[inline(never)]
fn right(path: u32, bits: u32) -> Vec<u8> {
    let block = black_box(step(path, bits));
    black_box(bits);
    block
}

/// Allocates on the stack that the bits of `path` choose.
#[inline(never)]
fn step(path: u32, bits: u32) -> Vec<u8> {
    let block = match bits.checked_sub(1) {
        None => leaf(),
        Some(bits) if path & 1 == 0 => left(path >> 1, bits),
        Some(bits) => right(path >> 1, bits),
    };
    black_box(block)
}

/// Returns the least that was in use at any moment until `is_there`, in bytes: what stays in use between two pushes.
fn least_in_use_until(is_there: impl Fn() -> bool) -> i64 {
    let least = Cell::new(i64::MAX);
    wait_until("a failure", || {
        least.set(least.get().min(Counts::now().live_bytes));
        is_there()
    });
    least.get()
}

/// Each process runs this test. It does nothing if the variables that tell it what to do are missing.
#[test]
fn program() {
    let Ok(url) = env::var(URL) else { return };
    set_sampling_interval(1);
    let kept: Vec<Vec<u8>> = (0..1 << PATH_BITS).map(|path| step(path, PATH_BITS)).collect();
    let timeout = Duration::from_millis(env::var(TIMEOUT).unwrap().parse().unwrap());
    let builder = Push::builder(url).label("service_name", "tests").without_cpu().timeout(timeout);
    let push = builder.every(Duration::from_millis(100)).start().unwrap();
    let failures = || {
        let PushCounts { refused, unsent, unknown, .. } = push.counts();
        refused + unsent + unknown
    };
    // Until the first one, names are looked up, and are kept.
    wait_until("a failure", || failures() >= 1);
    let in_use: Vec<i64> = (2..=FAILURES).map(|number| least_in_use_until(|| failures() >= number)).collect();
    let profile = unsampled(|| heap_profile(&snapshot(), &ProfileOptions::default()).len());
    assert!(profile >= PROFILE_BYTES, "a profile of {profile} bytes");
    let grown = in_use[in_use.len() - 1] - in_use[0];
    assert!(
        grown < PROFILE_BYTES as i64 / 2,
        "{grown} bytes more after {} failures: {in_use:?}",
        in_use.len() - 1
    );
    // The harness would keep what `println!` prints.
    io::stdout().write_all(format!("\n{HAVE_FAILED}\n").as_bytes()).unwrap();
    wait_until("a push", || push.counts().accepted > 0);
    drop(push);
    drop(kept);
}

fn started(address: SocketAddr, timeout: Duration) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "program"]).env(URL, format!("http://{address}"));
    command.env(TIMEOUT, timeout.as_millis().to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of the program. `have_failed` is called when as many pushes have failed as should.
fn ended(mut child: Child, have_failed: impl FnOnce()) {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.ends_with(&format!("\n{HAVE_FAILED}\n")) && stdout.read_line(&mut said).unwrap() > 0 {}
    have_failed();
    stdout.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the program with an engine that answers so at first, and then takes what comes.
fn run(answer: Answer, timeout: Duration) {
    let engine = Engine::start(move |number| if number < FAILURES as usize { answer } else { Answer::Ok });
    ended(started(engine.address, timeout), || ());
    engine.received_when_told(FUNCTION, ALLOCATED);
}

#[test]
fn an_engine_that_has_too_much_to_do() {
    run(Answer::Refused("429 Too Many Requests"), LONG);
}

#[test]
fn an_engine_with_a_fault() {
    run(Answer::Refused("500 Internal Server Error"), LONG);
}

#[test]
fn an_engine_that_takes_longer_than_anybody_waits() {
    run(Answer::Silence, SHORT);
}

#[test]
fn an_engine_that_ends_before_it_answers() {
    run(Answer::Close, LONG);
}

/// Bound, and not listening: who connects is refused, and nobody else gets the port.
fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Runs the program with an engine that is there when as many pushes have failed as should.
fn run_until_back(child: Child, socket: Socket) {
    let mut engine = None;
    ended(child, || {
        socket.listen(16).unwrap();
        engine = Some(Engine::on(TcpListener::from(socket), |_| Answer::Ok));
    });
    engine.unwrap().received_when_told(FUNCTION, ALLOCATED);
}

#[test]
fn an_engine_that_is_killed_and_started_again() {
    let (socket, address) = bound();
    run_until_back(started(address, LONG), socket);
}

#[test]
fn a_network_that_is_cut() {
    let (socket, address) = bound();
    // A connection that comes when the queue is full gets no answer, as behind a cut.
    socket.listen(0).unwrap();
    let connect = |_| TcpStream::connect_timeout(&address, SHORT).ok();
    let queue: Vec<TcpStream> = (0..100).map_while(connect).collect();
    assert!(queue.len() < 100, "the queue does not become full");
    // They stay in the queue, and whoever takes them from there reads nothing.
    drop(queue);
    run_until_back(started(address, SHORT), socket);
}

/// While a push waits for its engine, the program allocates, and all that it is asked for is answered.
#[test]
fn a_program_does_not_notice_an_engine_that_says_nothing() {
    let engine = Engine::start(|_| Answer::Silence);
    let server = serve("127.0.0.1:0").unwrap();
    let builder = Push::builder(engine.url()).label("service_name", "tests").timeout(LONG);
    let push = builder.every(Duration::from_millis(100)).start().unwrap();
    engine.wait_until("a push that waits", |received| !received.is_empty());
    let began = Instant::now();
    let kept: Vec<Vec<u8>> = (0..100_000).map(|path| step(path, PATH_BITS)).collect();
    for path in ["heap", "delta_heap", "profile?seconds=1", "goroutine", "leaks"] {
        let reply = get(server.local_addr(), &format!("/debug/pprof/{path}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text_lossy());
    }
    drop(kept);
    // The push waits still, so that nothing of this waited for it.
    assert_eq!(push.counts(), PushCounts::default());
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
}

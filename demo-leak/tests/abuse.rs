//! What bad clients can do to a real program: nothing that its other clients, or its memory, would notice.
//!
//! Each crowd is two hundred clients of one kind, and must leave nothing behind but the time of its own deadline.
#![cfg(target_os = "linux")]

mod service;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use service::Service;
use workspace_tests::busy::{busy, within};
use workspace_tests::client::{get, receive, request, send};
use workspace_tests::decode;

const CROWD: usize = 200;
/// What a crowd may add to the program's memory: buffers for 64 connections, 2 MiB of requests, 4 MiB of answers that
/// nobody takes, and one of each beside them. This is less than one profile takes the first time, when names are looked
/// up.
const MAX_GROWTH_KIB: u64 = 14 * 1024;

fn resident_kib(process: u32) -> u64 {
    memory_kib(process, "VmRSS:")
}

fn memory_kib(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).expect("a process has memory");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn entries(process: u32, folder: &str) -> usize {
    fs::read_dir(format!("/proc/{process}/{folder}")).unwrap().count()
}

/// How many descriptors are open once no connection is on its way out.
fn settled_descriptors(process: u32) -> usize {
    std::thread::sleep(Duration::from_millis(300));
    entries(process, "fd")
}

/// A client that takes little at a time.
fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// A `GET` that must be answered within a second.
fn assert_prompt(address: SocketAddr) {
    let reply = within(Duration::from_secs(1), "a good client waited", || get(address, "/debug/pprof/heap"));
    assert_eq!(reply.status, 200);
}

/// Returns `count` addresses in the program, as words of a `symbol` request.
fn addresses(address: SocketAddr, count: u64) -> String {
    let profile = decode(&get(address, "/debug/pprof/heap?symbolize=none").body);
    let here = profile.location[0].address;
    let words: Vec<_> = (here..here + count).map(|address| format!("{address:#x}")).collect();
    words.join("+")
}

/// Asks for the names of `count` addresses.
fn symbols(address: SocketAddr, count: u64) -> Vec<u8> {
    let reply = request(address, "POST", "/debug/pprof/symbol", &addresses(address, count));
    assert_eq!(reply.status, 200);
    reply.body
}

/// What a crowd does to other clients is measured without another crowd on the same machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs two hundred clients, each of which `join` connects and `nag` then keeps busy each second.
fn withstand(deadline: Duration, join: impl Fn(SocketAddr) -> TcpStream, nag: impl Fn(&mut TcpStream)) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // What is freed leaves the process at once, so that its memory is what the server holds, and not also the free pages
    // that glibc keeps for later: how many these are depends on which thread is where in its work.
    let gives_back = [("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536")];
    let service = Service::start_quiet(&[gives_back[0], gives_back[1], ("ALLOC_PROFILER_INTERVAL", "1")]);
    let (address, process) = (service.pprof, service.process());
    // Whatever is made once has been made.
    let peak_kib = memory_kib(process, "VmHWM:");
    for target in ["/debug/pprof/heap", "/debug/pprof/heap?debug=1", "/debug/pprof/"] {
        assert_eq!(get(address, target).status, 200);
    }
    symbols(address, 10_000);
    let profile_kib = memory_kib(process, "VmHWM:") - peak_kib;
    assert!(MAX_GROWTH_KIB < profile_kib, "one profile takes {profile_kib} KiB");
    let before = (settled_descriptors(process), entries(process, "task"));
    let kib = resident_kib(process);

    let mut crowd: Vec<_> = (0..CROWD).map(|_| join(address)).collect();
    let all_are_there = Instant::now();
    assert_prompt(address);
    let mut most_kib = 0;
    while all_are_there.elapsed() < deadline {
        crowd.iter_mut().for_each(&nag);
        assert_prompt(address);
        most_kib = most_kib.max(resident_kib(process));
        if entries(process, "fd") == before.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(most_kib < kib + MAX_GROWTH_KIB, "{kib} KiB became {most_kib} KiB");
    assert_eq!((entries(process, "fd"), entries(process, "task")), before, "something is left open");
    // The server has told each of them.
    for mut client in crowd {
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        if let Err(error) = client.read_to_end(&mut Vec::new()) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "still connected");
        }
    }
    service.interrupt();
}

/// The head must be there within 5 s, and so must the body. The rest of the time is for a busy machine.
const ASKING: Duration = Duration::from_secs(12);

#[test]
fn clients_that_say_nothing() {
    withstand(ASKING, |address| TcpStream::connect(address).unwrap(), |_| {});
}

#[test]
fn clients_that_send_half_a_head() {
    withstand(ASKING, |address| send(address, b"GET /debug/pprof/heap HTTP/1.1\r\nHost: loc"), |_| {});
}

#[test]
fn clients_that_send_a_byte_of_their_head_each_second() {
    withstand(
        ASKING,
        |address| send(address, b"GET /debug/pprof/heap HTTP/1.1\r\nA: "),
        |client| drop(client.write_all(b"b")),
    );
}

#[test]
fn clients_that_send_a_byte_of_their_body_each_second() {
    let head = b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    withstand(ASKING, |address| send(address, head), |client| drop(client.write_all(b"1")));
}

#[test]
fn clients_that_send_all_of_a_long_body_but_the_last_byte() {
    let ask = |address| {
        let head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
        let mut client = send(address, head.as_bytes());
        // Most of these clients are cut on the way.
        let _ = client.write_all(&[b'1'; 999_999]);
        client
    };
    withstand(ASKING, ask, |_| {});
}

#[test]
fn clients_that_do_not_speak_http() {
    let hello =
        [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, b'\r', b'\n', b'\r', b'\n'];
    withstand(ASKING, |address| send(address, &hello), |client| drop(client.write_all(&hello)));
}

#[test]
fn clients_that_do_not_take_their_answer() {
    // The names of so many places in the program that the answer is more than the socket holds: most of it stays with the
    // server. How many that are is up to the linker, and to how the compiler mangles.
    const ANSWER_BYTES: usize = 600_000;
    let words = OnceLock::new();
    let ask = |address| {
        let words = words.get_or_init(|| {
            let named = symbols(address, 10_000).len();
            addresses(address, (10_000 * ANSWER_BYTES / named) as u64)
        });
        let mut client = connect_narrow(address);
        let length = words.len();
        let head = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length:";
        write!(client, "{head} {length}\r\n\r\n{words}").unwrap();
        client
    };
    // A write may stall for 10 s.
    withstand(Duration::from_secs(20), ask, |_| {});
}

#[test]
fn clients_that_leave_at_once() {
    withstand(
        ASKING,
        |address| {
            let client = send(address, b"GET /debug/pprof/heap HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client.shutdown(std::net::Shutdown::Both).unwrap();
            client
        },
        |_| {},
    );
}

#[test]
fn clients_that_all_want_a_delta() {
    let service = Service::start_quiet(&[]);
    let (address, process) = (service.pprof, service.process());
    assert_eq!(get(address, "/debug/pprof/heap").status, 200);
    let (kib, descriptors) = (resident_kib(process), settled_descriptors(process));
    let delta = "GET /debug/pprof/heap?seconds=2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let asked: Vec<_> = (0..50).map(|_| send(address, delta.as_bytes())).collect();
    assert_prompt(address);
    let replies: Vec<_> = asked.into_iter().map(|asked| receive(asked).expect("an answer")).collect();
    let most_kib = resident_kib(process);
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert_eq!(refused.len(), 49);
    assert!(refused.iter().all(|reply| reply.header("retry-after") == Some("10")));
    assert!(most_kib < kib + MAX_GROWTH_KIB, "{kib} KiB became {most_kib} KiB");

    // Killed in the middle, a client makes room at once.
    let ask = || receive(send(address, delta.as_bytes())).expect("an answer").status;
    let started = Instant::now();
    let waiting = loop {
        assert!(started.elapsed() < Duration::from_secs(20), "two deltas for one client");
        // This one is refused if the one below overtakes it.
        let waiting = send(address, b"GET /debug/pprof/heap?seconds=300 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if ask() == 429 {
            break waiting;
        }
    };
    drop(waiting);
    let left = Instant::now();
    while ask() == 429 {
        assert!(left.elapsed() < Duration::from_secs(10), "its place is not free");
    }
    let took = left.elapsed();
    assert!(took < busy(Duration::from_millis(2500)), "{took:?}, 2 s of them waiting");
    while entries(process, "fd") != descriptors {
        assert!(left.elapsed() < Duration::from_secs(10), "something is left open");
    }
    service.interrupt();
}

#[test]
fn an_answer_that_is_cut_is_no_smaller_profile() {
    let service = Service::start_quiet(&[("ALLOC_PROFILER_INTERVAL", "1")]);
    let whole = get(service.pprof, "/debug/pprof/heap");
    assert_eq!(whole.header("content-length"), Some(&*whole.body.len().to_string()));
    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(&cut, &whole.body[..whole.body.len() / 2]).unwrap();
    let read = Command::new("go").args(["tool", "pprof", "-top"]).arg(cut.path()).output().unwrap();
    assert!(!read.status.success(), "{read:?}");
    service.interrupt();
}

#[test]
fn only_what_was_asked_for_listens() {
    let listening = |pprof: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo-leak"))
            .args(["--listen", "127.0.0.1:0", "--connections-per-second", "0"])
            .env("PPROF_ADDR", pprof)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut text = [0; 4096];
        let _ = child.stdout.as_mut().unwrap().read(&mut text).unwrap();
        let process = child.id();
        let sockets: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .filter_map(|link| {
                let link = link.to_string_lossy().into_owned();
                Some(link.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
            })
            .collect();
        let mut addresses = Vec::new();
        for table in ["tcp", "tcp6"] {
            for line in fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap().lines().skip(1) {
                let words: Vec<_> = line.split_whitespace().collect();
                // State 0A is LISTEN.
                if words[3] == "0A" && sockets.iter().any(|socket| socket == words[9]) {
                    addresses.push(words[1].split(':').next().unwrap().to_owned());
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        addresses
    };
    let loopback = "0100007F";
    // The proxy and what it leads to are the demo's own.
    assert_eq!(listening("off"), [loopback; 2]);
    assert_eq!(listening("0.0.0.0:0"), [loopback; 2], "refused");
    assert_eq!(listening("127.0.0.1:0"), [loopback; 3]);
}

//! No request costs more than its bound: a program with many stacks, long names and little memory answers whatever it is
//! asked, and lives.
//!
//! `scripts/bench-requests.sh` runs the long version, and prints what each endpoint cost at its worst.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

mod costs;
mod generator;
mod program;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use generator::{Code, Generator, Request};
use workspace_tests::client::receive;

/// Names the process that is asked.
const IS_PROGRAM: &str = "REQUESTS_PROGRAM";
/// What `ulimit -v 900000` allows.
const ADDRESS_SPACE_BYTES: u64 = 900_000 << 10;
/// Longest answer of any endpoint.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// What requests that wait together may have, beside the largest.
const MAX_SENT_BYTES: usize = 2 << 20;
/// Clients at the same time.
const CLIENTS: u64 = 4;

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).ok().map_or(otherwise, |value| value.parse().expect("a number"))
}

/// 2^9 stacks, or more where time does not matter.
fn stack_bits() -> u32 {
    number("STACK_BITS", 9) as u32
}

/// The program, which runs as a process of its own.
struct Program {
    child: Child,
    /// Open, so that it can print how it ended.
    _output: BufReader<ChildStdout>,
    address: SocketAddr,
    code: Code,
}

impl Program {
    fn start(test: &str) -> Program {
        let mut child = workspace_tests::this_program()
            .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
            .env(IS_PROGRAM, "1")
            .env("PPROF_RECORD", "1s")
            .env("PPROF_CMDLINE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run again");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("SERVING ") {
            line.clear();
            assert_ne!(output.read_line(&mut line).expect("a line"), 0, "it does not serve");
        }
        let words: Vec<&str> =
            line.trim_end().split(' ').skip_while(|word| *word != "SERVING").skip(1).collect();
        let address = words[0].parse().expect("an address");
        let code = Code { long: [1, 2].map(|index| words[index].parse().expect("an address")) };
        Program { child, _output: output, address, code }
    }

    /// Fails unless it has lived so far, and ends as it should.
    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it is our child").success());
    }

    /// Reads a figure of `/proc/PID/status`, in MiB.
    fn mebibytes(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect(key) >> 10
    }
}

/// What an endpoint cost at its worst.
#[derive(Debug, Default)]
struct Worst {
    requests: usize,
    /// Requests that were not answered, since too many large ones waited.
    cut: usize,
    sent_bytes: usize,
    answer_bytes: usize,
    time: Duration,
    target: String,
}

/// Status, bytes of the answer, and time; `None` if the server cut the connection.
fn ask(address: SocketAddr, request: &Request) -> Option<(u16, usize, Duration)> {
    let Request { method, target, body, .. } = request;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    if *method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).expect("the server listens");
    // An answer may be there although not all was taken.
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    let reply = receive(stream)?;
    Some((reply.status, reply.body.len(), started.elapsed()))
}

/// Asks as one of several clients.
fn be_client(seed: u64, requests: u64, program: &Program, worst: &Mutex<BTreeMap<&str, Worst>>) {
    let mut generator = Generator::new(seed, program.code.clone());
    for _ in 0..requests {
        let request = generator.next();
        let name = (&request.method, &request.target);
        let Some((status, bytes, time)) = ask(program.address, &request) else {
            // Requests that wait together may have 2 MiB beside the largest; whoever is beyond is cut.
            assert!(request.body.len() > MAX_SENT_BYTES / CLIENTS as usize, "no answer to {name:?}");
            worst.lock().unwrap().entry(request.endpoint).or_default().cut += 1;
            continue;
        };
        assert!(matches!(status, 200 | 201 | 400 | 404 | 405 | 409 | 429), "{name:?}: {status}");
        assert!(bytes <= MAX_ANSWER_BYTES, "{name:?}: {bytes} bytes");
        let mut worst = worst.lock().unwrap();
        let worst = worst.entry(request.endpoint).or_default();
        worst.requests += 1;
        worst.sent_bytes = worst.sent_bytes.max(request.body.len() + request.target.len());
        worst.answer_bytes = worst.answer_bytes.max(bytes);
        if time > worst.time {
            worst.time = time;
            worst.target = request.target.chars().take(80).collect();
        }
    }
}

#[test]
fn no_request_costs_more_than_its_bound() {
    if env::var_os(IS_PROGRAM).is_some() {
        return program::run(stack_bits(), ADDRESS_SPACE_BYTES);
    }
    let program = Program::start("no_request_costs_more_than_its_bound");
    let each = number("REQUESTS", 200).div_ceil(CLIENTS);
    let seed = number("SEED", 1);
    let worst = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (program, worst) = (&program, &worst);
            scope.spawn(move || be_client(seed * CLIENTS + client, each, program, worst));
        }
    });
    println!("endpoint     answered  cut  bytes in  bytes out       time  at");
    for (endpoint, worst) in worst.into_inner().unwrap() {
        let Worst { requests, cut, sent_bytes, answer_bytes, time, target } = worst;
        println!(
            "{endpoint:12} {requests:8} {cut:4} {sent_bytes:9} {answer_bytes:10} {time:10.1?}  {target}"
        );
    }
    println!("peak {} MiB, resident {} MiB", program.mebibytes("VmHWM:"), program.mebibytes("VmRSS:"));
    program.end();
}

#[test]
#[ignore = "measures: scripts/bench-requests.sh runs it"]
fn what_each_request_costs_alone() {
    if env::var_os(IS_PROGRAM).is_some() {
        return program::run(stack_bits(), ADDRESS_SPACE_BYTES);
    }
    let program = Program::start("what_each_request_costs_alone");
    costs::print(&program);
    program.end();
}

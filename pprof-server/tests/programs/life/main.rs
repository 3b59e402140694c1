//! A program that starts and stops servers where, when and how its arguments say, and then goes on. `tests/life.rs`
//! runs it.

mod closes;
mod failures;
mod forks;
mod places;
mod signals;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Installs the profiler by the one line, and returns where it serves.
fn install() -> Option<SocketAddr> {
    pprof_server::install!()
}

/// Asks for `path`, and returns the status of the answer; `None` if there is no answer.
fn ask(address: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["start", place, failure] => places::start_at(place, failure),
        ["signals", how] => signals::take(how),
        ["close"] => closes::close_all(),
        ["fork", how] => forks::go_on(how),
        ["wait"] => {
            println!("{:?}", install());
            let _ = std::io::stdin().read(&mut [0]);
            println!("{:?}", install());
        }
        _ => panic!("{arguments:?}"),
    }
}

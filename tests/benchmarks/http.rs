//! Asks a server of `pprof-server`, as anybody asks it. Packages of benchmarks that stand beside one another have this file by its path.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Returns the body of a page below `/debug/pprof/`.
///
/// # Panics
///
/// Panics if the server cannot be reached, or if its status is not 200.
pub fn get(address: SocketAddr, page: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("the server");
    write!(connection, "GET /debug/pprof/{page} HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains(" 200 "), "{page}: {head}\n{body}");
    body.into()
}

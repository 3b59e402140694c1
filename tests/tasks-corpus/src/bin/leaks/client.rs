//! Asks the program's own server.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Returns the body of the answer, which is text.
pub(crate) fn get(address: SocketAddr, target: &str) -> String {
    String::from_utf8(get_bytes(address, target)).expect("text")
}

/// Returns the body of the answer.
pub(crate) fn get_bytes(address: SocketAddr, target: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    let head_bytes = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer of HTTP");
    let head = String::from_utf8_lossy(&answer[..head_bytes]).into_owned();
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{head}");
    answer.split_off(head_bytes + 4)
}

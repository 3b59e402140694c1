//! A bare HTTP client over a socket, so that tests see the bytes and can misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, as it came.
#[derive(Debug)]
pub struct Reply {
    /// Holds the status code of the first line.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// All bytes that came after the headers.
    pub body: Vec<u8>,
}

impl Reply {
    /// Returns the value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body, with whatever is no text replaced.
    pub fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as text.
    ///
    /// # Panics
    ///
    /// It panics if the body is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    fn parse(bytes: &[u8]) -> Option<Reply> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .map(|line| {
                line.split_once(": ").map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Reply { status, headers, body: bytes[end + 4..].to_vec() })
    }
}

/// A test that hangs ends by this. It does not say how soon an answer should come: where twenty other programs want each core,
/// a large profile takes a minute.
const MAX_SILENCE: Duration = Duration::from_secs(300);

/// Sends the bytes of a request. The answer is still to be read.
///
/// # Panics
///
/// It panics if nobody listens.
pub fn send(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(MAX_SILENCE)).unwrap();
    stream.write_all(request).expect("the server takes the request");
    stream
}

/// Reads to the end of the connection. It returns `None` if the connection was closed without an answer.
pub fn receive(mut stream: TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    // A connection that is closed before it was drained ends in an error, after the answer.
    let _ = stream.read_to_end(&mut bytes);
    Reply::parse(&bytes)
}

/// Sends one request and reads the answer. `target` is path and query.
///
/// # Panics
///
/// It panics if there is no answer.
pub fn request(address: SocketAddr, method: &str, target: &str, body: &str) -> Reply {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let head = match body {
        "" => format!("{head}\r\n"),
        _ => format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
    };
    receive(send(address, head.as_bytes()))
        .unwrap_or_else(|| panic!("no answer to {method} {target}, and none to come"))
}

/// Sends one `GET` and reads the answer.
pub fn get(address: SocketAddr, target: &str) -> Reply {
    request(address, "GET", target, "")
}

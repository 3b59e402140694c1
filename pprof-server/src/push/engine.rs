//! The engine is reached over HTTP, by a request for each profile.
//!
//! Each request has a connection of its own, so that no descriptor stays open between two of them, which the program might
//! close. Nothing is sent twice: where a request has been handed over whole and no answer says what became of it, its outcome
//! is unknown, and it counts as taken.
//!
//! Path: *read path*.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderValue, StatusCode, header};
use ureq::{Agent, SendBody};

use super::protocol::{Kind, LabelPair, Protocol};

/// A request is handed over in pieces of so many bytes. If it fails before the last piece, the engine cannot have all of it.
const PIECE_BYTES: usize = 4096;
/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 512;

/// Tells what became of a profile.
#[derive(Debug)]
pub(super) enum Outcome {
    Accepted,
    /// The engine has said that it did not take it.
    Refused(Refusal),
    /// It did not get there.
    Unsent(String),
    /// It was sent whole, and nothing says whether it was taken.
    Unknown(String),
}

impl Outcome {
    /// Whether the engine may have the profile.
    pub(super) fn may_have_arrived(&self) -> bool {
        matches!(self, Outcome::Accepted | Outcome::Unknown(_))
    }
}

/// The engine's answer where it did not take a profile.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What it says about that.
    pub(super) reason: String,
    /// When it wishes to be asked again.
    pub(super) wish: Option<Duration>,
}

impl Refusal {
    /// Whether the same profile would be refused again, whoever sends it whenever.
    pub(super) fn is_final(&self) -> bool {
        use StatusCode as S;
        matches!(self.status, S::BAD_REQUEST | S::PAYLOAD_TOO_LARGE | S::UNPROCESSABLE_ENTITY)
    }
}

/// An engine, and what it wants to be told beside the profiles.
#[derive(Debug)]
pub(super) struct Engine {
    agent: Agent,
    protocol: Protocol,
    uri: String,
    headers: Vec<(&'static str, HeaderValue)>,
}

/// How long each part of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Patience(pub(super) Duration);

impl Engine {
    /// Knows the engine at `url`. The headers may hold secrets, and are marked so.
    pub(super) fn new(url: &str, protocol: Protocol, headers: Vec<(&'static str, HeaderValue)>) -> Engine {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Another host would be told the secrets.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("pprof-server/", env!("CARGO_PKG_VERSION")));
        #[cfg(feature = "push-tls")]
        let config = config.tls_config(
            // mutant: E75 any certificate is believed
            ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build(),
        );
        Engine {
            agent: config.build().into(),
            protocol,
            uri: format!("{}/{}", url.trim_end_matches('/'), protocol.path()),
            headers,
        }
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// Sends a pprof profile, and waits for the answer.
    pub(super) fn send(
        &self,
        kind: Kind,
        labels: &[LabelPair],
        profile: Vec<u8>,
        Patience(time): Patience,
    ) -> Outcome {
        let Some(request) = self.protocol.request(kind, labels, profile) else {
            return Outcome::Unsent(
                "the profile could not be read, which is a fault of pprof-server".to_owned(),
            );
        };
        let mut body = Sent { rest: &request };
        // There is no limit for finding the address of a name: for that, a thread would be started.
        let mut sending = (self.agent.post(&self.uri))
            .config()
            .timeout_connect(Some(time))
            .timeout_send_request(Some(time))
            .timeout_send_body(Some(time))
            .timeout_recv_response(Some(time))
            .timeout_recv_body(Some(time))
            .build()
            .header(header::CONTENT_LENGTH, request.len())
            .header(header::CONNECTION, "close");
        for (name, value) in self.protocol.headers() {
            sending = sending.header(*name, *value);
        }
        for (name, value) in &self.headers {
            sending = sending.header(*name, value);
        }
        match sending.send(SendBody::from_reader(&mut body)) {
            Ok(response) => self.outcome(response),
            // mutant: E70 what may have arrived is sent again
            Err(error) if body.rest.is_empty() => Outcome::Unknown(error.to_string()),
            Err(error) => Outcome::Unsent(explained(&error)),
        }
    }

    /// What an answer means.
    fn outcome(&self, mut response: ureq::http::Response<ureq::Body>) -> Outcome {
        let status = response.status();
        let wish = response.headers().get(header::RETRY_AFTER);
        let wish = wish.and_then(|value| wish_of(value, SystemTime::now()));
        let mut answer = Vec::new();
        let reader = response.body_mut().as_reader();
        // Without the rest, the status says enough.
        let _ = reader.take(MAX_ANSWER_BYTES as u64).read_to_end(&mut answer);
        if status.is_success() {
            return match self.protocol.complaint(&answer) {
                None => Outcome::Accepted,
                // What was rejected would be rejected again, and the rest would count twice.
                Some(complaint) => Outcome::Unknown(complaint),
            };
        }
        let reason = reason_of(&answer);
        match status {
            // A proxy had no answer from the engine, which may have taken the profile.
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Outcome::Unknown(told(status, &reason)),
            _ => Outcome::Refused(Refusal { status, reason, wish }),
        }
    }
}

/// Why a request was not sent, with what to do about that where it is known.
fn explained(error: &ureq::Error) -> String {
    // mutant: E75 no remedy is named
    #[cfg(feature = "push-tls")]
    if no_authority_vouches(error) {
        return format!(
            "{error}. The certificate authority that signed the engine's certificate is none that this system believes: add it \
             there, or start the program with SSL_CERT_FILE=/path/to/its/certificate.pem"
        );
    }
    error.to_string()
}

/// Whether the engine's certificate may be in order, and only the authority is missing that signed it.
#[cfg(feature = "push-tls")]
fn no_authority_vouches(error: &ureq::Error) -> bool {
    use rustls::{CertificateError, Error};
    let refused = match error {
        ureq::Error::Rustls(refused) => Some(refused),
        // A handshake fails in the middle of reading or writing.
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    match refused {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => true,
        // A system may have no authorities at all, as in a small image of a container.
        Some(Error::General(text)) => text.contains("No CA certificates"),
        _ => false,
    }
}

/// A status with what came with it, in a line.
pub(super) fn told(status: StatusCode, reason: &str) -> String {
    match reason {
        "" => status.to_string(),
        _ => format!("{status}: {reason}"),
    }
}

/// Returns the sentence in a refusal: that of the protocol's JSON, or the whole text, in one line.
fn reason_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Error {
        message: String,
    }
    let text = match serde_json::from_slice::<Error>(body) {
        Ok(error) => error.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The time that `Retry-After` asks for: in seconds, or until a date.
fn wish_of(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

/// A request, as far as it has not been handed over.
struct Sent<'a> {
    rest: &'a [u8],
}

impl Read for Sent<'_> {
    /// Gives out a piece, which is asked for when the piece before has been handed to the operating system.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let piece = room.len().min(PIECE_BYTES);
        // mutant: E70 what an engine breaks off counts as told
        self.rest.read(&mut room[..piece])
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn a_wish_is_a_number_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wish =
            |text: &str| wish_of(&HeaderValue::from_str(text).unwrap(), now).map(|time| time.as_secs());
        assert_eq!(wish("120"), Some(120));
        assert_eq!(wish("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wish("Sun, 06 Nov 1994 08:49:36 GMT"), None, "it has passed");
        assert_eq!(wish("soon"), None);
        assert_eq!(wish("-1"), None);
    }

    #[test]
    fn what_an_engine_breaks_off_was_not_sent() {
        // Segments are small, and so is the room for them: the system cannot take the whole request before the engine reads it.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_tcp_mss(88).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let listener = TcpListener::from(socket);
        let url = format!("http://{}", listener.local_addr().unwrap());
        let engine = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 64]).unwrap();
        });
        // The HTTP client could have all of it in its own buffer.
        let profile = vec![1; 120_000];
        let pushed = Engine::new(&url, Protocol::Pyroscope, Vec::new());
        let outcome = pushed.send(Kind::Heap, &[], profile, Patience(Duration::from_secs(60)));
        assert!(matches!(outcome, Outcome::Unsent(_)), "{outcome:?}");
        engine.join().unwrap();
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(reason_of(br#"{"code":"resource_exhausted","message":"too\nmuch"}"#), "too much");
        assert_eq!(reason_of(b"<html>\n no \n"), "<html> no");
        assert_eq!(reason_of(b""), "");
    }
}

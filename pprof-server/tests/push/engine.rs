//! An engine that takes profiles, or does not, as its script says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pprof_server::internal::proto::Profile;
use prost::Message;
use workspace_tests::scraper_rules;

/// What the engine does with a request that has come whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// It takes the profile.
    Ok,
    /// It does not, and answers with this status line and these headers.
    Refused(&'static str),
    /// It takes the profile, and answers as a proxy does that has lost the engine.
    Lost(&'static str),
    /// It takes the profile, and closes the connection.
    Close,
    /// It takes the profile, and says nothing until the client has gone.
    Silence,
}

/// This and what it holds are messages of `push/v1/push.proto`, by the numbers of their fields.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Series {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sample {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
}

/// A request that has come whole.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) head: String,
    pub(crate) series: Series,
    pub(crate) profile: Profile,
    pub(crate) answer: Answer,
}

impl Received {
    /// Whether the engine has the profile.
    pub(crate) fn is_taken(&self) -> bool {
        !matches!(self.answer, Answer::Refused(_))
    }

    /// What the profile is called.
    pub(crate) fn name(&self) -> &str {
        self.label("__name__")
    }

    pub(crate) fn label(&self, name: &str) -> &str {
        let mut labels = self.series.labels.iter();
        labels.find(|label| label.name == name).map_or("", |label| &label.value)
    }

    /// Adds up the value types of what has that function on its stack.
    pub(crate) fn sums_of(&self, function: &str) -> Vec<i64> {
        let Profile { sample, location, function: functions, string_table, .. } = &self.profile;
        let is_wanted = |id: &u64| {
            location[*id as usize - 1].line.iter().any(|line| {
                let found = &functions[line.function_id as usize - 1];
                string_table[found.name_index as usize] == function
            })
        };
        let mut sums = vec![0; self.profile.sample_type.len()];
        for sample in sample.iter().filter(|sample| sample.location_id.iter().any(is_wanted)) {
            sums.iter_mut().zip(&sample.value).for_each(|(sum, value)| *sum += value);
        }
        sums
    }
}

/// Adds up what was allocated by that function, in all profiles that were taken. The values of a heap profile are in Go's order.
pub(crate) fn allocated_by(function: &str, received: &[Received]) -> i64 {
    let taken = received.iter().filter(|one| one.is_taken() && one.name() == "memory");
    taken.map(|one| one.sums_of(function)[1]).sum()
}

/// Listens until the process ends.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Engine {
    /// Answers the request of each number as `script` says.
    pub(crate) fn start(script: impl Fn(usize) -> Answer + Send + 'static) -> Engine {
        Engine::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub(crate) fn on(listener: TcpListener, script: impl Fn(usize) -> Answer + Send + 'static) -> Engine {
        let engine = Engine { address: listener.local_addr().unwrap(), received: Arc::default() };
        let own = engine.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that went away has sent nothing whole.
                let _ = own.serve(stream.unwrap(), &script);
            }
        });
        engine
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Returns what was received when all profiles that were taken tell of so many bytes that `function` has allocated. An engine
    /// that is busy may read the last one when nobody waits for its answer any more.
    pub(crate) fn received_when_told(&self, function: &str, allocated: i64) -> Vec<Received> {
        self.wait_until("all that was allocated", |received| allocated_by(function, received) >= allocated);
        let received = self.received();
        assert_eq!(allocated_by(function, &received), allocated);
        received
    }

    /// Waits until `is_there` holds of what was received.
    pub(crate) fn wait_until(&self, what: &str, is_there: impl Fn(&[Received]) -> bool) {
        wait_until(what, || is_there(&self.received.lock().unwrap()));
    }

    fn serve(&self, stream: TcpStream, script: &impl Fn(usize) -> Answer) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let (head, body) = read_request(&mut reader)?;
        let at = Instant::now();
        let request = PushRequest::decode(&body[..]).unwrap();
        let [series] = <[Series; 1]>::try_from(request.series).expect("one series in a request");
        assert_eq!(series.samples.len(), 1);
        let profile = scraper_rules(&series.samples[0].raw_profile);
        let mut received = self.received.lock().unwrap();
        let answer = script(received.len());
        received.push(Received { at, head, series, profile, answer });
        drop(received);
        let mut stream = reader.into_inner();
        match answer {
            Answer::Ok => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            Answer::Refused(head) | Answer::Lost(head) => {
                let body = r#"{"code":"unavailable","message":"not now"}"#;
                write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            Answer::Close => Ok(()),
            Answer::Silence => stream.read_to_end(&mut Vec::new()).map(drop),
        }
    }
}

/// Reads the head of a request, with the empty line.
fn read_head(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Reads a request, and returns its head and its body.
pub(crate) fn read_request(reader: &mut impl BufRead) -> std::io::Result<(String, Vec<u8>)> {
    let head = read_head(reader)?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

/// A test that hangs ends by this.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// Waits until `is_there`.
pub(crate) fn wait_until(what: &str, is_there: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < MAX_WAIT, "{what}: not within {MAX_WAIT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

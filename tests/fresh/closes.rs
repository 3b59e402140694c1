//! A program that closes all descriptors there are, as daemons do at their start, and opens files of its own. A program of the
//! fresh crate, since it is about tokio without its `signal` feature, which other crates here ask for.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::thread;
use std::time::{Duration, Instant};

/// What opens next gets one of these numbers.
const CLOSED: std::ops::Range<libc::c_int> = 3..256;
/// Where a client of this program's own is out of the way.
const APART: libc::c_int = 1000;

fn install() -> Option<SocketAddr> {
    pprof_server::install!("127.0.0.1:0")
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("idle") => {
            let address = install().expect("installed");
            let own = Own::in_place_of_all();
            await_end("pprof-server");
            own.assert_untouched();
            // And now it is the time to install.
            let anew = install().expect("anew");
            assert_ne!(anew, address);
            let mut answer = String::new();
            assert!(client(anew, "/debug/pprof/symbol").read_to_string(&mut answer).unwrap() > 0);
            own.assert_untouched();
        }
        Some("at-once") => {
            install().expect("installed");
            let own = Own::in_place_of_all();
            // The first server has not noticed yet, and leaves the second alone.
            let anew = install().expect("anew");
            thread::sleep(Duration::from_secs(7));
            let mut answer = String::new();
            assert!(client(anew, "/debug/pprof/symbol").read_to_string(&mut answer).unwrap() > 0);
            own.assert_untouched();
        }
        // A client waits: when its time is over, it would be answered.
        Some("delta") => {
            let address = install().expect("installed");
            let mut client = client(address, "/debug/pprof/heap?seconds=2");
            let own = Own::in_place_of_all();
            await_end("pprof-server");
            own.assert_untouched();
            let mut answer = String::new();
            assert_eq!(client.read_to_string(&mut answer).unwrap_or(0), 0, "{answer}");
        }
        Some("stop") => {
            let server = pprof_server::serve("127.0.0.1:0").unwrap();
            let _client = client(server.local_addr(), "/debug/pprof/heap?seconds=60");
            let own = Own::in_place_of_all();
            server.shutdown();
            own.assert_untouched();
            await_end("pprof-server");
            own.assert_untouched();
        }
        how => panic!("{how:?}"),
    }
    println!("went on");
}

/// A request whose answer is still to come.
fn client(address: SocketAddr, path: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    // SAFETY: the copy is nobody else's.
    let mut stream =
        unsafe { TcpStream::from_raw_fd(libc::fcntl(stream.as_raw_fd(), libc::F_DUPFD_CLOEXEC, APART)) };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // Until it waits.
    thread::sleep(Duration::from_millis(300));
    stream
}

/// Waits until no thread of that name is there.
fn await_end(name: &str) {
    let is_there = || {
        fs::read_dir("/proc/self/task").unwrap().any(|task| {
            let path = task.unwrap().path().join("comm");
            fs::read_to_string(path).is_ok_and(|found| found.trim() == name)
        })
    };
    let started = Instant::now();
    while is_there() {
        assert!(started.elapsed() < Duration::from_secs(60), "{name} goes on");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Opens a file without a name.
fn temporary_file() -> File {
    let path = std::env::temp_dir().join(format!("closes-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}

/// The program's own files, counters and pipes, at the numbers that were the server's.
struct Own {
    files: Vec<File>,
    /// Counters, whose value is what was written to them.
    counters: Vec<File>,
}

impl Own {
    fn in_place_of_all() -> Own {
        // SAFETY: nothing in this program that is used later has one of these numbers, but for the server.
        CLOSED.for_each(|number| _ = unsafe { libc::close(number) });
        let files = (0..30).map(|_| temporary_file()).collect();
        // SAFETY: a new descriptor is nobody else's.
        let counter =
            || unsafe { File::from_raw_fd(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)) };
        Own { files, counters: (0..30).map(|_| counter()).collect() }
    }

    /// They are open, and nobody has written to them.
    fn assert_untouched(&self) {
        for mut file in &self.files {
            assert_eq!(file.metadata().unwrap().len(), 0, "somebody wrote");
            file.write_all(b"x").unwrap();
            file.set_len(0).unwrap();
            file.rewind().unwrap();
        }
        for mut counter in &self.counters {
            let read = counter.read(&mut [0; 8]);
            assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody wrote");
        }
    }
}

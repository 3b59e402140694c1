//! The server has one thread, one listener and a bounded number of connections.
//!
//! `builder` starts it, for the host program. The thread runs a current-thread runtime of its own, so it answers while
//! the program's own runtime is stuck, and runs inside `unsampled`, so that what it allocates is not in the profiles it
//! serves. Whatever a client does is bounded in time and memory.
//!
//! Path: *read path*.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::address::Endpoint;
use super::connections::Serving;
use super::listener::Bound;
use super::own_descriptors::OwnDescriptors;
use crate::Error;
use crate::http::handler::Handler;
use crate::own_thread;
use crate::process;

/// Runs a server of `/debug/pprof/`. Dropping it stops it.
///
/// Keep it for as long as profiles shall be served: `let _server = serve(…)?;`, not `let _ = serve(…)?;`.
///
/// A child of `fork` has a copy that serves nothing: its socket is closed there, and dropping it does nothing, not even to the
/// parent's server. Call [`serve`](crate::serve) in the child, at an address of its own.
#[must_use = "the server stops when this is dropped"]
pub struct Server {
    endpoint: Endpoint,
    handler: Handler,
    running: Option<Running>,
    /// The process that it is of, as [`alloc_profiler::internal::forks`] counts them.
    forks: u64,
}

/// Runs the server's thread.
struct Running {
    /// When this is dropped, the thread ends.
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
    own: OwnDescriptors,
}

impl Server {
    /// Where it listens. If port 0 was asked for, this has the real one.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The address it listens on, as [`endpoint`](Server::endpoint) tells it; `0.0.0.0:0`, where nobody can
    /// listen, for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        match &self.endpoint {
            Endpoint::Tcp(socket) => *socket,
            Endpoint::Unix(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        }
    }

    /// Stops the server and waits for its threads, as dropping does.
    ///
    /// Requests that wait for `seconds=N` are answered at once with 503. Stopping takes about 50 ms if a client is
    /// connected, and longer only while a profile is being encoded.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Starts the thread, which listens on `bound`, at `endpoint`. Everything that can fail does so here, in front of the
    /// caller, who may be anywhere: inside another runtime, or in a destructor. So the runtime begins and ends on the thread.
    pub(crate) fn start(bound: Bound, endpoint: Endpoint, handler: Handler) -> Result<Server, Error> {
        let (stop, stopping) = watch::channel(());
        let (started, result) = mpsc::sync_channel(1);
        let own = bound.own_descriptors();
        let serving = Serving { endpoint: endpoint.clone(), own: own.clone(), handler: handler.clone() };
        let thread = own_thread::spawn("pprof-server", move || {
            // The thread's stack may have taken the last memory that there was, and a runtime is made of many small blocks.
            let is_possible = || process::can_start().then_some(()).ok_or_else(process::no_memory);
            alloc_profiler::unsampled(move || match is_possible().and_then(|()| serving.register(bound)) {
                Ok((runtime, listener)) => {
                    let _ = started.send(Ok(()));
                    serving.run(runtime, listener, stopping);
                }
                Err(error) => drop(started.send(Err(error))),
            });
        });
        let is_running = || result.recv().unwrap_or_else(|_| Err(io::Error::other("the thread has ended")));
        match thread.and_then(|thread| is_running().map(|()| thread)) {
            Ok(thread) => {
                let running = Some(Running { stop, thread, own });
                Ok(Server { endpoint, handler, running, forks: alloc_profiler::internal::forks() })
            }
            Err(source) => {
                handler.shutdown();
                handler.join();
                Err(Error::Start { source })
            }
        }
    }

    /// Whether the program has closed its socket.
    pub(crate) fn is_lost(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.own.are_lost())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.forks != alloc_profiler::internal::forks() {
            // The threads are the parent's, and so is a Unix socket's file; the listener has been closed here.
            std::mem::forget(self.running.take());
        } else if let Some(Running { stop, thread, own }) = self.running.take() {
            // Who waits gets an answer when the worker has ended, which takes as long as a profile that is being encoded.
            // Until then there must be someone to send it.
            self.handler.shutdown();
            // mutant: D15 who waits is cut when the server stops (1)
            self.handler.join();
            if own.are_lost() {
                // To end the thread would be to write into what is not ours. It ends by itself.
                std::mem::forget(stop);
                return;
            }
            drop(stop);
            // A panic of the server's thread has been printed by the panic hook; it is not the host's.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::options::Options;
    use crate::http::request::guard::Guard;
    use crate::http::request::path::Mount;
    use alloc_profiler::Snapshot;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    fn serve(snapshot: fn() -> Snapshot) -> Server {
        let handler = Handler::with(Guard::open(), Mount::Root, Options::from_env()).of(snapshot);
        let (bound, endpoint) = Bound::to(&Endpoint::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        Server::start(bound, endpoint, handler).unwrap()
    }

    /// Sends a request for the profile; its answer is read when the thread is joined.
    fn ask(server: &Server, profile: &str) -> JoinHandle<String> {
        let mut stream = std::net::TcpStream::connect(server.local_addr()).unwrap();
        let head = format!("GET /debug/pprof/{profile} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        std::thread::spawn(move || {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        })
    }

    /// Whoever waits for a delta is told so, however long the others' profiles take that are being made.
    #[test]
    fn nobody_is_left_without_an_answer_when_the_server_stops() {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let server = serve(|| {
            TAKEN.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(300));
            alloc_profiler::snapshot()
        });
        let until = |count| {
            while TAKEN.load(Ordering::Relaxed) < count {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let waiting: Vec<_> =
            ["heap?seconds=60", "allocs?seconds=60"].map(|profile| ask(&server, profile)).into();
        until(2);
        let busy: Vec<_> = (0..3).map(|_| ask(&server, "heap")).collect();
        until(4);
        server.shutdown();
        for answer in waiting {
            let answer = answer.join().unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
        }
        for answer in busy {
            let answer = answer.join().unwrap();
            let is_told = answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.1 503 ");
            assert!(is_told, "{answer:?}");
        }
    }

    #[test]
    fn a_panic_is_answered_and_the_next_request_is_served() {
        static IS_BROKEN: AtomicBool = AtomicBool::new(true);
        let server = serve(|| {
            assert!(!IS_BROKEN.load(Ordering::Relaxed), "on purpose");
            alloc_profiler::snapshot()
        });
        for _ in 0..3 {
            let answer = ask(&server, "heap").join().unwrap();
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
            assert!(answer.ends_with("the profiler panicked; see standard error\n"), "{answer}");
        }
        IS_BROKEN.store(false, Ordering::Relaxed);
        assert!(ask(&server, "heap").join().unwrap().starts_with("HTTP/1.1 200 "));
    }
}

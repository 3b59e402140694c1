//! The server: one thread, one listener, a bounded number of connections.
//!
//! Called by the host program through `serve`, and by `install!`. The thread runs a current-thread runtime of
//! its own, so it answers while the program's own runtime is stuck, and runs inside `unsampled`, so that what
//! it allocates is not in the profiles it serves. Whatever a client does is bounded in time and memory.
//!
//! Path: *read path*.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::address::{Address, Endpoint};
use super::builder::ServerBuilder;
use super::handler::Handler;
use super::places::{MAX_CONNECTIONS, Place, Places};
#[cfg(unix)]
use super::socket_file::{self, SocketFile};
use super::stream::BoundedStream;
use super::symbol::MAX_BODY_BYTES;
use super::waiters::Peer;
use crate::Error;

/// Longest time for a request's head to arrive.
const MAX_HEAD_TIME: Duration = Duration::from_secs(5);
/// Largest head of a request; also how much of an answer hyper buffers.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;
/// Longest life of a connection, beside the longest delta: a minute and a half for everything else.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(90);
/// What the operating system may hold of an answer that is not taken. It would else grow to megabytes for each
/// connection, which count against a container's memory as ours do.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// Pause after a failed accept: when file descriptors run out, trying at once would burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for the last answers to leave when the server stops.
const STOP_GRACE: Duration = Duration::from_millis(50);

/// Said once: a program may start and stop servers as it likes.
const NOT_INSTALLED: &str = "no SamplingAllocator is the global allocator of this program, so its profiles will be \
     empty; use pprof_server::install!(), or declare `#[global_allocator] static ALLOCATOR: \
     pprof_server::SamplingAllocator = pprof_server::SamplingAllocator::new();`";
static WARNED: Once = Once::new();

/// A running server of `/debug/pprof/`. Dropping it stops it.
///
/// Keep it for as long as profiles shall be served: `let _server = serve(…)?;`, not `let _ = serve(…)?;`.
#[must_use = "the server stops when this is dropped"]
pub struct Server {
    endpoint: Endpoint,
    handler: Handler,
    running: Option<(watch::Sender<()>, JoinHandle<()>)>,
}

/// Serves this process's heap profiles at `http://address/debug/pprof/` until the [`Server`] is dropped.
///
/// The address is `"127.0.0.1:6060"`, `"localhost:6060"`, an address of [`std::net`], or `"unix:/path"`: a Unix
/// socket that only this user may connect to (`curl --unix-socket`). Port 0 takes any free port: see
/// [`Server::local_addr`]. Of the addresses a name stands for, one is used, IPv4 first. For other than loopback
/// addresses, and for other settings, see [`Server::builder`].
///
/// If `PPROF_TOKEN` is set, every request must carry that token: see [`ServerBuilder::token`]. Environment
/// variables of the profiler are read as by `alloc_profiler::init_from_env`. If no
/// [`SamplingAllocator`](crate::SamplingAllocator) is the global allocator, a line on standard error says that
/// profiles will be empty.
///
/// # Cost
///
/// Two threads, `pprof-server` and `pprof-worker`, which sleep between requests and records of the history, and a
/// listening socket. At most 64 connections are open at once, 8 of them waiting for `seconds=N`, each of which
/// holds a snapshot; answers that clients have yet to take hold at most 4 MiB, beside one answer of up to 64 MiB.
///
/// # Errors
///
/// [`Error::Resolve`] and [`Error::NotLoopback`] for an address that cannot be used, [`Error::Bind`] or
/// [`Error::Socket`] if it is in use, [`Error::Token`] for a token that is too short, [`Error::Start`] if there
/// are no threads or descriptors left.
///
/// # Examples
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: pprof_server::SamplingAllocator = pprof_server::SamplingAllocator::new();
///
/// let server = pprof_server::serve("127.0.0.1:0")?;
/// println!("http://{}/debug/pprof/", server.local_addr());
/// server.shutdown();
/// # Ok::<(), pprof_server::Error>(())
/// ```
pub fn serve(address: impl Into<Address>) -> Result<Server, Error> {
    Server::builder().serve(address)
}

/// Says once that profiles will be empty, if they will.
pub(super) fn warn_if_not_installed() {
    if !alloc_profiler::is_installed() {
        WARNED.call_once(|| crate::install::warn(NOT_INSTALLED));
    }
}

impl Server {
    /// How to serve with a token, for other machines, or with longer deltas.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// Where it listens: the real port where 0 was asked for.
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
    /// Requests that wait for `seconds=N` are answered at once with 503. Takes about 50 ms if a client is
    /// connected, longer only while a profile is being encoded.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Listens on `endpoint`, which has been checked, and starts the thread. Everything that can fail does so here,
    /// in front of the caller.
    pub(super) fn start(endpoint: Endpoint, handler: Handler) -> Result<Server, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| Error::Start { source })?;
        let (listener, endpoint) = {
            let _entered = runtime.enter();
            Listener::bind(&endpoint)?
        };
        let (sender, stopping) = watch::channel(());
        let answering = handler.clone();
        let thread = std::thread::Builder::new()
            .name("pprof-server".to_owned())
            .spawn(move || {
                alloc_profiler::unsampled(move || {
                    runtime.block_on(accept(listener, answering, stopping));
                    drop(runtime);
                });
            })
            .map_err(|source| Error::Start { source })?;
        Ok(Server { endpoint, handler, running: Some((sender, thread)) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            // Those who wait are answered first, then the thread ends.
            self.handler.shutdown();
            drop(sender);
            // A panic of the server's thread has been printed by the panic hook; it is not the host's.
            let _ = thread.join();
            self.handler.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A socket that takes connections.
enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        _file: SocketFile,
    },
}

/// A connection of either sort.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

impl Listener {
    /// Must be called inside a runtime. Gives the real port back.
    fn bind(endpoint: &Endpoint) -> Result<(Listener, Endpoint), Error> {
        match endpoint {
            Endpoint::Tcp(socket) => {
                let bind = || {
                    let listener = std::net::TcpListener::bind(socket)?;
                    // Connections inherit it.
                    socket2::SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES)?;
                    let bound = listener.local_addr()?;
                    listener.set_nonblocking(true)?;
                    Ok((Listener::Tcp(TcpListener::from_std(listener)?), Endpoint::Tcp(bound)))
                };
                bind().map_err(|source| Error::Bind { address: *socket, source })
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let bind = || {
                    let (listener, file) = socket_file::listen(path)?;
                    listener.set_nonblocking(true)?;
                    let listener = tokio::net::UnixListener::from_std(listener)?;
                    Ok((Listener::Unix { listener, _file: file }, endpoint.clone()))
                };
                bind().map_err(|source| Error::Socket { path: path.clone(), source })
            }
            #[cfg(not(unix))]
            Endpoint::Unix(path) => {
                Err(Error::Socket { path: path.clone(), source: io::ErrorKind::Unsupported.into() })
            }
        }
    }

    async fn accept(&self) -> io::Result<(Box<dyn Connection>, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Only a delay if it fails.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Peer::from(peer)))
            }
            #[cfg(unix)]
            Listener::Unix { listener, .. } => Ok((Box::new(listener.accept().await?.0), Peer::UNIX)),
        }
    }
}

/// Accepts connections until the server stops.
async fn accept(listener: Listener, handler: Handler, mut stopping: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    let mut places = Places::default();
    loop {
        let look_again = places.make_room();
        tokio::select! {
            biased;
            _ = stopping.changed() => break,
            // Frees the place. What went wrong in a connection stays there.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    let place = places.place();
                    let connection = serve_connection(stream, peer, handler.clone(), place.clone());
                    places.take(place, connections.spawn(connection));
                }
                Err(_) => {
                    let _ = timeout(ACCEPT_PAUSE, stopping.changed()).await;
                }
            },
            () = places.hold_more() => {}
            () = sleep_until(look_again.unwrap_or_else(Instant::now)), if look_again.is_some() => {}
        }
    }
    // The file of a Unix socket goes with it.
    drop(listener);
    let _ = timeout(STOP_GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one request. Connections are not kept alive: each is a place, and clients ask once in many seconds.
async fn serve_connection(stream: Box<dyn Connection>, peer: Peer, handler: Handler, place: Place) {
    let max_time = handler.max_delta() + MAX_CONNECTION_TIME;
    let answering = place.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (handler, place) = (handler.clone(), answering.clone());
        async move {
            request.extensions_mut().insert(peer);
            if request.body().is_end_stream() {
                place.waits();
            } else {
                let length = request.body().size_hint().upper().unwrap_or(MAX_BODY_BYTES as u64);
                // Of a longer one, nothing is read.
                place.sends(usize::try_from(length).unwrap_or(usize::MAX).min(MAX_BODY_BYTES));
            }
            let answer = handler.respond(request).await;
            place.takes(usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX));
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        // Without a timer hyper would silently not apply the timeout.
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_HEAD_TIME)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(BoundedStream::new(stream, place)), service);
    // An error is the client's: it left, was too slow, or did not speak HTTP.
    let _ = timeout(max_time, connection).await;
}

#[cfg(test)]
mod tests {
    use super::super::guard::Guard;
    use super::super::handler::Mount;
    use super::super::options::Options;
    use super::*;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, Ordering};

    fn get(server: &Server) -> String {
        let mut stream = std::net::TcpStream::connect(server.local_addr()).unwrap();
        stream.write_all(b"GET /debug/pprof/heap HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn a_panic_is_answered_and_the_next_request_is_served() {
        static IS_BROKEN: AtomicBool = AtomicBool::new(true);
        let handler = Handler::with(Guard::of_mounted(), Mount::Root, Options::from_env()).of(|| {
            assert!(!IS_BROKEN.load(Ordering::Relaxed), "on purpose");
            alloc_profiler::snapshot()
        });
        let server = Server::start(Endpoint::Tcp(([127, 0, 0, 1], 0).into()), handler).unwrap();
        for _ in 0..3 {
            let answer = get(&server);
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
            assert!(answer.ends_with("the profiler panicked; see standard error\n"), "{answer}");
        }
        IS_BROKEN.store(false, Ordering::Relaxed);
        assert!(get(&server).starts_with("HTTP/1.1 200 "));
    }
}

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
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Once;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::resolve;
use super::handler::{Handler, Stopping};
use super::routes::MAX_DELTA_SECONDS;
use super::stream::BoundedStream;
use crate::Error;

/// Connections served at once. More of them wait in the operating system's queue, where they cost us nothing.
const MAX_CONNECTIONS: usize = 16;
/// Longest time for a request's head to arrive.
const MAX_HEAD_TIME: Duration = Duration::from_secs(5);
/// Largest head of a request; also how much of an answer hyper buffers.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;
/// Longest life of a connection: the longest delta, and a minute and a half for everything else.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(MAX_DELTA_SECONDS.unsigned_abs() + 90);
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
    local_address: SocketAddr,
    running: Option<(watch::Sender<()>, JoinHandle<()>)>,
}

/// Serves this process's heap profiles at `http://address/debug/pprof/` until the [`Server`] is dropped.
///
/// Port 0 takes any free port: see [`Server::local_addr`]. Of the addresses a name stands for, one is used, IPv4
/// first. Environment variables of the profiler are read as by `alloc_profiler::init_from_env`. If no
/// [`SamplingAllocator`](crate::SamplingAllocator) is the global allocator, a line on standard error says that
/// profiles will be empty.
///
/// # Cost
///
/// A thread named `pprof-server`, which sleeps between requests, and a listening socket. At most 16 connections
/// are served at once, 8 of them waiting for `seconds=N`, each of which holds a snapshot.
///
/// # Errors
///
/// [`Error::Resolve`] and [`Error::NotLoopback`] for an address that cannot be used, [`Error::Bind`] if the
/// port is in use, [`Error::Start`] if there are no threads or descriptors left.
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
pub fn serve(address: impl ToSocketAddrs + fmt::Debug) -> Result<Server, Error> {
    alloc_profiler::init_from_env();
    alloc_profiler::unsampled(|| {
        if !alloc_profiler::is_installed() {
            WARNED.call_once(|| crate::install::warn(NOT_INSTALLED));
        }
        Server::start(resolve(address)?, Handler::new())
    })
}

impl Server {
    /// Where it listens: the real port where 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_address
    }

    /// Stops the server and waits for its thread, as dropping does.
    ///
    /// Requests that wait for `seconds=N` are answered at once with 503. Takes about 50 ms if a client is
    /// connected, longer only while a profile is being encoded.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Listens on `address`, which has been checked, and starts the thread. Everything that can fail does so
    /// here, in front of the caller.
    pub(crate) fn start(address: SocketAddr, handler: Handler) -> Result<Server, Error> {
        let listener =
            std::net::TcpListener::bind(address).map_err(|source| Error::Bind { address, source })?;
        let start = || -> io::Result<Server> {
            let local_address = listener.local_addr()?;
            listener.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            let listener = {
                let _entered = runtime.enter();
                TcpListener::from_std(listener)?
            };
            let (sender, stopping) = watch::channel(());
            let thread = std::thread::Builder::new().name("pprof-server".to_owned()).spawn(move || {
                alloc_profiler::unsampled(move || {
                    runtime.block_on(accept(listener, handler, stopping));
                    drop(runtime);
                });
            })?;
            Ok(Server { local_address, running: Some((sender, thread)) })
        };
        start().map_err(|source| Error::Start { source })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            drop(sender);
            // A panic of the server's thread has been printed by the panic hook; it is not the host's.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_address).finish_non_exhaustive()
    }
}

/// Accepts connections until the server stops.
async fn accept(listener: TcpListener, handler: Handler, mut stopping: Stopping) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stopping.changed() => break,
            // Frees the place. What went wrong in a connection stays there.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, handler.clone(), stopping.clone()));
                }
                Err(_) => {
                    let _ = timeout(ACCEPT_PAUSE, stopping.changed()).await;
                }
            },
        }
    }
    drop(listener);
    let _ = timeout(STOP_GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one request. Connections are not kept alive: each is a place, and clients ask once in many seconds.
async fn serve_connection(stream: TcpStream, handler: Handler, stopping: Stopping) {
    // Only a delay if it fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = handler.clone().answer(request, stopping.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        // Without a timer hyper would silently not apply the timeout.
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_HEAD_TIME)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(BoundedStream::new(stream)), service);
    // An error is the client's: it left, was too slow, or did not speak HTTP.
    let _ = timeout(MAX_CONNECTION_TIME, connection).await;
}

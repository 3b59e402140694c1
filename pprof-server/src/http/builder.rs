//! A builder collects what a server or a handler is told before it starts: who may ask, how long a delta may be, and
//! what is kept.
//!
//! The host program calls this. To reach a server from another machine takes three steps that nobody takes by
//! accident: an address, permission, and a secret.
//!
//! Path: *read path*; runs once for each server and handler.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::handler::Handler;
use super::options::Options;
use super::request::guard::Guard;
use super::request::path::Mount;
use super::request::token::Token;
use super::transport::address::{Address, Endpoint, is_loopback};
use super::transport::listener::Bound;
use super::transport::server::Server;
use crate::Error;
use crate::environment::variable;
use crate::process;
use crate::standard_error::warn_once;

/// The variable that holds the token of a server, where the code sets none.
const TOKEN_VARIABLE: &str = "PPROF_TOKEN";

const NOT_INSTALLED: &str = "no SamplingAllocator is the global allocator of this program, so its profiles will be \
     empty; use pprof_server::install!(), or declare `#[global_allocator] static ALLOCATOR: \
     pprof_server::alloc_profiler::SamplingAllocator = pprof_server::alloc_profiler::SamplingAllocator::new();`";

/// Serves this process's heap profiles at `http://address/debug/pprof/` until the [`Server`] is dropped.
///
/// The address is `"127.0.0.1:6060"`, `"localhost:6060"`, an address of [`std::net`], or `"unix:/path"`: a Unix
/// socket that only this user may connect to (`curl --unix-socket`). Port 0 takes any free port: see
/// [`Server::local_addr`]. Of the addresses a name stands for, one is used, IPv4 first. For other than loopback
/// addresses, and for other settings, see [`Server::builder`].
///
/// If `PPROF_TOKEN` is set, every request must carry that token: see [`Builder::token`]. Environment
/// variables of the profiler are read as by `alloc_profiler::init_from_env`. If no
/// [`SamplingAllocator`](alloc_profiler::SamplingAllocator) is the global allocator, a line on standard error says that
/// profiles will be empty.
///
/// # Cost
///
/// It takes four threads, `pprof-server` and the three of a [`Handler`](crate::Handler), which sleep between requests and
/// records of the history, and a listening socket. At most 64 connections are open at once, 8 of them waiting for
/// `seconds=N`, each of which holds a snapshot; answers that clients have yet to take hold at most 4 MiB, beside one answer
/// of up to 64 MiB.
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
/// static ALLOCATOR: pprof_server::alloc_profiler::SamplingAllocator = pprof_server::alloc_profiler::SamplingAllocator::new();
///
/// let server = pprof_server::serve("127.0.0.1:0")?;
/// println!("http://{}/debug/pprof/", server.local_addr());
/// server.shutdown();
/// # Ok::<(), pprof_server::Error>(())
/// ```
pub fn serve(address: impl Into<Address>) -> Result<Server, Error> {
    Server::builder().serve(address)
}

/// Settings of a [`Server`] or a [`Handler`], beyond what [`serve`](crate::serve) and [`Handler::new`] do.
///
/// # Examples
///
/// A server that other machines can reach, and a handler for a server of your own:
///
/// ```no_run
/// use std::time::Duration;
///
/// let server = pprof_server::Server::builder()
///     .allow_remote()
///     .token(std::fs::read_to_string("/run/secrets/pprof-token").expect("mounted").trim())
///     .allow_host("profiles.example.org")
///     .serve("0.0.0.0:6060")?;
///
/// let handler = pprof_server::Handler::builder().max_delta(Duration::from_secs(30)).handler()?;
/// # Ok::<(), pprof_server::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `serve` or `handler` is called"]
pub struct Builder {
    token: Option<String>,
    is_remote_allowed: bool,
    hosts: Vec<String>,
    options: Options,
}

impl Server {
    /// Offers settings for a server: a token, other machines, longer deltas.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Handler {
    /// Offers settings for a handler: longer deltas, another history.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Builder {
        Builder { token: None, is_remote_allowed: false, hosts: Vec::new(), options: Options::from_env() }
    }

    /// Demands this token of every request, on loopback too: as `Authorization: Bearer TOKEN`, or as the password of HTTP
    /// Basic (`http://pprof:TOKEN@HOST:PORT/` for `go tool pprof`). It has at least 16 visible ASCII characters, such as
    /// `openssl rand -hex 16` prints.
    ///
    /// Without this, the token of a server is the environment's `PPROF_TOKEN`, unless that is empty, and a handler demands
    /// none.
    pub fn token(mut self, token: impl Into<String>) -> Builder {
        self.token = Some(token.into());
        self
    }

    /// Allows [`serve`](Builder::serve) addresses that other machines can reach. A token is then required: profiles show
    /// function names, file paths and addresses of code. The connection is not encrypted; where others can listen in, put a
    /// proxy that speaks TLS in front.
    pub fn allow_remote(mut self) -> Builder {
        self.is_remote_allowed = true;
        self
    }

    /// Allows requests whose `Host` is this name, without a port, beside `localhost` and IP addresses. Other names are
    /// refused: a web page could have given them to this machine (DNS rebinding).
    ///
    /// A handler takes any `Host` unless this is called.
    pub fn allow_host(mut self, host: impl Into<String>) -> Builder {
        self.hosts.push(host.into());
        self
    }

    /// Sets the largest `seconds=N`: 300 s unless changed, from 1 s to 24 hours, in whole seconds. Each client that waits
    /// holds a snapshot in memory as long.
    pub fn max_delta(mut self, time: Duration) -> Builder {
        self.options.max_delta = time;
        self
    }

    /// Sets the longest time between two snapshots that are kept by themselves, for `heap?ago=10m` and for the page. It is
    /// 60 s unless this or the environment's `PPROF_RECORD` says otherwise, and may be 1 s to 1 hour; `None` keeps none.
    /// There is a snapshot every 5 s, or in each `period` if that is shorter, as long as all of them take less than 0.08 % of
    /// a core. The older they get, the fewer of them are kept, for a day or more, in at most 8 MiB.
    pub fn record_every(mut self, period: impl Into<Option<Duration>>) -> Builder {
        self.options.record_period = period.into();
        self
    }

    /// Writes the heap profile and the suspects to files in `folder` before the memory of the control group is full: at 80, 90
    /// and 95 % of its limit, and when memory would be full within a quarter of a second. Without this, the environment's
    /// `PPROF_DUMP` names the folder; where neither does, nothing is written. `PPROF_DUMP_SIGNAL`, `PPROF_DUMP_AT_EXIT` and
    /// `PPROF_DUMP_LIMIT` add causes, and hold for this folder too. The folder keeps at most 32 dumps and 64 MiB; the oldest
    /// go first. The page `docs/dumps.md` of the repository is the manual.
    ///
    /// # Cost
    ///
    /// One thread, `pprof-dump`, that reads one or two small files from every 5 s, where much memory is left, to every 50 ms,
    /// where little is.
    ///
    /// # Errors
    ///
    /// None: what cannot be written is told in a line on standard error. The first server or handler of a process that names a
    /// folder writes to it, and later ones do not.
    pub fn dump_to(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.options.dump.folder = Some(folder.into());
        self
    }

    /// Has heap profiles tell samples apart by labels once this server or handler has started: see [`labels!`](crate::labels!).
    /// CPU profiles and those of threads do so anyway.
    ///
    /// # Cost
    ///
    /// See [`keep_heap_labels`](crate::keep_heap_labels).
    pub fn heap_labels(mut self) -> Builder {
        self.options.heap_labels = true;
        self
    }

    /// Has waits for locks be measured from the start of this server or handler on, and not only while a request with `seconds`
    /// waits. A sample is taken in each `rate` of a thread's waiting on average. Without this, the environment's
    /// `PPROF_BLOCK_RATE` decides. It needs `install!(locks = true)` or [`define_syscall!`](crate::define_syscall!).
    ///
    /// # Cost
    ///
    /// A wait or a wake takes two looks at the clock more, and one that is sampled a walk over its stack. Samples take 5 MiB at most.
    pub fn block_rate(mut self, rate: Duration) -> Builder {
        self.options.block_rate = Some(rate);
        self
    }

    /// Has `/debug/pprof/cmdline` tell the program's arguments, as Go's does. That is off unless this or the environment's
    /// `PPROF_CMDLINE=1` says otherwise, since arguments may hold secrets.
    pub fn show_arguments(mut self) -> Builder {
        self.options.cmdline = true;
        self
    }

    /// Serves this process's heap profiles at `http://address/debug/pprof/` until the [`Server`] is dropped; see
    /// [`serve`](crate::serve).
    ///
    /// # Errors
    ///
    /// Those of [`serve`](crate::serve), and [`Error::NoToken`], [`Error::Token`], [`Error::Host`],
    /// [`Error::MaxDelta`] and [`Error::RecordPeriod`] for settings that will not do.
    pub fn serve(self, address: impl Into<Address>) -> Result<Server, Error> {
        alloc_profiler::init_from_env();
        let address = address.into();
        alloc_profiler::unsampled(|| {
            // A program may start and stop servers as it likes, and is told once.
            static IS_TOLD: AtomicBool = AtomicBool::new(false);
            if !alloc_profiler::is_installed() {
                warn_once(&IS_TOLD, NOT_INSTALLED);
            }
            self.start(&address)
        })
    }

    /// Does what `serve` does, without a word about the allocator.
    pub(crate) fn start(self, address: &Address) -> Result<Server, Error> {
        if !process::can_start() {
            return Err(Error::Start { source: process::no_memory() });
        }
        let endpoint = address.resolve(self.is_remote_allowed)?;
        let token = self.token.or_else(|| variable(TOKEN_VARIABLE)).map(Token::new).transpose()?;
        if let (Endpoint::Tcp(socket), None) = (&endpoint, &token)
            && !is_loopback(socket)
        {
            return Err(Error::NoToken { address: address.to_string() });
        }
        let guard = Guard::of_server(token, self.hosts)?;
        self.options.check()?;
        // This comes before any thread is started, since a port in use is the most frequent failure.
        let (bound, endpoint) = Bound::to(&endpoint)?;
        self.options.apply();
        let handler = Handler::with(guard, Mount::Root, self.options);
        handler.record();
        Server::start(bound, endpoint, handler)
    }

    /// A handler that answers nobody: it records and writes dumps where no server can be. `None` if no dumps are wanted.
    pub(crate) fn for_dumps(self) -> Option<Handler> {
        let is_wanted = self.options.dump.folder.is_some();
        is_wanted.then(|| Handler::recording(Guard::open(), self.options))
    }

    /// A handler for a server of your own, which begins to record the history: see [`Handler`]. [`allow_remote`] has no
    /// meaning for it, since your server has the address.
    ///
    /// # Errors
    ///
    /// [`Error::Token`], [`Error::Host`], [`Error::MaxDelta`] and [`Error::RecordPeriod`] for settings that will not do.
    ///
    /// [`allow_remote`]: Builder::allow_remote
    pub fn handler(self) -> Result<Handler, Error> {
        alloc_profiler::init_from_env();
        let token = self.token.map(Token::new).transpose()?;
        let guard = Guard::of_mounted(token, self.hosts)?;
        self.options.check()?;
        self.options.apply();
        Ok(Handler::recording(guard, self.options))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("has_token", &self.token.is_some())
            .field("is_remote_allowed", &self.is_remote_allowed)
            .field("hosts", &self.hosts)
            .field("options", &self.options)
            .finish()
    }
}

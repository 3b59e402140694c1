//! Answers a request: decides what it asks for, and has the workers make it.
//!
//! `transport` calls this, and so do host programs that serve profiles on a server of their own, once for each request.
//! Deciding is done on the caller's thread, and all that takes time on the workers'. A dropped answer is a cancelled one:
//! when the client leaves, the future is dropped, and with it the wait, the first snapshot and the slot among those who
//! wait. Encoding itself is not interrupted; one request at a time encodes.
//!
//! Path: *read path*.

mod pages;
mod process;
mod state;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{self, Buf};
use hyper::{Request, Response, StatusCode};

use super::options::Options;
use super::refusal::Refusal;
use super::request::accept_encoding::takes_gzip;
use super::request::accept_header::MetricsFormat;
use super::request::guard::Guard;
use super::request::path::Mount;
use super::request::routes::{Decision, Rules, decide};
use super::response::answer::{self, Answer, Body};
use super::snapshots::Source;
use super::workers::waiters::Peer;
use crate::kept_files;
use crate::per_process::PerProcess;
use state::State;

/// Answers `/debug/pprof/` inside a server of your own: any executor, any framework, any prefix.
///
/// It takes an [`http::Request`](hyper::Request) and gives an [`http::Response`](hyper::Response), by
/// [`respond`](Handler::respond) or as a [`tower::Service`](tower_service::Service). Cloning is cheap, and
/// clones are one handler.
///
/// The prefix may have been stripped from the path or not: `/heap`, `/debug/pprof/heap` and
/// `/admin/debug/pprof/heap` are the same profile. Send it nothing but requests below that prefix: of a path
/// without `/debug/pprof/` it looks at the last folder only.
///
/// It answers only while your server does; [`serve`](crate::serve) also while your program is stuck.
///
/// **Who may ask is your server's business**: put it behind the authentication of your other internal pages. The
/// handler knows no token and takes any `Host`, unless [`Handler::builder`] sets them. It always refuses what a web page of
/// another origin sends.
///
/// # Examples
///
/// With axum; whole programs for axum, hyper and actix-web are in the folder `examples`:
///
/// ```
/// use pprof_server::Handler;
///
/// let app: axum::Router = axum::Router::new().nest_service("/debug/pprof", Handler::new());
/// ```
///
/// # Cost
///
/// Four threads, so that no thread of yours does its work, which live as long as the handler: `pprof-worker` records the
/// history (a snapshot every 5 s, see [`record_every`](crate::Builder::record_every)), waits for deltas, and makes
/// figures; `pprof-addresses` and `pprof-names` make profiles, without debug information and with it; `pprof-searches` goes
/// over memory for `holders` and `goroutineleak`. Each does one thing at a time. At most 64 requests for figures, 16 for
/// addresses, 64 for names and 4 searches are worked on at once, 8 of them waiting for `seconds=N` (1 to 300), each of which
/// holds a snapshot; more are told to come back (429).
#[derive(Clone, Debug)]
pub struct Handler(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    guard: Guard,
    mount: Mount,
    options: Options,
    source: Source,
    /// Tells whether a history is to be kept.
    records: AtomicBool,
    state: PerProcess<State>,
}

impl Default for Handler {
    fn default() -> Handler {
        Handler::new()
    }
}

impl Handler {
    /// Answers from this process's profiler, and begins to record its history. For other settings, see
    /// [`Handler::builder`]. Environment variables of the profiler are read as by `alloc_profiler::init_from_env`.
    #[must_use]
    pub fn new() -> Handler {
        alloc_profiler::init_from_env();
        Handler::recording(Guard::open(), Options::from_env())
    }

    /// A handler for a server of the host program, which has begun to record.
    pub(super) fn recording(guard: Guard, options: Options) -> Handler {
        let handler = Handler::with(guard, Mount::AnyPrefix, options);
        handler.record();
        handler
    }

    pub(super) fn with(guard: Guard, mount: Mount, options: Options) -> Handler {
        kept_files::keep();
        Handler(Arc::new(Shared {
            guard,
            mount,
            options,
            source: Source::of_this_process(),
            records: AtomicBool::new(false),
            state: PerProcess::new(),
        }))
    }

    /// Begins to keep a snapshot for each period. The threads are started in any case, since the program may enter a
    /// sandbox that forbids that.
    pub(super) fn record(&self) {
        self.0.records.store(true, Relaxed);
        self.state();
    }

    /// Returns the state of this process.
    fn state(&self) -> &State {
        let shared = &self.0;
        let state = shared.state.get(|| State::new(shared.source, shared.options.record_period));
        if shared.records.load(Relaxed) {
            state.record(&shared.options);
        }
        state
    }

    /// Returns the answer to `request`. Every failure is one: a panic on the way is a 500.
    ///
    /// Takes as long as asked with `seconds=N`, else milliseconds, or about a second where names are looked up
    /// for the first time. Dropping the future ends the wait. It needs no particular runtime, and does not
    /// block. Put a [`Peer`] into the request's extensions to bound what each client may ask for.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: body::Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut answer = pin!(self.respond_or_panic(request));
        poll_fn(|cx| {
            // Nothing outlives a panicked answer but the slots among those who wait, which it gives back.
            catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))).unwrap_or_else(|_| {
                let text = "the profiler panicked; see standard error";
                Poll::Ready(answer::refusal(&Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)))
            })
        })
        .await
    }

    /// Answers all who wait with 503, and every later request, in any clone: for a server that stops gracefully, which
    /// would otherwise wait for the longest delta. Returns at once.
    pub fn shutdown(&self) {
        self.state().stop();
    }

    /// Waits for the thread after `shutdown`: as long as one profile is being encoded.
    pub(crate) fn join(&self) {
        self.state().join();
    }

    /// Answers from `snapshot`, which may be slow, or panic.
    #[cfg(test)]
    pub(crate) fn of(self, snapshot: fn() -> alloc_profiler::Snapshot) -> Handler {
        let Ok(shared) = Arc::try_unwrap(self.0) else { panic!("a new handler has no clones") };
        Handler(Arc::new(Shared { source: Source::of(snapshot), state: PerProcess::new(), ..shared }))
    }

    /// Returns the longest delta.
    pub(crate) fn max_delta(&self) -> Duration {
        self.0.options.max_delta
    }

    fn mount(&self) -> Mount {
        self.0.mount
    }

    fn shows_arguments(&self) -> bool {
        self.0.options.cmdline
    }

    async fn respond_or_panic<B>(&self, request: Request<B>) -> Answer
    where
        B: body::Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let uri = request.uri();
        let decision = match self.0.guard.admit(uri, request.version(), request.headers()) {
            Ok(()) => {
                let rules = Rules { mount: self.0.mount, max_delta: self.0.options.max_delta };
                decide(rules, request.method(), uri.path(), uri.query())
            }
            Err(refusal) => Decision::Refuse(refusal),
        };
        let answered = match decision {
            Decision::Index => self.index(uri.path()).await,
            Decision::Asset(asset) => Ok(answer::asset(asset, request.headers())),
            Decision::Profile(wanted) => {
                let peer = request.extensions().get::<Peer>().copied();
                self.profile(wanted, peer).await
            }
            Decision::DeltaHeap(wanted) => self.delta_heap(wanted).await,
            Decision::Suspects(asked) => self.suspects(asked).await,
            Decision::Cpu(wanted) => self.cpu(wanted).await,
            Decision::Trace(wanted) => self.trace(wanted, takes_gzip(request.headers())).await,
            Decision::Wall(wanted) => self.wall(wanted).await,
            Decision::Goroutine(wanted) => self.goroutine(wanted).await,
            Decision::Holders(wanted) => self.holders(wanted).await,
            Decision::Counts(wanted) => self.counts(wanted).await,
            Decision::Current(wanted) => self.current(wanted).await,
            Decision::History => self.timeline().await,
            Decision::Marks => self.marks().await,
            Decision::SetMark { name, replaces } => self.set_mark(name, replaces).await,
            Decision::Metrics { with_malloc } => {
                self.metrics(with_malloc, MetricsFormat::wanted(request.headers())).await
            }
            Decision::Symbol => self.symbol(request).await,
            Decision::Cmdline => self.cmdline(),
            Decision::Redirect(location) => Ok(answer::redirect(&location)),
            Decision::Refuse(refusal) => Err(refusal),
        };
        answered.unwrap_or_else(|refusal| answer::refusal(&refusal))
    }
}

impl<B> tower_service::Service<Request<B>> for Handler
where
    B: body::Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { Ok(handler.respond(request).await) })
    }
}

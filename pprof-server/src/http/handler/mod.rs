//! Answers a request: takes the snapshot, waits if a delta is asked for, has it encoded.
//!
//! Called by `server`, and by host programs that serve profiles on a server of their own, once for each request.
//! Deciding is done on the caller's thread, all that takes time on the `worker`'s. A dropped answer is a
//! cancelled one: when the client leaves, the future is dropped, and with it the wait, the first snapshot and
//! the place among the waiters. Encoding itself is not interrupted; one request at a time encodes.
//!
//! Path: *read path*.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{self, Buf};
use hyper::{Request, Response, StatusCode};

use crate::Error;
use crate::encode::Symbolize;
use crate::history::MarkError;
use crate::http::options::Options;
use crate::http::refusal::Refusal;
use crate::http::request::accept_header::MetricsFormat;
use crate::http::request::format::Format;
use crate::http::request::guard::Guard;
use crate::http::request::period::Period;
use crate::http::request::profile_request::ProfileRequest;
use crate::http::request::routes::{Decision, Rules, decide};
use crate::http::response::answer::{self, Answer, Body};
use crate::http::response::profile::{Profiles, Source, encode};
use crate::http::response::{index, metrics, symbol, timeline};
use crate::http::workers::executor::sleep_until;
use crate::http::workers::waiters::{Peer, Waiters};
use crate::http::workers::worker::{Lane, Worker};
use crate::kept_files;
use crate::per_process::PerProcess;
use crate::symbols::LinkageNames;

pub(super) use crate::http::request::routes::Mount;

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
/// handler knows no tokens and any `Host`. It still refuses what a web page of another origin sends.
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
/// Three threads, so that no thread of yours does its work, which live as long as the handler: `pprof-worker` records the
/// history (a snapshot a minute, see [`record_every`](crate::ServerBuilder::record_every)), waits for deltas, and makes
/// figures; `pprof-addresses` and `pprof-names` make profiles, without debug information and with it. Each does one thing
/// at a time. At most 64 requests for figures, 16 for addresses and 64 for names are worked on at once, 8 of them waiting
/// for `seconds=N` (1 to 300), each of which holds a snapshot; more are told to come back (429).
#[derive(Clone, Debug)]
pub struct Handler(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_installed: fn() -> bool,
    guard: Guard,
    rules: Rules,
    options: Options,
    /// Whether to keep a history.
    records: AtomicBool,
    source: Source,
    state: PerProcess<State>,
}

/// What threads share. A child of `fork` begins with another one: no history, nobody who waits, and no thread.
#[derive(Debug)]
struct State {
    profiles: Profiles,
    waiters: Waiters,
    worker: Worker,
    is_recording: AtomicBool,
}

impl Default for Handler {
    fn default() -> Handler {
        Handler::new()
    }
}

impl Handler {
    /// Answers from this process's profiler, and begins to record its history. Environment variables of the profiler are read as by
    /// `alloc_profiler::init_from_env`.
    #[must_use]
    pub fn new() -> Handler {
        alloc_profiler::init_from_env();
        let handler = Handler::with(Guard::of_mounted(), Mount::AnyPrefix, Options::from_env());
        handler.record();
        handler
    }

    /// As [`new`](Handler::new), with another largest `seconds=N` than 300: from 1 s to 24 hours, in whole seconds.
    ///
    /// # Errors
    ///
    /// [`Error::MaxDelta`] for any other time.
    ///
    /// # Examples
    ///
    /// ```
    /// let handler = pprof_server::Handler::with_max_delta(std::time::Duration::from_secs(30))?;
    /// # Ok::<(), pprof_server::Error>(())
    /// ```
    pub fn with_max_delta(time: Duration) -> Result<Handler, Error> {
        alloc_profiler::init_from_env();
        let options = Options { max_delta: time, ..Options::from_env() };
        options.check()?;
        let handler = Handler::with(Guard::of_mounted(), Mount::AnyPrefix, options);
        handler.record();
        Ok(handler)
    }

    pub(crate) fn with(guard: Guard, mount: Mount, options: Options) -> Handler {
        kept_files::keep();
        Handler(Arc::new(Shared {
            is_installed: alloc_profiler::is_installed,
            guard,
            rules: Rules { mount, max_delta: options.max_delta },
            options,
            records: AtomicBool::new(false),
            source: Source::of_this_process(),
            state: PerProcess::new(),
        }))
    }

    /// This process's.
    fn state(&self) -> &State {
        let shared = &self.0;
        let state = shared.state.get(|| State {
            profiles: Profiles::new(shared.source, shared.options.record_period),
            waiters: Waiters::default(),
            worker: Worker::new(),
            is_recording: AtomicBool::new(false),
        });
        if shared.records.load(Relaxed) && !state.is_recording.swap(true, Relaxed) {
            state.record(shared.options.record_period);
        }
        state
    }

    /// Begins to keep a snapshot for each period, the first at once. Where no thread can be started, the history stays
    /// empty. It is started in any case, since the program may enter a sandbox that forbids that.
    pub(crate) fn record(&self) {
        self.0.records.store(true, Relaxed);
        self.state();
    }

    /// The answer to `request`. Every failure is one: a panic on the way is a 500.
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
            // Nothing outlives a panicked answer but the places among the waiters, which it gives back.
            catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))).unwrap_or_else(|_| {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Poll::Ready(answer::refusal(&Refusal::new(
                    status,
                    "the profiler panicked; see standard error",
                )))
            })
        })
        .await
    }

    /// Answers all who wait with 503, and every later request, in any clone: for a server that stops gracefully, which
    /// would otherwise wait for the longest delta. Returns at once.
    pub fn shutdown(&self) {
        self.state().worker.stop();
    }

    /// Waits for the thread after `shutdown`: as long as one profile is being encoded.
    pub(crate) fn join(&self) {
        self.state().worker.join();
    }

    /// Answers from `snapshot`, which may be slow, or panic.
    #[cfg(test)]
    pub(crate) fn of(self, snapshot: fn() -> alloc_profiler::Snapshot) -> Handler {
        let Ok(shared) = Arc::try_unwrap(self.0) else { panic!("a new handler has no clones") };
        Handler(Arc::new(Shared { source: Source::of(snapshot), state: PerProcess::new(), ..shared }))
    }

    /// The longest delta.
    pub(crate) fn max_delta(&self) -> Duration {
        self.0.rules.max_delta
    }

    async fn respond_or_panic<B>(&self, request: Request<B>) -> Answer
    where
        B: body::Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let uri = request.uri();
        let decision = match self.0.guard.admit(uri, request.version(), request.headers()) {
            Ok(()) => decide(self.0.rules, request.method(), uri.path(), uri.query()),
            Err(refusal) => Decision::Refuse(refusal),
        };
        let answered = match decision {
            Decision::Index => self.index(uri.path()).await,
            Decision::Asset(asset) => Ok(answer::asset(asset, request.headers())),
            Decision::Profile(wanted) => {
                let peer = request.extensions().get::<Peer>().copied();
                self.profile(wanted, peer).await
            }
            Decision::Symbol => self.symbol(request).await,
            Decision::Cmdline => arguments(&self.0.options).map(answer::raw_text),
            Decision::History => self.timeline().await,
            Decision::Marks => self.marks().await,
            Decision::SetMark { name, replaces } => self.set_mark(name, replaces).await,
            Decision::Leaks(format) => self.leaks(format).await,
            Decision::Metrics { with_malloc } => {
                self.metrics(with_malloc, MetricsFormat::wanted(request.headers())).await
            }
            Decision::Redirect(location) => Ok(answer::redirect(&location)),
            Decision::Refuse(refusal) => Err(refusal),
        };
        answered.unwrap_or_else(|refusal| answer::refusal(&refusal))
    }

    async fn index(&self, path: &str) -> Result<Answer, Refusal> {
        let (profiles, is_installed) = (self.state().profiles.clone(), self.0.is_installed);
        let is_place_unknown = self.0.rules.mount == Mount::AnyPrefix && path.len() <= 1;
        let page = async move { index::page(&profiles.now(), is_installed(), is_place_unknown) };
        let page = self.state().worker.run(Lane::Figures, page).await?;
        Ok(answer::html(page, index::policy(is_place_unknown)))
    }

    async fn metrics(&self, with_malloc: bool, format: MetricsFormat) -> Result<Answer, Refusal> {
        let (profiles, is_installed) = (self.state().profiles.clone(), self.0.is_installed);
        let text = async move { metrics::text(&profiles.now(), is_installed(), with_malloc, format) };
        // mutant: D13 figures wait for names
        self.state().worker.run(Lane::Figures, text).await.map(|text| answer::metrics(text, format))
    }

    async fn timeline(&self) -> Result<Answer, Refusal> {
        let (profiles, is_installed) = (self.state().profiles.clone(), self.0.is_installed);
        let json = async move {
            let now = profiles.now();
            timeline::json(&profiles.history(), &now, is_installed())
        };
        self.state().worker.run(Lane::Figures, json).await.map(answer::json)
    }

    async fn marks(&self) -> Result<Answer, Refusal> {
        let profiles = self.state().profiles.clone();
        self.state()
            .worker
            .run(Lane::Figures, async move { timeline::marks(&profiles.history()) })
            .await
            .map(answer::text)
    }

    async fn set_mark(&self, name: String, replaces: bool) -> Result<Answer, Refusal> {
        let profiles = self.state().profiles.clone();
        let set = self.state().worker.run(Lane::Figures, async move { profiles.mark(&name, replaces) });
        let conflict = |text| Refusal::new(StatusCode::CONFLICT, text);
        match set.await? {
            Ok(()) => Ok(answer::created("mark set\n".to_owned())),
            Err(MarkError::Exists) => {
                Err(conflict("a mark of that name is set already; add replace=1 to set it anew"))
            }
            Err(MarkError::TooMany) => Err(conflict(
                "16 marks are set, and there is no room for more; set one of them anew with replace=1",
            )),
            Err(MarkError::NoRoom) => Err(conflict(
                "marks take half of the history's memory, and there is no room for more; set one of them anew with replace=1",
            )),
        }
    }

    async fn leaks(&self, format: Format) -> Result<Answer, Refusal> {
        let profiles = self.state().profiles.clone();
        self.state().worker.run(Lane::Names, async move { profiles.leaks(&format) }).await?
    }

    async fn profile(&self, wanted: ProfileRequest, peer: Option<Peer>) -> Result<Answer, Refusal> {
        let _waiting = match wanted.period {
            Period::Next(_) => Some(self.state().waiters.admit(peer, wanted.options.kind)?),
            _ => None,
        };
        let (profiles, worker) = (self.state().profiles.clone(), &self.state().worker);
        let lane = match wanted.options.symbolize {
            Symbolize::None => Lane::Addresses,
            Symbolize::Names | Symbolize::Full => Lane::Names,
        };
        let place = worker.place(lane)?;
        if let Period::Next(time) = wanted.period {
            let with_ages = wanted.needs_ages();
            let delta = async move { profiles.delta(time, with_ages).await };
            let delta = worker.run_in(&place, Lane::Figures, delta).await?;
            worker.run_in(&place, lane, async move { encode(delta, &wanted) }).await?
        } else {
            worker.run_in(&place, lane, async move { profiles.profile(&wanted) }).await?
        }
    }

    async fn symbol<B>(&self, request: Request<B>) -> Result<Answer, Refusal>
    where
        B: body::Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let words = symbol::words(request, &self.state().worker).await?;
        let answer = async move {
            let question = symbol::Question::read(&words)?;
            let names = LinkageNames::of(&question.addresses, symbol::MAX_ANSWER_BYTES);
            Ok(answer::text(question.answer(&names)))
        };
        self.state().worker.run(Lane::Addresses, answer).await?
    }
}

impl State {
    fn record(&self, period: Option<Duration>) {
        let Some(period) = period else {
            let _ = self.worker.spawn(Lane::Figures, async {});
            return;
        };
        let profiles = self.profiles.clone();
        let _ = self.worker.spawn(Lane::Figures, async move {
            let mut next = Instant::now();
            loop {
                profiles.record();
                // Where the machine slept or was busy, one record is enough for what was missed.
                next = Instant::now().max(next + period);
                sleep_until(next).await;
            }
        });
    }
}

/// The program's arguments as Go writes them: joined by NUL, without one at the end.
fn arguments(options: &Options) -> Result<Vec<u8>, Refusal> {
    if !options.cmdline {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "Unknown profile: this program serves heap profiles only, at /debug/pprof/heap and \
             /debug/pprof/allocs; its arguments may hold secrets, and PPROF_CMDLINE=1 in its environment shows them",
        ));
    }
    let arguments: Vec<_> = std::env::args_os().map(std::ffi::OsString::into_encoded_bytes).collect();
    Ok(arguments.join(&0))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::workers::waiters::MAX_WAITING_DELTAS;
    use http_body_util::{BodyExt, Empty};
    use hyper::body::Bytes;
    use std::sync::{Mutex, mpsc};
    use std::time::Instant;
    use tokio::time::timeout;

    fn get(target: &str) -> Request<Empty<Bytes>> {
        Request::get(target).header("host", "localhost").body(Empty::new()).unwrap()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    /// As `run`, without a clock, a reactor or any of tokio: the simplest executor there can be.
    fn run_bare<T>(future: impl Future<Output = T>) -> T {
        poll_bare(future).0
    }

    /// What the future gives, and the longest time that it kept the executor.
    fn poll_bare<T>(future: impl Future<Output = T>) -> (T, Duration) {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut future = pin!(future);
        let mut longest = Duration::ZERO;
        loop {
            let started = Instant::now();
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            longest = longest.max(started.elapsed());
            match polled {
                Poll::Ready(done) => return (done, longest),
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn a_panic_is_a_500_and_the_next_request_is_served() {
        run(async {
            let broken = Handler::new().of(|| panic!("on purpose"));
            let answer = broken.respond(get("/debug/pprof/heap")).await;
            assert_eq!(answer.status(), 500);
            assert_eq!(answer.headers()["x-go-pprof"], "1");
            // Places are given back on the way out of a panic.
            for _ in 0..2 * MAX_WAITING_DELTAS {
                let answer = broken.respond(get("/debug/pprof/heap?seconds=1")).await;
                assert_eq!(answer.status(), 500);
            }
            let answer = broken.respond(get("/debug/pprof/symbol")).await;
            assert_eq!(answer.status(), 200);
        });
    }

    #[test]
    fn any_executor_will_do() {
        let handler = Handler::new();
        for target in ["/debug/pprof/", "/heap", "/heap?debug=1", "/allocs?seconds=1", "/symbol?0x1"] {
            let started = Instant::now();
            assert_eq!(run_bare(handler.respond(get(target))).status(), 200, "{target}");
            assert!(!target.contains("seconds") || started.elapsed() >= Duration::from_secs(1), "{target}");
        }
        let post =
            Request::post("/symbol").body(http_body_util::Full::new(Bytes::from_static(b"0x1"))).unwrap();
        assert_eq!(run_bare(handler.respond(post)).status(), 200);
    }

    #[test]
    fn the_callers_thread_is_never_held_up() {
        let slow = || {
            std::thread::sleep(Duration::from_secs(1));
            alloc_profiler::snapshot()
        };
        let handler = Handler::new().of(slow);
        for target in ["/", "/heap", "/heap?debug=1", "/allocs?seconds=1"] {
            let (answer, longest) = poll_bare(handler.respond(get(target)));
            assert_eq!(answer.status(), 200, "{target}");
            assert!(longest < Duration::from_millis(500), "{target}: {longest:?}");
        }
    }

    #[test]
    fn requests_that_wait_are_bounded_in_number() {
        run(async {
            let handler = Handler::new();
            let worker = &handler.state().worker;
            let mut waiting = Vec::new();
            for _ in 0..Lane::Names.max_jobs() {
                let mut job = Box::pin(worker.run(Lane::Names, std::future::pending::<()>()));
                assert!(timeout(Duration::ZERO, &mut job).await.is_err());
                waiting.push(job);
            }
            let refused = handler.respond(get("/heap")).await;
            assert_eq!(
                (refused.status().as_u16(), &refused.headers()["retry-after"]),
                (429, &"1".parse().unwrap())
            );
            drop(waiting);
            assert_eq!(handler.respond(get("/heap")).await.status(), 200);
        });
    }

    /// While names are looked up for one request, which here takes until all others are answered.
    #[test]
    fn who_needs_no_names_does_not_wait_for_them() {
        static NAMED: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);
        let (go_on, named) = mpsc::channel();
        *NAMED.lock().unwrap() = Some(named);
        let handler = Handler::new().of(|| {
            if std::thread::current().name() == Some("pprof-names") {
                let named = NAMED.lock().unwrap().take().expect("one request for names");
                named.recv_timeout(Duration::from_secs(30)).expect("the others are not answered");
            }
            alloc_profiler::snapshot()
        });
        run(async {
            let mut slow = pin!(handler.respond(get("/heap")));
            for target in [
                "/",
                "/metrics",
                "/history",
                "/mark",
                "/symbol?0x1",
                "/heap?symbolize=none",
                "/heap?symbolize=none&debug=1",
                "/heap?seconds=1&symbolize=none",
            ] {
                assert!(timeout(Duration::ZERO, &mut slow).await.is_err(), "{target}");
                assert_eq!(handler.respond(get(target)).await.status(), 200, "{target}");
            }
            go_on.send(()).unwrap();
            assert_eq!(slow.await.status(), 200);
        });
    }

    #[test]
    fn the_index_mends_its_links_only_where_it_must() {
        let handler = Handler::new();
        let page = |path: &str| {
            let body = run_bare(async { handler.respond(get(path)).await.into_body().collect().await });
            String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
        };
        assert!(page("/").contains("<script>"));
        assert!(!page("/debug/pprof/").contains("<script>"));
    }

    #[test]
    fn one_delta_of_a_kind_for_each_client_whose_place_is_free_when_it_leaves() {
        run(async {
            let handler = Handler::new();
            let ask = |target: &str| {
                let mut request = get(target);
                request.extensions_mut().insert(Peer::UNIX);
                handler.respond(request)
            };
            let mut waiting = Box::pin(ask("/heap?seconds=300"));
            assert!(timeout(Duration::from_millis(10), &mut waiting).await.is_err());
            let refused = ask("/heap?seconds=1").await;
            assert_eq!(
                (refused.status().as_u16(), &refused.headers()["retry-after"]),
                (429, &"10".parse().unwrap())
            );
            assert_eq!(ask("/heap").await.status(), 200, "a plain profile needs no place");
            // Dropped while it waits, as when the client leaves.
            drop(waiting);
            assert_eq!(ask("/heap?seconds=1").await.status(), 200);
        });
    }

    #[test]
    fn a_delta_ends_when_the_server_stops() {
        run(async {
            let handler = Handler::new();
            let mut answer = pin!(handler.respond(get("/debug/pprof/heap?seconds=300")));
            assert!(timeout(Duration::from_millis(10), &mut answer).await.is_err());
            handler.clone().shutdown();
            assert_eq!(answer.await.status(), 503);
            assert_eq!(handler.respond(get("/heap")).await.status(), 503);
            handler.join();
        });
    }

    #[test]
    fn a_mounted_handler_has_a_longest_delta_too() {
        let handler = Handler::with_max_delta(Duration::from_secs(1)).unwrap();
        assert_eq!(run_bare(handler.respond(get("/heap?seconds=1"))).status(), 200);
        assert_eq!(run_bare(handler.respond(get("/heap?seconds=2"))).status(), 400);
        for time in [Duration::from_millis(500), Duration::MAX] {
            assert!(matches!(Handler::with_max_delta(time), Err(Error::MaxDelta { .. })));
        }
    }

    #[test]
    fn arguments_are_told_if_asked_for() {
        let answer = |cmdline| arguments(&Options { cmdline, ..Options::from_env() });
        assert_eq!(answer(false).unwrap_err().status, StatusCode::NOT_FOUND);
        let told = answer(true).unwrap();
        let expected: Vec<String> = std::env::args().collect();
        assert_eq!(String::from_utf8(told).unwrap(), expected.join("\0"));
    }
}

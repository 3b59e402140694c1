//! Answers a request: takes the snapshot, waits if a delta is asked for, has it encoded.
//!
//! Called by `server`, once for each request. A dropped answer is a cancelled one: when the client leaves, hyper
//! drops the future, and with it the wait, the first snapshot and the permit. Encoding itself is not
//! interrupted; one request at a time encodes, since there is one thread.
//!
//! Path: *read path*.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use alloc_profiler::Snapshot;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::{Method, Request, StatusCode};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::answer::{self, Answer};
use super::clients::Clients;
use super::options::Options;
use super::routes::{Decision, Format, Period, ProfileRequest, Refusal, decide};
use super::{guard, index, metrics, symbol};
use crate::encode::{ProfileKind, heap_folded, heap_profile, heap_text, top_json, top_table};
use crate::process;

/// Deltas that may wait at once: each holds a snapshot. Below the limit on connections, so that a plain profile
/// can always be had.
const MAX_WAITING_DELTAS: usize = 8;
/// Largest body of a `symbol` request: some 70 000 addresses.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Longest time for that body to arrive.
const MAX_BODY_TIME: Duration = Duration::from_secs(5);

/// Answers requests from a profiler. Clones share the permits for deltas, and what clients have had.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    snapshot: fn() -> Snapshot,
    is_installed: fn() -> bool,
    deltas: Arc<Semaphore>,
    /// Who has called `delta_heap`.
    clients: Arc<Mutex<Clients>>,
    options: Options,
}

/// Tells that the server is stopping: `changed` returns an error once the sender is gone.
pub(super) type Stopping = watch::Receiver<()>;

impl Handler {
    /// Answers from this process's profiler.
    pub(crate) fn new() -> Handler {
        Handler {
            snapshot: alloc_profiler::snapshot,
            is_installed: alloc_profiler::is_installed,
            deltas: Arc::new(Semaphore::new(MAX_WAITING_DELTAS)),
            clients: Arc::default(),
            options: Options::from_env(),
        }
    }

    /// The answer to `request`. A panic on the way becomes a 500.
    pub(super) async fn answer<B>(self, request: Request<B>, stopping: Stopping) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let mut answer = pin!(self.answer_or_panic(request, stopping));
        poll_fn(|cx| {
            // Nothing outlives a panicked answer but the permits, which are atomic.
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

    async fn answer_or_panic<B>(self, request: Request<B>, stopping: Stopping) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let uri = request.uri();
        let admitted = guard::admit(uri, request.version(), request.headers());
        let decision = match admitted {
            Ok(()) => decide(request.method(), uri.path(), uri.query()),
            Err(refusal) => Decision::Refuse(refusal),
        };
        match decision {
            Decision::Index => answer::html(index::page(&(self.snapshot)(), (self.is_installed)())),
            Decision::Profile(wanted) => {
                self.profile(&wanted, stopping).await.unwrap_or_else(|refusal| answer::refusal(&refusal))
            }
            Decision::Symbol => match words(request).await {
                Ok(words) => answer::text(symbol::names(&words, crate::symbols::mangled_names)),
                Err(refusal) => answer::refusal(&refusal),
            },
            Decision::Cmdline => match arguments(&self.options) {
                Ok(arguments) => answer::raw_text(arguments),
                Err(refusal) => answer::refusal(&refusal),
            },
            Decision::Metrics { with_malloc } => {
                let snapshot = (self.snapshot)();
                answer::metrics(metrics::text(&snapshot, (self.is_installed)(), with_malloc))
            }
            Decision::Redirect(location) => answer::redirect(&location),
            Decision::Refuse(refusal) => answer::refusal(&refusal),
        }
    }

    async fn profile(&self, wanted: &ProfileRequest, stopping: Stopping) -> Result<Answer, Refusal> {
        if wanted.releases_free_memory {
            alloc_profiler::release_free_memory();
        }
        let snapshot = match &wanted.period {
            Period::SinceStart => (self.snapshot)(),
            Period::Next(time) => self.delta(*time, stopping).await?,
            Period::SinceLastCall { client, is_peek } => self.since_last_call(client, *is_peek),
        };
        let options = &wanted.options;
        Ok(match wanted.format {
            Format::Pprof => answer::profile(heap_profile(&snapshot, options), disposition(wanted)),
            Format::Legacy => answer::text(heap_text(&snapshot, options)),
            Format::Table { rows } => answer::text(format!("{:.rows$}", top_table(&snapshot, options))),
            Format::Json { rows } => answer::json(top_json(&snapshot, options, rows)),
            Format::Folded => answer::text(heap_folded(&snapshot, options)),
        })
    }

    /// What was allocated since `client` last called, and what is in use.
    fn since_last_call(&self, client: &str, is_peek: bool) -> Snapshot {
        let now = (self.snapshot)();
        // A panic while the lock was held lost one client at most.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.since_last_call(client, now, process::age().unwrap_or_default(), is_peek)
    }

    /// What changes in `time`.
    async fn delta(&self, time: Duration, mut stopping: Stopping) -> Result<Snapshot, Refusal> {
        let Ok(_permit) = self.deltas.try_acquire() else {
            let text = "too many profiles with seconds are being taken; try again later";
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, text);
            return Err(Refusal { retry_after: Some("10"), ..refusal });
        };
        let before = (self.snapshot)();
        tokio::select! {
            () = sleep(time) => Ok((self.snapshot)().since(&before)),
            _ = stopping.changed() => {
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the profile server is shutting down"))
            }
        }
    }
}

/// The name that `curl -OJ` gives to a profile: Go's, and godeltaprof's.
fn disposition(wanted: &ProfileRequest) -> &'static str {
    match (wanted.options.kind, &wanted.period) {
        (ProfileKind::Heap, Period::SinceStart) => r#"attachment; filename="heap""#,
        (ProfileKind::Heap, Period::Next(_)) => r#"attachment; filename="heap-delta""#,
        (ProfileKind::Allocs, Period::SinceStart) => r#"attachment; filename="allocs""#,
        (ProfileKind::Allocs, Period::Next(_)) => r#"attachment; filename="allocs-delta""#,
        (_, Period::SinceLastCall { .. }) => r#"attachment; filename="heap""#,
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

/// The words of a `symbol` request: the body of a POST, else the raw query.
async fn words<B>(request: Request<B>) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    if *request.method() != Method::POST {
        return Ok(Bytes::copy_from_slice(request.uri().query().unwrap_or_default().as_bytes()));
    }
    let too_long = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "a symbol request must be at most 1 MiB");
    let body = request.into_body();
    // Asked before the first read: a client that waits for `100 Continue` then never sends the body.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_long());
    }
    match timeout(MAX_BODY_TIME, pin!(Limited::new(body, MAX_BODY_BYTES)).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "reading request: unexpected EOF")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "reading request: timed out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Empty, Full};
    use std::time::Instant;

    fn handler_of(snapshot: fn() -> Snapshot) -> Handler {
        Handler { snapshot, ..Handler::new() }
    }

    fn get(target: &str) -> Request<Empty<Bytes>> {
        Request::get(target).header("host", "localhost").body(Empty::new()).unwrap()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    /// A server that is not stopping.
    fn never() -> (watch::Sender<()>, Stopping) {
        watch::channel(())
    }

    #[test]
    fn a_panic_is_a_500_and_the_next_request_is_served() {
        run(async {
            let (_sender, stopping) = never();
            let broken = handler_of(|| panic!("on purpose"));
            let answer = broken.clone().answer(get("/debug/pprof/heap"), stopping.clone()).await;
            assert_eq!(answer.status(), 500);
            assert_eq!(answer.headers()["x-go-pprof"], "1");
            // Permits are given back on the way out of a panic.
            for _ in 0..2 * MAX_WAITING_DELTAS {
                let answer =
                    broken.clone().answer(get("/debug/pprof/heap?seconds=1"), stopping.clone()).await;
                assert_eq!(answer.status(), 500);
            }
            let answer = broken.answer(get("/debug/pprof/symbol"), stopping).await;
            assert_eq!(answer.status(), 200);
        });
    }

    #[test]
    fn a_delta_lasts_as_long_as_asked_and_gives_its_permit_back() {
        run(async {
            let (_sender, stopping) = never();
            let handler = handler_of(alloc_profiler::snapshot);
            let started = Instant::now();
            let delta = handler.delta(Duration::from_millis(50), stopping.clone()).await.unwrap();
            assert!(delta.duration.is_some() && started.elapsed() >= Duration::from_millis(50));

            let waiting: Vec<_> =
                (0..MAX_WAITING_DELTAS).map(|_| handler.deltas.try_acquire().unwrap()).collect();
            let refusal = handler.delta(Duration::ZERO, stopping.clone()).await.unwrap_err();
            assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
            drop(waiting);

            // Dropped while it waits, as when the client leaves.
            assert!(
                timeout(Duration::from_millis(10), handler.delta(Duration::MAX, stopping)).await.is_err()
            );
            assert_eq!(handler.deltas.available_permits(), MAX_WAITING_DELTAS);
        });
    }

    #[test]
    fn a_delta_ends_when_the_server_stops() {
        run(async {
            let (sender, stopping) = never();
            let handler = handler_of(alloc_profiler::snapshot);
            let answer = handler.answer(get("/debug/pprof/heap?seconds=300"), stopping);
            let mut answer = pin!(answer);
            assert!(timeout(Duration::from_millis(10), &mut answer).await.is_err());
            drop(sender);
            assert_eq!(answer.await.status(), 503);
        });
    }

    #[test]
    fn arguments_are_told_if_asked_for() {
        assert_eq!(arguments(&Options { cmdline: false }).unwrap_err().status, StatusCode::NOT_FOUND);
        let told = arguments(&Options { cmdline: true }).unwrap();
        let expected: Vec<String> = std::env::args().collect();
        assert_eq!(String::from_utf8(told).unwrap(), expected.join("\0"));
    }

    #[test]
    fn a_symbol_body_is_bounded_in_size() {
        let post = |body| Request::post("/debug/pprof/symbol").body(body).unwrap();
        run(async {
            let long = Full::new(Bytes::from(vec![b'1'; MAX_BODY_BYTES + 1]));
            assert_eq!(words(post(long)).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
            let whole = Full::new(Bytes::from_static(b"0x1+0x2"));
            assert_eq!(words(post(whole)).await.unwrap(), "0x1+0x2");
        });
    }
}

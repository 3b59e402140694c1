use super::*;
use crate::Error;
use crate::http::workers::Lane;
use crate::http::workers::waiters::MAX_WAITING_DELTAS;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use std::io::Read;
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
    let post = Request::post("/symbol").body(http_body_util::Full::new(Bytes::from_static(b"0x1"))).unwrap();
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
        let workers = &handler.state().workers;
        let mut waiting = Vec::new();
        for _ in 0..Lane::Names.max_jobs() {
            let mut job = Box::pin(workers.run(Lane::Names, std::future::pending::<()>()));
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

/// While memory is searched for one request, which here takes until all others are answered.
#[test]
fn whoever_wants_names_does_not_wait_for_searches() {
    let handler = Handler::new();
    let (go_on, is_over) = mpsc::channel::<()>();
    run(async {
        let search = async move { is_over.recv_timeout(Duration::from_secs(30)).is_ok() };
        let mut search = pin!(handler.state().workers.run(Lane::Searches, search));
        assert!(timeout(Duration::ZERO, &mut search).await.is_err());
        let mut searches: Vec<_> = ["/holders", "/goroutineleak", "/leaks?holders=1"]
            .into_iter()
            .map(|target| Box::pin(handler.respond(get(target))))
            .collect();
        for target in
            ["/", "/metrics", "/history", "/heap", "/allocs?debug=1", "/leaks", "/goroutine", "/threadcreate"]
        {
            for search in &mut searches {
                assert!(timeout(Duration::ZERO, search).await.is_err(), "a search waits for its turn");
            }
            assert_eq!(handler.respond(get(target)).await.status(), 200, "{target}");
        }
        assert_eq!(handler.respond(get("/holders")).await.status(), 429, "four wait for their turn");
        go_on.send(()).unwrap();
        assert!(search.await.unwrap(), "the others were answered meanwhile");
        for search in searches {
            search.await;
        }
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
    let handler = Handler::builder().max_delta(Duration::from_secs(1)).handler().unwrap();
    assert_eq!(run_bare(handler.respond(get("/heap?seconds=1"))).status(), 200);
    assert_eq!(run_bare(handler.respond(get("/heap?seconds=2"))).status(), 400);
    for time in [Duration::from_millis(500), Duration::MAX] {
        let error = Handler::builder().max_delta(time).handler().unwrap_err();
        assert!(matches!(error, Error::MaxDelta { .. }), "{error}");
    }
}

#[test]
fn moments_that_are_missing_are_told_wherever_the_past_is() {
    let options = Options { record_period: Some(Duration::from_secs(3600)), ..Options::from_env() };
    let handler = Handler::with(Guard::open(), Mount::AnyPrefix, options);
    let snapshots = handler.state().snapshots.clone();
    snapshots.record();
    let ask = |target: &str| {
        let body = run_bare(async { handler.respond(get(target)).await.into_body().collect().await });
        let body = body.unwrap().to_bytes();
        let mut whole = Vec::new();
        let is_gzip = body.starts_with(b"\x1f\x8b");
        if is_gzip {
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut whole).unwrap()
        } else {
            0
        };
        String::from_utf8_lossy(if is_gzip { &whole } else { &body }).into_owned()
    };
    let of_the_past = [
        "/heap?ago=1s",
        "/heap?ago=1s&symbolize=none",
        "/heap?since=peak&format=json",
        "/heap?at=peak&format=json",
        "/allocs?ago=1s&format=json",
        "/history",
        "/leaks?format=json",
    ];
    let told = "memory was too short for a record 2 times; give the program more address space (ulimit -v)";
    for target in of_the_past {
        let text = ask(target);
        assert!(!text.is_empty() && !text.contains("too short for a record"), "{target}: {text}");
    }
    assert!(ask("/metrics").contains("\npprof_missing_records_total 0\n"));
    (0..2).for_each(|_| snapshots.history().pass_over());
    for target in of_the_past {
        let text = ask(target);
        assert_eq!(text.matches(told).count(), 1, "{target}: {text}");
    }
    assert!(ask("/metrics").contains("\npprof_missing_records_total 2\n"));
    for target in ["/heap", "/heap?format=json", "/heap?seconds=1&format=json"] {
        assert!(!ask(target).contains("too short for a record"), "{target}");
    }
}

#[test]
fn arguments_are_told_if_asked_for() {
    let answer = |cmdline| {
        let options = Options { cmdline, ..Options::from_env() };
        Handler::with(Guard::open(), Mount::AnyPrefix, options).cmdline()
    };
    assert_eq!(answer(false).unwrap_err().status, StatusCode::NOT_FOUND);
    let body = run_bare(answer(true).unwrap().into_body().collect());
    let told = body.unwrap().to_bytes().to_vec();
    let expected: Vec<String> = std::env::args().collect();
    assert_eq!(String::from_utf8(told).unwrap(), expected.join("\0"));
}

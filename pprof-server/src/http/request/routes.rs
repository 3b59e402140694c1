//! This decides what a request asks for, from its method, path and query alone.
//!
//! `handler` calls this for every request. Order and texts are Go's: clean the path, then the method, then the page's
//! name, then the query, in which our own parameters come last, so that a mistake that Go knows gets Go's answer.
//!
//! The table [`ROUTES`] has a row for each page. A new kind of profile is one more row, which names its source.
//!
//! Path: *read path*. Pure: no clock, no socket, no profile.

use std::time::Duration;

use hyper::{Method, StatusCode};

use super::format::SuspectsRequest;
use super::kind::Kind;
use super::lock_request::{CountsRequest, CurrentRequest};
use super::parameters;
use super::path::{Destination, Mount, destination};
use super::process_request::{CpuRequest, GoroutineRequest, HoldersRequest, WallRequest};
use super::profile_request::{DeltaHeapRequest, ProfileRequest};
use super::trace_request::TraceRequest;
use super::unknown;
use crate::encode::ProfileKind;
use crate::http::refusal::Refusal;
use crate::sources::goroutine;
use crate::sources::locks::Counted;

/// What the owner of a server decides about its routes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) mount: Mount,
    /// Limits how long a delta may take, in whole seconds.
    pub(crate) max_delta: Duration,
}

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Show the page that lists the profiles.
    Index,
    /// Send a file of that page.
    Asset(Asset),
    /// Make a profile.
    Profile(ProfileRequest),
    /// Make a profile of what this client has not had yet.
    DeltaHeap(DeltaHeapRequest),
    /// Sample CPU time.
    Cpu(CpuRequest),
    /// Trace what happens as time goes by.
    Trace(TraceRequest),
    /// Record what threads do as time goes by.
    Wall(WallRequest),
    /// Tell where threads are, or where they began.
    Goroutine(GoroutineRequest),
    /// Tell what keeps blocks alive.
    Holders(HoldersRequest),
    /// Count waits.
    Counts(CountsRequest),
    /// Tell who waits at this moment.
    Current(CurrentRequest),
    /// Name the addresses in the query or the body.
    Symbol,
    /// Tell the program's arguments, if they may be told.
    Cmdline,
    /// Tell the time line of what was recorded.
    History,
    /// List the marks.
    Marks,
    /// Set a mark at this moment.
    SetMark {
        name: String,
        /// A mark of that name may be there.
        replaces: bool,
    },
    /// Report the suspects: the sites that grow.
    Suspects(SuspectsRequest),
    /// Tell the profiler's figures, for Prometheus.
    Metrics {
        /// Those of the system's allocator too, which holds up other threads.
        with_malloc: bool,
    },
    /// Send the client to this location (307). It is relative to the path that was asked for, of which a proxy may have
    /// stripped a prefix.
    Redirect(String),
    /// Answer with an error.
    Refuse(Refusal),
}

/// Names a file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asset {
    Script,
    Style,
}

/// Describes a page below `/debug/pprof/`.
struct Route {
    name: &'static str,
    /// The methods that it takes, as the header `Allow` lists them.
    methods: &'static str,
    /// What the index says of it, as HTML.
    description: Option<&'static str>,
    decide: Decide,
}

type Decide = fn(&Asked<'_>) -> Result<Decision, Refusal>;

/// A request for a page, by a method that the page takes.
struct Asked<'a> {
    method: &'a Method,
    query: &'a str,
    /// Limits how long a delta may take, in whole seconds.
    max_delta: Duration,
}

/// All pages; those with a description are in the order of the index.
const ROUTES: &[Route] = &[
    Route::get("", |_| Ok(Decision::Index)),
    Route::get("ui.js", |_| Ok(Decision::Asset(Asset::Script))),
    Route::get("ui.css", |_| Ok(Decision::Asset(Asset::Style))),
    Route::get("allocs", |asked| profile(Kind::of_heap("allocs", ProfileKind::Allocs), asked))
        .described("A sampling of all past memory allocations"),
    Route::get("heap", |asked| profile(Kind::of_heap("heap", ProfileKind::Heap), asked)).described(
        "A sampling of memory allocations of live objects. Set seconds=N to see what changes in the next N seconds \
         instead, gc=1 to give free pages back to the system first, min_age=10m to see what is older and still there, \
         format=text, folded or json for a table, a flame graph or a program.",
    ),
    Route::get("leaks", suspects).described(
        "Which stacks leak, the surest first, told from caches, bursts and queues. Set window=10m to look at that time \
         alone, holders=1 to see what keeps their memory alive, format=json, or format=pprof for a profile of these stacks.",
    ),
    Route::get("holders", |asked| HoldersRequest::read(asked.query).map(Decision::Holders)).described(
        "What keeps memory alive: the chain of holders from a variable to the blocks, for those of the leaks, or for stack=NAME, \
         top=10 or min_age=10m. Memory is searched for pointers, up to five times.",
    ),
    Route::get("history", history).described(
        "What was recorded once in a while, as JSON: heap?ago=10m, heap?since=TIME and heap?at=TIME look back at it.",
    ),
    Route::get("mark", mark)
        .and_post()
        .described("Marks set; POST mark?name=NAME sets one, and heap?since=NAME looks back at it."),
    Route::get("delta_heap", delta_heap).described(
        "What was allocated since this client's last call, and what is in use. Set client=NAME to keep several readers \
         apart.",
    ),
    Route::get("delta_block", |asked| delta_counts(Counted::Block, asked)).described(
        "What threads have waited since this client's last call, as block counts it. Set client=NAME to keep several readers apart.",
    ),
    Route::get("delta_mutex", |asked| delta_counts(Counted::Mutex, asked)).described(
        "Who has made others wait since this client's last call, as mutex counts it. Set client=NAME to keep several readers apart.",
    ),
    Route::get("metrics", metrics).described(
        "The profiler's figures and the process's, for Prometheus; also at /metrics. Set malloc=1 to tell a leak from \
         what the allocator keeps.",
    ),
    Route::get("symbol", |_| Ok(Decision::Symbol)).and_post().described(
        "Maps given program counters to function names. Counters can be specified in a GET raw query or POST body, \
         multiple counters are separated by '+'.",
    ),
    Route::get("cmdline", |_| Ok(Decision::Cmdline)),
    // What `go tool pprof HOST:PORT` asks for.
    Route::get("profile", |asked| CpuRequest::read(asked.query, asked.max_delta).map(Decision::Cpu)).described(
        "CPU profile. You can specify the duration in the seconds GET parameter (30 unless it says otherwise), and the \
         samples in a second of a thread's CPU time in hz (100). Set format=text, folded or json for a table, a flame graph \
         or a program.",
    ),
    Route::get("goroutine", |asked| {
        goroutine(goroutine::Kind::Goroutine, asked)
    })
    .described(
        "Stack traces of all current threads: what they run, or where they wait. Use debug=2 as a query parameter to export in the \
         same format as an unrecovered panic.",
    ),
    Route::get("goroutineleak", |asked| goroutine(goroutine::Kind::GoroutineLeak, asked)).described(
        "Tasks that nobody can wake: what they wait for is known by no variable, by no stack, and by no task but such as wait \
         likewise. Memory is searched for pointers, twice. Use debug=2 as a query parameter to export in the same format as an \
         unrecovered panic.",
    ),
    Route::get("threadcreate", |asked| goroutine(goroutine::Kind::ThreadCreate, asked))
        .described("Where the threads began that there are"),
    Route::get("fgprof", |asked| WallRequest::read(asked.query, asked.max_delta).map(Decision::Wall)).described(
        "What threads do and where they wait as time goes by; also at /debug/fgprof. You can specify the duration in the seconds \
         GET parameter (30 unless it says otherwise).",
    ),
    Route::get("block", block)
        .described("Where threads wait for locks and for each other, if the program has install!(locks = true). You can specify the duration in the seconds \
         GET parameter. Set current=1 to see who waits at this moment, and whether that is a deadlock; this needs nothing in the program."),
    Route::get("mutex", |asked| counts(Counted::Mutex, asked))
        .described("Who gives back locks that others have waited for, if the program has install!(locks = true). You can specify the duration in the \
         seconds GET parameter."),
    Route::get("trace", |asked| TraceRequest::read(asked.query, asked.max_delta).map(Decision::Trace)).described(
        "A trace of the current program, for Firefox Profiler (profiler.firefox.com) or Perfetto: CPU samples, waits for locks, \
         allocations, threads and memory as time goes by. You can specify the duration in the seconds GET parameter. Save it, and \
         drag the file onto the viewer's page, which reads it in the browser and sends it nowhere.",
    ),
];

const GET_AND_HEAD: &str = "GET, HEAD";
const GET_HEAD_AND_POST: &str = "GET, HEAD, POST";

impl Route {
    const fn get(name: &'static str, decide: Decide) -> Route {
        Route { name, methods: GET_AND_HEAD, description: None, decide }
    }

    const fn and_post(self) -> Route {
        Route { methods: GET_HEAD_AND_POST, ..self }
    }

    const fn described(self, description: &'static str) -> Route {
        Route { description: Some(description), ..self }
    }
}

/// Decides about one request. `path` is as it was sent, percent escapes and all.
pub(crate) fn decide(rules: Rules, method: &Method, path: &str, query: Option<&str>) -> Decision {
    let decided = destination(rules.mount, method, path, query).and_then(|destination| match destination {
        Destination::Page(name) => decide_page(rules, method, &name, query.unwrap_or_default()),
        Destination::Redirect(location) => Ok(Decision::Redirect(location)),
    });
    decided.unwrap_or_else(Decision::Refuse)
}

/// Names and descriptions of the pages that the index describes, in its order.
pub(crate) fn described() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().filter_map(|route| Some((route.name, route.description?)))
}

fn decide_page(rules: Rules, method: &Method, name: &str, query: &str) -> Result<Decision, Refusal> {
    let route = ROUTES.iter().find(|route| route.name == name);
    let methods = route.map_or(GET_AND_HEAD, |route| route.methods);
    if !methods.split(", ").any(|allowed| allowed == method.as_str()) {
        let refusal = Refusal::of_router(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        return Err(Refusal { allow: Some(methods), ..refusal });
    }
    match route {
        Some(route) => (route.decide)(&Asked { method, query, max_delta: rules.max_delta }),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, "Unknown profile")),
    }
}

fn profile(kind: Kind, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    ProfileRequest::read(kind, asked.query, asked.max_delta).map(Decision::Profile)
}

fn goroutine(kind: goroutine::Kind, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    GoroutineRequest::read(kind, asked.query, asked.max_delta).map(Decision::Goroutine)
}

fn counts(counted: Counted, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    CountsRequest::read(counted, asked.query, asked.max_delta).map(Decision::Counts)
}

fn delta_heap(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let is_peek = *asked.method == Method::HEAD;
    DeltaHeapRequest::read(asked.query, is_peek).map(Decision::DeltaHeap)
}

fn block(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    match CurrentRequest::read(asked.query, asked.max_delta)? {
        Some(request) => Ok(Decision::Current(request)),
        None => counts(Counted::Block, asked),
    }
}

fn delta_counts(counted: Counted, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let is_peek = *asked.method == Method::HEAD;
    CountsRequest::read_delta(counted, asked.query, is_peek).map(Decision::Counts)
}

fn suspects(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let format = parameters::report_format(asked.query)?;
    let window = parameters::window(asked.query)?;
    let with_holders = parameters::with_holders(asked.query)?;
    unknown::refuse(asked.query, &["format", "top", "window", "holders"])?;
    Ok(Decision::Suspects(SuspectsRequest { format, window, with_holders }))
}

fn history(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    unknown::refuse(asked.query, &[])?;
    Ok(Decision::History)
}

fn mark(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    if *asked.method != Method::POST {
        unknown::refuse(asked.query, &[])?;
        return Ok(Decision::Marks);
    }
    let (name, replaces) = parameters::mark(asked.query)?;
    unknown::refuse(asked.query, &["name", "replace"])?;
    Ok(Decision::SetMark { name, replaces })
}

fn metrics(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let with_malloc = parameters::with_malloc(asked.query)?;
    unknown::refuse(asked.query, &["malloc"])?;
    Ok(Decision::Metrics { with_malloc })
}

#[cfg(test)]
mod tests;

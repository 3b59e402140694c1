//! What a request asks for, decided from its method, path and query alone.
//!
//! `handler` calls this for every request. Order and texts are Go's: clean the path, then the method, then the page's
//! name, then the query, in which our own parameters come last, so that a mistake that Go knows gets Go's answer.
//!
//! The table [`ROUTES`] has a row for each page. A new kind of profile is one more row.
//!
//! Path: *read path*. Pure: no clock, no socket, no profile.

use std::time::Duration;

use hyper::{Method, StatusCode};

use super::format::ReportFormat;
use super::parameters;
use super::path::{Destination, Mount, destination};
use super::profile_request::{DeltaHeapRequest, ProfileRequest};
use super::unknown;
use crate::encode::ProfileKind;
use crate::http::refusal::Refusal;

/// What the owner of a server decides about its routes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) mount: Mount,
    /// The longest delta, in whole seconds.
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
    Suspects(ReportFormat),
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

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asset {
    Script,
    Style,
}

/// A page below `/debug/pprof/`.
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
    /// The longest delta, in whole seconds.
    max_delta: Duration,
}

/// All pages; those with a description are in the order of the index.
const ROUTES: &[Route] = &[
    Route::get("", |_| Ok(Decision::Index)),
    Route::get("ui.js", |_| Ok(Decision::Asset(Asset::Script))),
    Route::get("ui.css", |_| Ok(Decision::Asset(Asset::Style))),
    Route::get("allocs", |asked| profile(ProfileKind::Allocs, asked))
        .described("A sampling of all past memory allocations"),
    Route::get("heap", |asked| profile(ProfileKind::Heap, asked)).described(
        "A sampling of memory allocations of live objects. Set seconds=N to see what changes in the next N seconds \
         instead, gc=1 to give free pages back to the system first, min_age=10m to see what is older and still there, \
         format=text, folded or json for a table, a flame graph or a program.",
    ),
    Route::get("leaks", suspects).described(
        "Which stacks leak, the surest first, told from caches, bursts and queues. Set format=json, or format=pprof for \
         a profile of these stacks.",
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
    Route::get("metrics", metrics).described(
        "The profiler's figures and the process's, for Prometheus; also at /metrics. Set malloc=1 to tell a leak from \
         what the allocator keeps.",
    ),
    Route::get("symbol", |_| Ok(Decision::Symbol)).and_post().described(
        "Maps given program counters to function names. Counters can be specified in a GET raw query or POST body, \
         multiple counters are separated by '+'.",
    ),
    Route::get("cmdline", |_| Ok(Decision::Cmdline)),
    // What Go serves and we do not. `profile` matters most: it is what `go tool pprof HOST:PORT` asks for.
    Route::get("profile", not_served),
    Route::get("trace", not_served),
    Route::get("goroutine", not_served),
    Route::get("goroutineleak", not_served),
    Route::get("block", not_served),
    Route::get("mutex", not_served),
    Route::get("threadcreate", not_served),
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

fn profile(kind: ProfileKind, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    ProfileRequest::read(kind, asked.query, asked.max_delta).map(Decision::Profile)
}

fn delta_heap(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let is_peek = *asked.method == Method::HEAD;
    DeltaHeapRequest::read(asked.query, is_peek).map(Decision::DeltaHeap)
}

fn suspects(asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let format = parameters::report_format(asked.query)?;
    unknown::refuse(asked.query, &["format", "top"])?;
    Ok(Decision::Suspects(format))
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

fn not_served(_: &Asked<'_>) -> Result<Decision, Refusal> {
    Err(Refusal::new(
        StatusCode::NOT_FOUND,
        "Unknown profile: this program serves heap profiles only, at /debug/pprof/heap and /debug/pprof/allocs",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::fuzz::resolve;
    use crate::encode::ProfileKind;

    const RULES: Rules = Rules { mount: Mount::Root, max_delta: Duration::from_secs(300) };

    fn get(target: &str) -> Decision {
        get_by(RULES, target)
    }

    fn get_by(rules: Rules, target: &str) -> Decision {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        decide(rules, &Method::GET, path, query)
    }

    fn request(target: &str) -> ProfileRequest {
        match get(target) {
            Decision::Profile(request) => request,
            other => panic!("{target}: {other:?}"),
        }
    }

    fn refusal(target: &str) -> Refusal {
        match get(target) {
            Decision::Refuse(refusal) => refusal,
            other => panic!("{target}: {other:?}"),
        }
    }

    #[test]
    fn paths_lead_to_pages() {
        assert_eq!(get("/debug/pprof/"), Decision::Index);
        assert_eq!(get("/debug/pprof/?debug=1"), Decision::Index);
        assert_eq!(get("/debug/pprof/ui.js"), Decision::Asset(Asset::Script));
        assert_eq!(get("/debug/pprof/ui.css?v=1"), Decision::Asset(Asset::Style));
        assert_eq!(get("/debug/pprof/symbol"), Decision::Symbol);
        assert_eq!(get("/debug/pprof/cmdline?seconds=0"), Decision::Cmdline);
        assert_eq!(request("/debug/pprof/heap").options.kind, ProfileKind::Heap);
        assert_eq!(request("/debug/pprof/%68eap").options.kind, ProfileKind::Heap);
        assert_eq!(request("/%64ebug/pprof/allocs").options.kind, ProfileKind::Allocs);
    }

    #[test]
    fn paths_are_cleaned_by_redirect() {
        for (target, location) in [
            ("/debug/pprof", "/debug/pprof/"),
            ("/debug/pprof?x=1", "/debug/pprof/?x=1"),
            ("//heap", "/heap"),
            ("/debug//pprof/heap?debug=1", "/debug/pprof/heap?debug=1"),
            ("/debug/pprof//heap", "/debug/pprof/heap"),
            ("/debug/pprof/../pprof/heap", "/debug/pprof/heap"),
            ("/debug/./pprof/", "/debug/pprof/"),
            ("/debug/pprof//", "/debug/pprof/"),
            ("/debug/pprof/.", "/debug/pprof/"),
            ("/..", "/"),
            ("//\\\\evil.example", "/%5C%5Cevil.example"),
            ("///evil.example/..//x", "/x"),
            ("//evil:80", "/evil:80"),
            ("/x/../evil:80", "/evil:80"),
            ("/debug/pprof/heap/..", "/debug/pprof/"),
            ("/debug/pprof//../heap", "/debug/heap"),
        ] {
            let Decision::Redirect(to) = get(target) else { panic!("{target} is no redirect") };
            let path = target.split('?').next().unwrap();
            assert_eq!(resolve(path, &to), location, "{target}: {to}");
            // A proxy that strips a prefix is passed by the client once more.
            let to = resolve(&format!("/app{path}"), &to);
            assert_eq!(to, format!("/app{location}"), "{target}");
        }
        assert_eq!(get("/debug/pprof"), Decision::Redirect("pprof/".to_owned()));
    }

    #[test]
    fn names_are_exact() {
        for name in ["Heap", "heap/", "heap/x", "HEAP", "nope", "nope?seconds=0", "%3Cscript%3E", "symbol/"] {
            let refusal = refusal(&format!("/debug/pprof/{name}"));
            assert_eq!(refusal, Refusal::new(StatusCode::NOT_FOUND, "Unknown profile"), "{name}");
        }
        for name in ["profile", "profile?seconds=5", "trace", "goroutine", "block", "mutex", "threadcreate"] {
            let refusal = refusal(&format!("/debug/pprof/{name}"));
            assert_eq!(refusal.status, StatusCode::NOT_FOUND, "{name}");
            assert!(refusal.is_for_pprof && refusal.text.starts_with("Unknown profile: "), "{name}");
        }
        for path in
            ["/", "/heap", "/debug/", "/debug", "/Debug/pprof/", "/debug%2fpprof/heap", "/debug/pprof2/"]
        {
            let refusal = refusal(path);
            assert_eq!(
                (refusal.status, &*refusal.text),
                (StatusCode::NOT_FOUND, "404 page not found"),
                "{path}"
            );
            assert!(!refusal.is_for_pprof, "{path}");
        }
        assert_eq!(refusal("/debug/pprof/%zz").status, StatusCode::BAD_REQUEST);
        assert_eq!(refusal("*").status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_method_is_decided_before_the_name() {
        for (method, path, allow) in [
            (Method::POST, "/debug/pprof/heap", "GET, HEAD"),
            (Method::POST, "/debug/pprof/nope", "GET, HEAD"),
            (Method::POST, "/debug/pprof/", "GET, HEAD"),
            (Method::DELETE, "/debug/pprof/symbol", "GET, HEAD, POST"),
            (Method::OPTIONS, "/debug/pprof/allocs", "GET, HEAD"),
        ] {
            let Decision::Refuse(refusal) = decide(RULES, &method, path, None) else {
                panic!("{method} {path}")
            };
            assert_eq!(
                (refusal.status, refusal.allow),
                (StatusCode::METHOD_NOT_ALLOWED, Some(allow)),
                "{path}"
            );
        }
        assert_eq!(decide(RULES, &Method::POST, "/debug/pprof/symbol", None), Decision::Symbol);
        assert_eq!(decide(RULES, &Method::HEAD, "/debug/pprof/", None), Decision::Index);
        let Decision::Refuse(refusal) = decide(RULES, &Method::POST, "/nope", None) else { panic!() };
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn metrics_are_beside_the_profiles_and_where_prometheus_looks() {
        for path in ["/metrics", "/debug/pprof/metrics"] {
            assert_eq!(get(path), Decision::Metrics { with_malloc: false });
            assert_eq!(get(&format!("{path}?malloc=1")), Decision::Metrics { with_malloc: true });
            assert_eq!(refusal(&format!("{path}?malloc=yes")).status, StatusCode::BAD_REQUEST);
            let Decision::Refuse(refusal) = decide(RULES, &Method::POST, path, None) else { panic!() };
            assert_eq!(refusal.status, StatusCode::METHOD_NOT_ALLOWED);
        }
        assert_eq!(get("//metrics"), Decision::Redirect("../metrics".to_owned()));
        assert_eq!(refusal("/metrics/").status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn below_any_prefix_only_the_end_of_the_path_counts() {
        let rules = Rules { mount: Mount::AnyPrefix, ..RULES };
        for path in ["", "/", "/debug/pprof/", "/admin/debug/pprof/", "/admin/"] {
            assert_eq!(get_by(rules, path), Decision::Index, "{path}");
        }
        for path in [
            "/heap",
            "heap",
            "/debug/pprof/heap",
            "/debug/pprof/%68eap",
            "/admin/heap",
            "/admin/debug/pprof/heap",
            "//x/../heap",
        ] {
            assert_eq!(get_by(rules, path), get("/debug/pprof/heap"), "{path}");
        }
        for path in ["/debug/pprof", "/admin/debug/pprof"] {
            assert_eq!(get_by(rules, path), Decision::Redirect("pprof/".to_owned()), "{path}");
        }
        assert_eq!(get_by(rules, "/debug/pprof?a=b"), Decision::Redirect("pprof/?a=b".to_owned()));
        for path in ["/debug/pprof/heap/", "/debug/pprof/x/heap", "/nope", "/..", "/heap%2f", "*"] {
            assert_eq!(get_by(rules, path), get("/debug/pprof/nope"), "{path}");
        }
        let posted = decide(rules, &Method::POST, "/heap", None);
        assert_eq!(posted, decide(RULES, &Method::POST, "/debug/pprof/heap", None));
    }
}

//! What a request asks for, decided from its method, path and query alone.
//!
//! Called by `handler` for every request. Order and texts are Go's: clean the path, then the method, then the
//! profile's name, then what `profile_request` finds in the query; our own parameters come last so that a mistake Go
//! knows gets Go's answer.
//!
//! Path: *read path*. Pure: no clock, no socket, no profile.

use std::borrow::Cow;
use std::time::Duration;

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::asset::Asset;
use super::format::Format;
use super::parameters;
use super::profile_request::{self, ProfileRequest};
use super::query::escapes_are_whole;
use super::unknown;
use crate::http::refusal::Refusal;

const GET_AND_HEAD: &str = "GET, HEAD";
const GET_HEAD_AND_POST: &str = "GET, HEAD, POST";

/// What the owner of a server decides about its routes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) mount: Mount,
    /// The longest delta, in whole seconds.
    pub(crate) max_delta: Duration,
}

/// Where the profiles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// At `/debug/pprof/`, and nothing elsewhere: a server of our own.
    Root,
    /// Below whatever prefix another server's router sends us, which may have been stripped from the path. Such a
    /// router has cleaned the path in its own way, so only its end counts.
    AnyPrefix,
}

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The page that lists the profiles, and shows them.
    Index,
    /// A file of that page.
    Asset(Asset),
    /// A profile.
    Profile(ProfileRequest),
    /// Names for the addresses in the query or the body.
    Symbol,
    /// The program's arguments, if they may be told.
    Cmdline,
    /// The time line of what was recorded.
    History,
    /// Which marks there are.
    Marks,
    /// A mark at this moment.
    SetMark {
        name: String,
        /// One of that name may be there.
        replaces: bool,
    },
    /// The stacks that may leak.
    Leaks(Format),
    /// The profiler's figures, for Prometheus.
    Metrics {
        /// Those of the system's allocator too, which holds up other threads.
        with_malloc: bool,
    },
    /// Look there instead (307). It is relative to the path that was asked for, of which a proxy may have stripped a prefix.
    Redirect(String),
    /// An error.
    Refuse(Refusal),
}

/// Decides about one request. `path` is as it was sent, percent escapes and all.
pub(crate) fn decide(rules: Rules, method: &Method, path: &str, query: Option<&str>) -> Decision {
    let not_found = Refusal::of_router(StatusCode::NOT_FOUND, "404 page not found");
    if !escapes_are_whole(path) {
        return Decision::Refuse(Refusal::of_router(StatusCode::BAD_REQUEST, "400 Bad Request"));
    }
    if rules.mount == Mount::AnyPrefix {
        return match name_below_any_prefix(path) {
            Some(name) => decide_name(rules, method, &name, query),
            None => Decision::Redirect(with_query("pprof/", query)),
        };
    }
    if !path.starts_with('/') {
        return Decision::Refuse(not_found);
    }
    let clean = clean_path(path);
    let location = |to: &str| with_query(&relative(path, to), query);
    let name = name_below_debug_pprof(&clean);
    if name == Some(None) && is_allowed(method, GET_AND_HEAD) {
        return Decision::Redirect(location(&format!("{clean}/")));
    }
    if clean != path && *method != Method::CONNECT {
        return Decision::Redirect(location(&clean));
    }
    match name {
        // Without a slash it was redirected above, or its method is refused here.
        Some(name) => decide_name(rules, method, &name.unwrap_or_default(), query),
        None if clean == "/metrics" => decide_name(rules, method, "metrics", query),
        None => Decision::Refuse(not_found),
    }
}

/// Decides about the page called `name`.
fn decide_name(rules: Rules, method: &Method, name: &str, query: Option<&str>) -> Decision {
    let allow = if matches!(name, "symbol" | "mark") { GET_HEAD_AND_POST } else { GET_AND_HEAD };
    if !is_allowed(method, allow) {
        let refusal = Refusal::of_router(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        return Decision::Refuse(Refusal { allow: Some(allow), ..refusal });
    }
    let query = query.unwrap_or_default();
    if let Some(asset) = Asset::named(name) {
        return Decision::Asset(asset);
    }
    match name {
        "" => Decision::Index,
        "symbol" => Decision::Symbol,
        "cmdline" => Decision::Cmdline,
        "history" | "mark" | "leaks" | "metrics" => {
            our_own_page(method, name, query).unwrap_or_else(Decision::Refuse)
        }
        name => match profile_request::decide(method, name, query, rules.max_delta) {
            Ok(request) => Decision::Profile(request),
            Err(refusal) => Decision::Refuse(refusal),
        },
    }
}

/// Decides about a page that Go does not have.
fn our_own_page(method: &Method, name: &str, query: &str) -> Result<Decision, Refusal> {
    let (decision, known): (Decision, &[&str]) = match name {
        "mark" if method != Method::POST => (Decision::Marks, &[]),
        "mark" => {
            let (name, replaces) = parameters::mark(query)?;
            (Decision::SetMark { name, replaces }, &["name", "replace"])
        }
        "leaks" => (Decision::Leaks(parameters::leaks_format(query)?), &["format", "top"]),
        "metrics" => (Decision::Metrics { with_malloc: parameters::with_malloc(query)? }, &["malloc"]),
        _ => (Decision::History, &[]),
    };
    unknown::refuse(query, known)?;
    Ok(decision)
}

fn is_allowed(method: &Method, allow: &str) -> bool {
    allow.split(", ").any(|allowed| allowed == method.as_str())
}

/// What follows `/debug/pprof/`, decoded; `Some(None)` if the slash is missing; `None` for a path elsewhere.
/// Folders are compared one by one after decoding, so an escaped slash does not make a folder.
fn name_below_debug_pprof(path: &str) -> Option<Option<Cow<'_, str>>> {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let mut parts = path.splitn(4, '/').skip(1);
    if decoded(parts.next()?) != "debug" || decoded(parts.next()?) != "pprof" {
        return None;
    }
    Some(parts.next().map(decoded))
}

/// The name at the end of a path below a prefix that may have been stripped, decoded: what follows the last
/// `/debug/pprof/`, or the last slash. `None` if the path ends in `/debug/pprof`, whose slash is missing.
fn name_below_any_prefix(path: &str) -> Option<Cow<'_, str>> {
    const FOLDERS: &str = "/debug/pprof";
    let name = match path.rsplit_once("/debug/pprof/") {
        Some((_, name)) => name,
        None if path.ends_with(FOLDERS) => return None,
        None => path.rsplit('/').next().unwrap_or_default(),
    };
    Some(percent_decode_str(name).decode_utf8_lossy())
}

/// The path without empty folders, `.` and `..`; a slash at its end stays.
fn clean_path(path: &str) -> String {
    let mut folders = Vec::new();
    for folder in path.split('/') {
        match folder {
            "" | "." => {}
            ".." => drop(folders.pop()),
            _ => folders.push(folder),
        }
    }
    // Browsers take a backslash for a slash, and `//` at the front of a location for another host.
    let mut clean = format!("/{}", folders.join("/")).replace('\\', "%5C");
    if path.ends_with('/') && !clean.ends_with('/') {
        clean.push('/');
    }
    clean
}

/// The way from the path `from`, as it was sent, to the clean path `to`: a client takes the folder that `from` is in, an
/// empty name in it being a folder as well, and goes on from there (RFC 3986, 5.2).
fn relative(from: &str, to: &str) -> String {
    let mut folders: Vec<&str> = Vec::new();
    let (folder, _) = from.rsplit_once('/').unwrap_or_default();
    for name in folder.split('/').skip(1) {
        match name {
            "." => {}
            ".." => drop(folders.pop()),
            _ => folders.push(name),
        }
    }
    let names: Vec<&str> = to.split('/').skip(1).collect();
    let (_, folders_to) = names.split_last().unwrap_or((&"", &[]));
    let shared = folders.iter().zip(folders_to).take_while(|(one, other)| one == other).count();
    let up = "../".repeat(folders.len() - shared);
    let down = names[shared..].join("/");
    // Without it, nothing at all would be the same path again, and a colon the end of a protocol's name.
    let here = if up.is_empty() && (down.is_empty() || down.contains(':')) { "./" } else { "" };
    format!("{here}{up}{down}")
}

pub(crate) fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
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

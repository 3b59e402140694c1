//! What a request asks for, decided from its method, path and query alone.
//!
//! Called by `handler` for every request. Order and texts are Go's: clean the path, then the method, then the
//! profile's name, then `seconds`, then `debug`; our own parameters come last so that a mistake Go knows gets
//! Go's answer.
//!
//! Path: *read path*. Pure: no clock, no socket, no profile.

use std::borrow::Cow;
use std::time::Duration;

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::assets::Asset;
use super::parameters;
use super::query::{atoi, escapes_are_whole, given};
use crate::encode::{Labels, ProfileKind, ProfileOptions};
use crate::history::Moment;

const GET_AND_HEAD: &str = "GET, HEAD";
const GET_HEAD_AND_POST: &str = "GET, HEAD, POST";

/// What the owner of a server decides about its routes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) mount: Mount,
    /// The longest delta, in whole seconds.
    pub(super) max_delta: Duration,
}

/// Where the profiles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mount {
    /// At `/debug/pprof/`, and nothing elsewhere: a server of our own.
    Root,
    /// Below whatever prefix another server's router sends us, which may have been stripped from the path. Such a
    /// router has cleaned the path in its own way, so only its end counts.
    AnyPrefix,
}

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
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
    /// Look there instead (307).
    Redirect(String),
    /// An error.
    Refuse(Refusal),
}

/// Which profile, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProfileRequest {
    pub(super) options: ProfileOptions,
    pub(super) period: Period,
    /// What is younger does not count as in use.
    pub(super) min_age: Option<Duration>,
    pub(super) format: Format,
    /// Free pages go back to the system first.
    pub(super) releases_free_memory: bool,
}

impl ProfileRequest {
    /// Whether it takes a snapshot with ages.
    pub(super) fn needs_ages(&self) -> bool {
        let shows_them = matches!(self.format, Format::Table { .. } | Format::Json { .. });
        shows_them || self.min_age.is_some() || self.options.labels == Labels::SizeAndAge
    }
}

/// Of what time a profile is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Period {
    /// Everything since the start.
    SinceStart,
    /// What changes from now on in this time.
    Next(Duration),
    /// What was allocated since the last call of this client; what is in use, as it is.
    SinceLastCall {
        client: String,
        /// The call does not count: it asks for headers only.
        is_peek: bool,
    },
    /// Everything from the start to a moment that was recorded.
    Until(Moment),
    /// What changed from a recorded moment on, until another or until now.
    Between { from: Moment, to: Option<Moment> },
}

/// How a profile is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Gzipped protobuf.
    Pprof,
    /// Go's legacy text.
    Legacy,
    /// A table for a terminal.
    Table { rows: usize },
    /// The same for a program.
    Json { rows: usize },
    /// For flame graph tools.
    Folded,
}

/// An error answer. Nothing of the request comes back in its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: Cow<'static, str>,
    /// Sets `X-Go-Pprof`, which makes `go tool pprof` print the text. Go sets it in its handlers, but not
    /// where its router answers.
    pub(super) is_for_pprof: bool,
    /// The `Allow` header.
    pub(super) allow: Option<&'static str>,
    /// The `Retry-After` header, in seconds.
    pub(super) retry_after: Option<&'static str>,
}

impl Refusal {
    /// An error of a handler.
    pub(super) const fn new(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text: Cow::Borrowed(text), is_for_pprof: true, allow: None, retry_after: None }
    }

    /// An error of the router, worded like Go's.
    const fn of_router(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text: Cow::Borrowed(text), is_for_pprof: false, allow: None, retry_after: None }
    }
}

/// Decides about one request. `path` is as it was sent, percent escapes and all.
pub(super) fn decide(rules: Rules, method: &Method, path: &str, query: Option<&str>) -> Decision {
    let not_found = Refusal::of_router(StatusCode::NOT_FOUND, "404 page not found");
    if !escapes_are_whole(path) {
        return Decision::Refuse(Refusal::of_router(StatusCode::BAD_REQUEST, "400 Bad Request"));
    }
    if rules.mount == Mount::AnyPrefix {
        return match name_below_any_prefix(path) {
            Some(name) => decide_name(rules, method, &name, query),
            // Relative, since we do not know what was stripped.
            None => Decision::Redirect(match query {
                Some(query) => format!("pprof/?{query}"),
                None => "pprof/".to_owned(),
            }),
        };
    }
    if !path.starts_with('/') {
        return Decision::Refuse(not_found);
    }
    let clean = clean_path(path);
    let location = |path: &str| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
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
        "history" => Decision::History,
        "mark" if method != Method::POST => Decision::Marks,
        "mark" => match parameters::mark(query) {
            Ok((name, replaces)) => Decision::SetMark { name, replaces },
            Err(refusal) => Decision::Refuse(refusal),
        },
        "leaks" => match parameters::leaks_format(query) {
            Ok(format) => Decision::Leaks(format),
            Err(refusal) => Decision::Refuse(refusal),
        },
        "metrics" => match parameters::with_malloc(query) {
            Ok(with_malloc) => Decision::Metrics { with_malloc },
            Err(refusal) => Decision::Refuse(refusal),
        },
        name => match profile_request(method, name, query, rules.max_delta) {
            Ok(request) => Decision::Profile(request),
            Err(refusal) => Decision::Refuse(refusal),
        },
    }
}

fn is_allowed(method: &Method, allow: &str) -> bool {
    allow.split(", ").any(|allowed| allowed == method.as_str())
}

/// The profile called `name`, as the query wants it.
fn profile_request(
    method: &Method,
    name: &str,
    query: &str,
    max_delta: Duration,
) -> Result<ProfileRequest, Refusal> {
    let bad_request = |text| Refusal::new(StatusCode::BAD_REQUEST, text);
    let kind = match name {
        "heap" => ProfileKind::Heap,
        "allocs" => ProfileKind::Allocs,
        "delta_heap" => return delta_heap_request(method, query),
        // What Go serves and we do not. `profile` matters most: it is what `go tool pprof HOST:PORT` asks for.
        "profile" | "trace" | "goroutine" | "goroutineleak" | "block" | "mutex" | "threadcreate" => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "Unknown profile: this program serves heap profiles only, at /debug/pprof/heap and /debug/pprof/allocs",
            ));
        }
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "Unknown profile")),
    };
    let is_legacy = is_legacy(query);
    let period = match seconds(query, max_delta)? {
        None => Period::SinceStart,
        Some(_) if is_legacy => return Err(bad_request("seconds and debug params are incompatible")),
        Some(time) => Period::Next(time),
    };
    let options = parameters::options(query, kind)?;
    let format = match parameters::format(query)? {
        Some(_) if is_legacy => return Err(bad_request("format and debug params are incompatible")),
        None if is_legacy => Format::Legacy,
        format => format.unwrap_or(Format::Pprof),
    };
    let period = match parameters::past(query)? {
        None => period,
        Some(_) if period != Period::SinceStart => {
            return Err(bad_request("seconds goes with none of at, since and ago"));
        }
        Some(_) if is_legacy => return Err(bad_request("debug goes with none of at, since and ago")),
        Some(past) => past,
    };
    let min_age = parameters::min_age(query)?;
    if period != Period::SinceStart {
        if min_age.is_some() {
            return Err(bad_request(
                "min_age is of what is in use now: it goes with none of seconds, at, since and ago",
            ));
        }
        if options.labels == Labels::SizeAndAge {
            return Err(bad_request(
                "labels=age is of what is in use now: it goes with none of seconds, at, since and ago",
            ));
        }
    }
    // Go collects garbage, for `heap` alone and not for a difference. We have none, but free pages to give back.
    let releases_free_memory = kind == ProfileKind::Heap && period == Period::SinceStart && is_gc(query);
    Ok(ProfileRequest { options, period, min_age, format, releases_free_memory })
}

/// `delta_heap`, as the package godeltaprof serves it to Go programs.
fn delta_heap_request(method: &Method, query: &str) -> Result<ProfileRequest, Refusal> {
    let bad_request = |text| Err(Refusal::new(StatusCode::BAD_REQUEST, text));
    if seconds(query, Duration::MAX)?.is_some() {
        return bad_request(r#""seconds" parameter is not supported for this profile type"#);
    }
    if is_legacy(query) {
        return bad_request(r#""debug" parameter is not supported for this profile type"#);
    }
    if parameters::past(query)?.is_some() || parameters::min_age(query)?.is_some() {
        return bad_request(r#""at", "since", "ago" and "min_age" are not supported for this profile type"#);
    }
    let options = parameters::options(query, ProfileKind::Heap)?;
    if options.labels == Labels::SizeAndAge {
        return bad_request(
            r#"invalid value for "labels" - must be "none" for this profile type, or left out"#,
        );
    }
    // The others would call growth what is in use, or the other way round.
    if !matches!(parameters::format(query)?, None | Some(Format::Pprof)) {
        return bad_request(r#"invalid value for "format" - must be "pprof" for this profile type"#);
    }
    let period =
        Period::SinceLastCall { client: parameters::client(query)?, is_peek: method == Method::HEAD };
    let releases_free_memory = is_gc(query);
    Ok(ProfileRequest { options, period, min_age: None, format: Format::Pprof, releases_free_memory })
}

/// Whether `debug` asks for Go's text.
fn is_legacy(query: &str) -> bool {
    given(query, "debug").is_some_and(|value| atoi(&value) != 0)
}

fn is_gc(query: &str) -> bool {
    given(query, "gc").is_some_and(|value| atoi(&value) > 0)
}

/// How long to wait, if at all.
fn seconds(query: &str, max_delta: Duration) -> Result<Option<Duration>, Refusal> {
    let Some(value) = given(query, "seconds") else { return Ok(None) };
    let most = max_delta.as_secs();
    let text: Cow<'static, str> = match value.parse::<i64>() {
        Ok(seconds @ 1..) if seconds.unsigned_abs() <= most => {
            return Ok(Some(Duration::from_secs(seconds.unsigned_abs())));
        }
        Ok(1..) => format!(r#"invalid value for "seconds" - must be at most {most}"#).into(),
        _ => r#"invalid value for "seconds" - must be a positive integer"#.into(),
    };
    Err(Refusal { text, ..Refusal::new(StatusCode::BAD_REQUEST, "") })
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

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(get(target), Decision::Redirect(location.to_owned()), "{target}");
        }
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
    fn forms_of_a_profile() {
        let delta = |seconds| (Period::Next(Duration::from_secs(seconds)), Format::Pprof);
        let snapshot = || (Period::SinceStart, Format::Pprof);
        let text = || (Period::SinceStart, Format::Legacy);
        for (query, form) in [
            ("", snapshot()),
            ("gc=1", snapshot()),
            ("debug=", snapshot()),
            ("debug=0", snapshot()),
            ("debug=x", snapshot()),
            ("debug=1", text()),
            ("debug=-2&gc=1", text()),
            ("debug=99999999999999999999", text()),
            ("seconds=", snapshot()),
            ("seconds=&debug=1", text()),
            ("seconds=1;debug=1", snapshot()),
            ("seconds=1", delta(1)),
            ("seconds=1&debug=0", delta(1)),
            ("seconds=1&debug=x", delta(1)),
            ("seconds=2&seconds=0", delta(2)),
            ("seconds=%2B3", delta(3)),
            ("seconds=007", delta(7)),
            ("seconds=300", delta(300)),
            ("format=json&debug=0", (Period::SinceStart, Format::Json { rows: 100 })),
            ("format=folded", (Period::SinceStart, Format::Folded)),
            (
                "format=text&top=3&seconds=9",
                (Period::Next(Duration::from_secs(9)), Format::Table { rows: 3 }),
            ),
        ] {
            let request = request(&format!("/debug/pprof/heap?{query}"));
            assert_eq!((request.period, request.format), form, "{query}");
        }
    }

    #[test]
    fn gc_is_go_s_for_heap_alone_and_not_for_a_difference() {
        for (target, expected) in [
            ("heap?gc=1", true),
            ("heap?gc=2&debug=1", true),
            ("heap?gc=%2B1&format=text", true),
            ("heap?gc=99999999999999999999", true),
            ("heap?seconds=&gc=1", true),
            ("delta_heap?gc=1", true),
            ("heap", false),
            ("heap?gc=0", false),
            ("heap?gc=-1", false),
            ("heap?gc=+1", false),
            ("heap?gc=true", false),
            ("heap?gc=1&seconds=1", false),
            ("allocs?gc=1", false),
        ] {
            let request = request(&format!("/debug/pprof/{target}"));
            assert_eq!(request.releases_free_memory, expected, "{target}");
        }
    }

    #[test]
    fn delta_heap_knows_its_client() {
        let period =
            |method: Method, query| match decide(RULES, &method, "/debug/pprof/delta_heap", Some(query)) {
                Decision::Profile(request) => (request.period, request.format),
                other => panic!("{query}: {other:?}"),
            };
        let since = |client: &str, is_peek| {
            (Period::SinceLastCall { client: client.to_owned(), is_peek }, Format::Pprof)
        };
        assert_eq!(period(Method::GET, ""), since("default", false));
        assert_eq!(period(Method::GET, "client=&debug=0&seconds=&format=pprof"), since("default", false));
        assert_eq!(period(Method::GET, "client=alloy"), since("alloy", false));
        assert_eq!(period(Method::HEAD, "client=alloy"), since("alloy", true));
        for (query, text) in [
            ("seconds=0", r#"invalid value for "seconds" - must be a positive integer"#),
            ("seconds=5", r#""seconds" parameter is not supported for this profile type"#),
            ("debug=1", r#""debug" parameter is not supported for this profile type"#),
            ("format=text", r#"invalid value for "format" - must be "pprof" for this profile type"#),
            (
                "client=a+b",
                r#"invalid value for "client" - must be 1 to 64 letters, digits, '.', '_' or '-'"#,
            ),
        ] {
            let refusal = refusal(&format!("/debug/pprof/delta_heap?{query}"));
            assert_eq!(refusal, Refusal::new(StatusCode::BAD_REQUEST, text), "{query}");
        }
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
        assert_eq!(get("//metrics"), Decision::Redirect("/metrics".to_owned()));
        assert_eq!(refusal("/metrics/").status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn bad_values_are_refused() {
        let positive = r#"invalid value for "seconds" - must be a positive integer"#;
        let too_long = r#"invalid value for "seconds" - must be at most 300"#;
        for (query, text) in [
            ("seconds=0", positive),
            ("seconds=-1", positive),
            ("seconds=abc", positive),
            ("seconds=1.5", positive),
            ("seconds=0x2", positive),
            ("seconds=1_0", positive),
            ("seconds=+1", positive),
            ("seconds=9223372036854775808", positive),
            ("seconds=0&debug=1", positive),
            ("seconds=301", too_long),
            ("seconds=9223372036854775807", too_long),
            ("seconds=1&debug=1", "seconds and debug params are incompatible"),
            ("seconds=1&debug=-1", "seconds and debug params are incompatible"),
            ("symbolize=yes", r#"invalid value for "symbolize" - must be "none", "names" or "full""#),
            ("frames=some", r#"invalid value for "frames" - must be "all", or left out"#),
            ("seconds=0&frames=some", positive),
            ("seconds=1&debug=1&format=x", "seconds and debug params are incompatible"),
            ("debug=1&format=pprof", "format and debug params are incompatible"),
            ("format=xml", r#"invalid value for "format" - must be "pprof", "text", "folded" or "json""#),
        ] {
            let refusal = refusal(&format!("/debug/pprof/allocs?{query}"));
            assert_eq!(refusal, Refusal::new(StatusCode::BAD_REQUEST, text), "{query}");
        }
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

    #[test]
    fn the_longest_delta_is_the_owners_choice() {
        let rules = Rules { max_delta: Duration::from_secs(600), ..RULES };
        let Decision::Profile(request) = get_by(rules, "/debug/pprof/heap?seconds=600") else { panic!() };
        assert_eq!(request.period, Period::Next(Duration::from_secs(600)));
        let Decision::Refuse(refusal) = get_by(rules, "/debug/pprof/heap?seconds=601") else { panic!() };
        assert_eq!(refusal.text, r#"invalid value for "seconds" - must be at most 600"#);
    }
}

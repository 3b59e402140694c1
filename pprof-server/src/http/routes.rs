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

use super::query::{escapes_are_whole, first_value, is_nonzero};
use crate::encode::{Frames, ProfileKind, ProfileOptions, Symbolize};

/// The longest delta. A forgotten `seconds=100000` would hold a snapshot in memory for a day.
pub(super) const MAX_DELTA_SECONDS: i64 = 300;

/// The shortest that is refused for its length.
const MIN_TOO_LONG: i64 = MAX_DELTA_SECONDS + 1;

const GET_AND_HEAD: &str = "GET, HEAD";
const GET_HEAD_AND_POST: &str = "GET, HEAD, POST";

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The page that lists the profiles.
    Index,
    /// A profile.
    Profile(ProfileRequest),
    /// Names for the addresses in the query or the body.
    Symbol,
    /// Look there instead (307).
    Redirect(String),
    /// An error.
    Refuse(Refusal),
}

/// Which profile, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProfileRequest {
    pub(super) kind: ProfileKind,
    pub(super) form: Form,
    pub(super) symbolize: Symbolize,
    pub(super) frames: Frames,
}

/// The three forms of a profile.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Gzipped protobuf of everything since the start.
    Snapshot,
    /// Gzipped protobuf of what changes in this time.
    Delta(Duration),
    /// Go's legacy text.
    Text,
}

/// An error answer. Its text is a constant: nothing of the request comes back in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
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
        Refusal { status, text, is_for_pprof: true, allow: None, retry_after: None }
    }

    /// An error of the router, worded like Go's.
    const fn of_router(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text, is_for_pprof: false, allow: None, retry_after: None }
    }
}

impl ProfileRequest {
    /// What the encoder needs to know.
    pub(super) fn options(&self) -> ProfileOptions {
        ProfileOptions {
            kind: self.kind,
            symbolize: self.symbolize,
            frames: self.frames,
            ..ProfileOptions::default()
        }
    }
}

/// Decides about one request. `path` is as it was sent, percent escapes and all.
pub(super) fn decide(method: &Method, path: &str, query: Option<&str>) -> Decision {
    let not_found = Refusal::of_router(StatusCode::NOT_FOUND, "404 page not found");
    if !path.starts_with('/') {
        return Decision::Refuse(not_found);
    }
    if !escapes_are_whole(path) {
        return Decision::Refuse(Refusal::of_router(StatusCode::BAD_REQUEST, "400 Bad Request"));
    }
    let clean = clean_path(path);
    let location = |path: &str| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let is_method_allowed = |allow: &str| allow.split(", ").any(|allowed| allowed == method.as_str());
    let name = name_below_debug_pprof(&clean);
    if name == Some(None) && is_method_allowed(GET_AND_HEAD) {
        return Decision::Redirect(location(&format!("{clean}/")));
    }
    if clean != path && *method != Method::CONNECT {
        return Decision::Redirect(location(&clean));
    }
    let Some(name) = name else {
        return Decision::Refuse(not_found);
    };
    let name = name.as_deref();
    let allow = if name == Some("symbol") { GET_HEAD_AND_POST } else { GET_AND_HEAD };
    if !is_method_allowed(allow) {
        let refusal = Refusal::of_router(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        return Decision::Refuse(Refusal { allow: Some(allow), ..refusal });
    }
    match name {
        // `None` was redirected above, or its method refused.
        None | Some("") => Decision::Index,
        Some("symbol") => Decision::Symbol,
        Some(name) => match profile_request(name, query.unwrap_or_default()) {
            Ok(request) => Decision::Profile(request),
            Err(refusal) => Decision::Refuse(refusal),
        },
    }
}

/// The profile called `name`, as the query wants it.
fn profile_request(name: &str, query: &str) -> Result<ProfileRequest, Refusal> {
    let bad_request = |text| Refusal::new(StatusCode::BAD_REQUEST, text);
    let kind = match name {
        "heap" => ProfileKind::Heap,
        "allocs" => ProfileKind::Allocs,
        // What Go serves and we do not. `profile` matters most: it is what `go tool pprof HOST:PORT` asks for.
        "profile" | "trace" | "goroutine" | "goroutineleak" | "block" | "mutex" | "threadcreate"
        | "cmdline" => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "Unknown profile: this program serves heap profiles only, at /debug/pprof/heap and /debug/pprof/allocs",
            ));
        }
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "Unknown profile")),
    };
    let value = |name| first_value(query, name).filter(|value| !value.is_empty());
    // `gc` is accepted and does nothing: there is no garbage to collect first.
    let is_text = value("debug").is_some_and(|value| is_nonzero(&value));
    let form = match value("seconds") {
        None if is_text => Form::Text,
        None => Form::Snapshot,
        Some(seconds) => match seconds.parse::<i64>() {
            Ok(MIN_TOO_LONG..) => {
                return Err(bad_request(r#"invalid value for "seconds" - must be at most 300"#));
            }
            Ok(1..) if is_text => return Err(bad_request("seconds and debug params are incompatible")),
            Ok(seconds @ 1..) => Form::Delta(Duration::from_secs(seconds.unsigned_abs())),
            _ => return Err(bad_request(r#"invalid value for "seconds" - must be a positive integer"#)),
        },
    };
    let symbolize = match value("symbolize").as_deref() {
        None | Some("full") => Symbolize::Full,
        Some("none") => Symbolize::None,
        Some(_) => return Err(bad_request(r#"invalid value for "symbolize" - must be "none" or "full""#)),
    };
    let frames = match value("frames").as_deref() {
        None => Frames::UserFirst,
        Some("all") => Frames::All,
        Some(_) => return Err(bad_request(r#"invalid value for "frames" - must be "all", or left out"#)),
    };
    Ok(ProfileRequest { kind, form, symbolize, frames })
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

    fn get(target: &str) -> Decision {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        decide(&Method::GET, path, query)
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
        assert_eq!(get("/debug/pprof/symbol"), Decision::Symbol);
        assert_eq!(request("/debug/pprof/heap").kind, ProfileKind::Heap);
        assert_eq!(request("/debug/pprof/%68eap").kind, ProfileKind::Heap);
        assert_eq!(request("/%64ebug/pprof/allocs").kind, ProfileKind::Allocs);
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
        for name in [
            "profile",
            "profile?seconds=5",
            "trace",
            "cmdline",
            "goroutine",
            "block",
            "mutex",
            "threadcreate",
        ] {
            let refusal = refusal(&format!("/debug/pprof/{name}"));
            assert_eq!(refusal.status, StatusCode::NOT_FOUND, "{name}");
            assert!(refusal.is_for_pprof && refusal.text.starts_with("Unknown profile: "), "{name}");
        }
        for path in
            ["/", "/heap", "/debug/", "/debug", "/Debug/pprof/", "/debug%2fpprof/heap", "/debug/pprof2/"]
        {
            let refusal = refusal(path);
            assert_eq!(
                (refusal.status, refusal.text),
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
            let Decision::Refuse(refusal) = decide(&method, path, None) else { panic!("{method} {path}") };
            assert_eq!(
                (refusal.status, refusal.allow),
                (StatusCode::METHOD_NOT_ALLOWED, Some(allow)),
                "{path}"
            );
        }
        assert_eq!(decide(&Method::POST, "/debug/pprof/symbol", None), Decision::Symbol);
        assert_eq!(decide(&Method::HEAD, "/debug/pprof/", None), Decision::Index);
        let Decision::Refuse(refusal) = decide(&Method::POST, "/nope", None) else { panic!() };
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn forms_of_a_profile() {
        let delta = |seconds| Form::Delta(Duration::from_secs(seconds));
        for (query, form) in [
            ("", Form::Snapshot),
            ("gc=1", Form::Snapshot),
            ("debug=", Form::Snapshot),
            ("debug=0", Form::Snapshot),
            ("debug=x", Form::Snapshot),
            ("debug=1", Form::Text),
            ("debug=-2&gc=1", Form::Text),
            ("debug=99999999999999999999", Form::Text),
            ("seconds=", Form::Snapshot),
            ("seconds=&debug=1", Form::Text),
            ("seconds=1;debug=1", Form::Snapshot),
            ("seconds=1", delta(1)),
            ("seconds=1&debug=0", delta(1)),
            ("seconds=1&debug=x", delta(1)),
            ("seconds=2&seconds=0", delta(2)),
            ("seconds=%2B3", delta(3)),
            ("seconds=007", delta(7)),
            ("seconds=300", delta(300)),
        ] {
            assert_eq!(request(&format!("/debug/pprof/heap?{query}")).form, form, "{query}");
        }
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
            ("symbolize=yes", r#"invalid value for "symbolize" - must be "none" or "full""#),
            ("frames=some", r#"invalid value for "frames" - must be "all", or left out"#),
            ("seconds=0&frames=some", positive),
        ] {
            let refusal = refusal(&format!("/debug/pprof/allocs?{query}"));
            assert_eq!(refusal, Refusal::new(StatusCode::BAD_REQUEST, text), "{query}");
        }
    }

    #[test]
    fn names_and_frames_are_chosen_by_our_own_parameters() {
        let plain = request("/debug/pprof/heap?symbolize=&frames=");
        assert_eq!((plain.symbolize, plain.frames), (Symbolize::Full, Frames::UserFirst));
        let raw = request("/debug/pprof/heap?symbolize=none&frames=all&seconds=1");
        assert_eq!((raw.symbolize, raw.frames), (Symbolize::None, Frames::All));
        assert_eq!(request("/debug/pprof/heap?symbolize=full").symbolize, Symbolize::Full);
    }
}

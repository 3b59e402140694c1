//! Which profile a request asks for, decided from its name and query.
//!
//! Called by `routes`. Order and texts are Go's: the profile's name, then `seconds`, then `debug`; our own `parameters`
//! come last.
//!
//! Path: *read path*. Pure.

use std::borrow::Cow;
use std::time::Duration;

use hyper::{Method, StatusCode};

use super::format::Format;
use super::parameters;
use super::period::Period;
use super::query::{atoi, given};
use super::unknown;
use crate::encode::{Labels, ProfileKind, ProfileOptions};
use crate::http::refusal::Refusal;

/// Which profile, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProfileRequest {
    pub(crate) options: ProfileOptions,
    pub(crate) period: Period,
    /// What is younger does not count as in use.
    pub(crate) min_age: Option<Duration>,
    pub(crate) format: Format,
    /// Free pages go back to the system first.
    pub(crate) releases_free_memory: bool,
    /// What of the query is ignored, a sentence each.
    pub(crate) notes: Vec<String>,
}

impl ProfileRequest {
    /// Whether it takes a snapshot with ages.
    pub(crate) fn needs_ages(&self) -> bool {
        let shows_them = matches!(self.format, Format::Table { .. } | Format::Json { .. });
        shows_them || self.min_age.is_some() || self.options.labels == Labels::SizeAndAge
    }
}

/// The profile called `name`, as the query wants it.
pub(crate) fn decide(
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
    let notes = unknown::ignored(query, unknown::OF_PROFILES)?;
    Ok(ProfileRequest { options, period, min_age, format, releases_free_memory, notes })
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
    let notes = unknown::ignored(query, unknown::OF_DELTA_HEAP)?;
    Ok(ProfileRequest { options, period, min_age: None, format: Format::Pprof, releases_free_memory, notes })
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

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_DELTA: Duration = Duration::from_secs(300);

    fn asked(method: Method, target: &str, max_delta: Duration) -> Result<ProfileRequest, Refusal> {
        let (name, query) = target.split_once('?').unwrap_or((target, ""));
        decide(&method, name, query, max_delta)
    }

    fn request(target: &str) -> ProfileRequest {
        asked(Method::GET, target, MAX_DELTA).unwrap()
    }

    fn refusal(target: &str) -> Refusal {
        asked(Method::GET, target, MAX_DELTA).unwrap_err()
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
            let request = request(&format!("heap?{query}"));
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
            let request = request(target);
            assert_eq!(request.releases_free_memory, expected, "{target}");
        }
    }

    #[test]
    fn delta_heap_knows_its_client() {
        let period = |method, query| {
            let request = asked(method, &format!("delta_heap?{query}"), MAX_DELTA).unwrap();
            (request.period, request.format)
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
            let refusal = refusal(&format!("delta_heap?{query}"));
            assert_eq!(refusal, Refusal::new(StatusCode::BAD_REQUEST, text), "{query}");
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
            ("symbolize=yes", r#"invalid value for "symbolize" - must be "none", "names" or "full""#),
            ("frames=some", r#"invalid value for "frames" - must be "all", or left out"#),
            ("seconds=0&frames=some", positive),
            ("seconds=1&debug=1&format=x", "seconds and debug params are incompatible"),
            ("debug=1&format=pprof", "format and debug params are incompatible"),
            ("format=xml", r#"invalid value for "format" - must be "pprof", "text", "folded" or "json""#),
        ] {
            let refusal = refusal(&format!("allocs?{query}"));
            assert_eq!(refusal, Refusal::new(StatusCode::BAD_REQUEST, text), "{query}");
        }
    }

    #[test]
    fn the_longest_delta_is_the_owners_choice() {
        let asked = |target| asked(Method::GET, target, Duration::from_secs(600));
        assert_eq!(asked("heap?seconds=600").unwrap().period, Period::Next(Duration::from_secs(600)));
        let refusal = asked("heap?seconds=601").unwrap_err();
        assert_eq!(refusal.text, r#"invalid value for "seconds" - must be at most 600"#);
    }
}

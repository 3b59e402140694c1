//! This decides from its name and query which profile a request asks for.
//!
//! `routes` calls this. Order and texts are Go's: the profile's name, then `seconds`, then `debug`; our own `parameters`
//! come last.
//!
//! Path: *read path*. Pure.

use std::time::Duration;

use super::format::ProfileFormat;
use super::kind::Kind;
use super::parameters;
use super::period::Period;
use super::query::{atoi, given};
use super::unknown;
use crate::encode::{Labels, ProfileKind, ProfileOptions};
use crate::http::refusal::Refusal;

/// What a request for a profile wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProfileRequest {
    pub(crate) kind: Kind,
    pub(crate) options: ProfileOptions,
    pub(crate) period: Period,
    pub(crate) format: ProfileFormat,
    /// What of the query is ignored, a sentence each. Where the profile is of the past, what the past lacks is added.
    pub(crate) notes: Vec<String>,
}

/// What a request for `delta_heap` wants: a `pprof` profile of what was allocated since this client's last call, and of
/// what is in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeltaHeapRequest {
    pub(crate) options: ProfileOptions,
    pub(crate) client: String,
    /// The request asks for headers only, so it does not count as a call.
    pub(crate) is_peek: bool,
    /// Free pages go back to the system first.
    pub(crate) releases_free_memory: bool,
    /// What of the query is ignored, a sentence each.
    pub(crate) notes: Vec<String>,
}

impl ProfileRequest {
    /// Reads the query of a request for the profile of this `kind`. `seconds` may be `max_delta` at most.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(kind: Kind, query: &str, max_delta: Duration) -> Result<ProfileRequest, Refusal> {
        let is_legacy = is_legacy(query);
        let next = seconds(query, max_delta)?;
        if next.is_some() && is_legacy {
            return Err(Refusal::bad_request("seconds and debug params are incompatible"));
        }
        let options = parameters::options(query, kind.shown)?;
        let format = match parameters::format(query)? {
            Some(_) if is_legacy => {
                return Err(Refusal::bad_request("format and debug params are incompatible"));
            }
            None if is_legacy => ProfileFormat::LEGACY,
            format => format.unwrap_or(ProfileFormat::PPROF),
        };
        let past = parameters::past(query)?;
        if past.is_some() && next.is_some() {
            return Err(Refusal::bad_request("seconds goes with none of at, since and ago"));
        }
        if past.is_some() && is_legacy {
            return Err(Refusal::bad_request("debug goes with none of at, since and ago"));
        }
        let min_age = parameters::min_age(query)?;
        let period = match next.map(Period::Next).or(past) {
            None => {
                // Go collects garbage, for `heap` alone and not for a difference. We have none, but free pages to give back.
                let releases_free_memory = kind.shown == ProfileKind::Heap && is_gc(query);
                Period::SinceStart { min_age, releases_free_memory }
            }
            Some(_) if min_age.is_some() => {
                return Err(Refusal::bad_request(
                    "min_age is of what is in use now: it goes with none of seconds, at, since and ago",
                ));
            }
            Some(_) if options.labels == Labels::SizeAndAge => {
                return Err(Refusal::bad_request(
                    "labels=age is of what is in use now: it goes with none of seconds, at, since and ago",
                ));
            }
            Some(period) => period,
        };
        let notes = unknown::ignored(query, unknown::OF_PROFILES)?;
        Ok(ProfileRequest { kind, options, period, format, notes })
    }

    /// Whether the snapshot must tell ages.
    pub(crate) fn needs_ages(&self) -> bool {
        let counts_by_them = matches!(self.period, Period::SinceStart { min_age: Some(_), .. });
        self.format.format.shows_ages || counts_by_them || self.options.labels == Labels::SizeAndAge
    }
}

/// Refuses `seconds`, since what a client has not had yet is there at once.
pub(super) fn no_seconds_of_delta() -> Refusal {
    Refusal::bad_request(r#""seconds" parameter is not supported for this profile type"#)
}

impl DeltaHeapRequest {
    /// Reads the query of a request for `delta_heap`, as the package godeltaprof serves it to Go programs.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(query: &str, is_peek: bool) -> Result<DeltaHeapRequest, Refusal> {
        if seconds(query, Duration::MAX)?.is_some() {
            return Err(no_seconds_of_delta());
        }
        if is_legacy(query) {
            return Err(Refusal::bad_request(r#""debug" parameter is not supported for this profile type"#));
        }
        if parameters::past(query)?.is_some() || parameters::min_age(query)?.is_some() {
            return Err(Refusal::bad_request(
                r#""at", "since", "ago" and "min_age" are not supported for this profile type"#,
            ));
        }
        let options = parameters::options(query, ProfileKind::Heap)?;
        if options.labels == Labels::SizeAndAge {
            return Err(Refusal::bad_request(
                r#"invalid value for "labels" - must be "none" for this profile type, or left out"#,
            ));
        }
        // The other formats would call growth what is in use, or the other way round.
        if parameters::format(query)?.is_some_and(|format| format != ProfileFormat::PPROF) {
            return Err(Refusal::bad_request(
                r#"invalid value for "format" - must be "pprof" for this profile type"#,
            ));
        }
        let client = parameters::client(query)?;
        let notes = unknown::ignored(query, unknown::OF_DELTA_HEAP)?;
        Ok(DeltaHeapRequest { options, client, is_peek, releases_free_memory: is_gc(query), notes })
    }
}

/// Whether `debug` asks for Go's text.
pub(super) fn is_legacy(query: &str) -> bool {
    given(query, "debug").is_some_and(|value| atoi(&value) != 0)
}

fn is_gc(query: &str) -> bool {
    given(query, "gc").is_some_and(|value| atoi(&value) > 0)
}

/// The time to wait, if `seconds` is given.
pub(super) fn seconds(query: &str, max_delta: Duration) -> Result<Option<Duration>, Refusal> {
    let Some(value) = given(query, "seconds") else { return Ok(None) };
    match value.parse::<i64>() {
        Ok(seconds @ 1..) if seconds.unsigned_abs() <= max_delta.as_secs() => {
            Ok(Some(Duration::from_secs(seconds.unsigned_abs())))
        }
        Ok(1..) => Err(too_long(max_delta)),
        _ => Err(Refusal::bad_request(r#"invalid value for "seconds" - must be a positive integer"#)),
    }
}

pub(super) fn too_long(most: Duration) -> Refusal {
    let most = most.as_secs();
    Refusal::bad_request(format!(r#"invalid value for "seconds" - must be at most {most}"#))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::format::{FOLDED, JSON, TABLE};

    const HEAP: Kind = Kind::of_heap("heap", ProfileKind::Heap);
    const ALLOCS: Kind = Kind::of_heap("allocs", ProfileKind::Allocs);
    const MAX_DELTA: Duration = Duration::from_secs(300);

    const SINCE_START: Period = Period::SinceStart { min_age: None, releases_free_memory: false };

    fn heap(query: &str) -> Result<ProfileRequest, Refusal> {
        ProfileRequest::read(HEAP, query, MAX_DELTA)
    }

    fn delta_heap(query: &str) -> Result<DeltaHeapRequest, Refusal> {
        DeltaHeapRequest::read(query, false)
    }

    #[test]
    fn forms_of_a_profile() {
        let delta = |seconds| (Period::Next(Duration::from_secs(seconds)), ProfileFormat::PPROF);
        let snapshot = || (SINCE_START, ProfileFormat::PPROF);
        let collected = Period::SinceStart { min_age: None, releases_free_memory: true };
        let text = || (SINCE_START, ProfileFormat::LEGACY);
        for (query, form) in [
            ("", snapshot()),
            ("gc=1", (collected.clone(), ProfileFormat::PPROF)),
            ("debug=", snapshot()),
            ("debug=0", snapshot()),
            ("debug=x", snapshot()),
            ("debug=1", text()),
            ("debug=-2&gc=1", (collected, ProfileFormat::LEGACY)),
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
            ("format=json&debug=0", (SINCE_START, ProfileFormat { format: &JSON, rows: 100 })),
            ("format=folded", (SINCE_START, ProfileFormat { format: &FOLDED, rows: 0 })),
            (
                "format=text&top=3&seconds=9",
                (Period::Next(Duration::from_secs(9)), ProfileFormat { format: &TABLE, rows: 3 }),
            ),
        ] {
            let request = heap(query).unwrap();
            assert_eq!((request.period, request.format), form, "{query}");
        }
    }

    #[test]
    fn gc_is_go_s_for_heap_alone_and_not_for_a_difference() {
        for (query, expected) in [
            ("gc=1", true),
            ("gc=2&debug=1", true),
            ("gc=%2B1&format=text", true),
            ("gc=99999999999999999999", true),
            ("seconds=&gc=1", true),
            ("", false),
            ("gc=0", false),
            ("gc=-1", false),
            ("gc=+1", false),
            ("gc=true", false),
        ] {
            let period = Period::SinceStart { min_age: None, releases_free_memory: expected };
            assert_eq!(heap(query).unwrap().period, period, "{query}");
            let allocs = ProfileRequest::read(ALLOCS, query, MAX_DELTA).unwrap();
            assert_eq!(allocs.period, SINCE_START, "{query}");
        }
        assert_eq!(heap("gc=1&seconds=1").unwrap().period, Period::Next(Duration::from_secs(1)));
        assert!(delta_heap("gc=1").unwrap().releases_free_memory);
        assert!(!delta_heap("gc=0").unwrap().releases_free_memory);
    }

    #[test]
    fn ages_are_of_what_is_in_use_now() {
        let old = Period::SinceStart { min_age: Some(Duration::from_secs(60)), releases_free_memory: false };
        assert_eq!(heap("min_age=60").unwrap().period, old);
        for other in ["seconds=1", "ago=1m", "at=7", "since=7"] {
            for age in ["min_age=60", "labels=age"] {
                let text = heap(&format!("{other}&{age}")).unwrap_err().text;
                assert!(text.contains("is of what is in use now"), "{other}&{age}: {text}");
            }
        }
        for (query, expected) in [
            ("", false),
            ("format=text", true),
            ("format=json", true),
            ("min_age=1", true),
            ("labels=age", true),
        ] {
            assert_eq!(heap(query).unwrap().needs_ages(), expected, "{query}");
        }
    }

    #[test]
    fn delta_heap_knows_its_client() {
        for (query, client) in
            [("", "default"), ("client=&debug=0&seconds=&format=pprof", "default"), ("client=alloy", "alloy")]
        {
            assert_eq!(delta_heap(query).unwrap().client, client, "{query}");
        }
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
            assert_eq!(delta_heap(query).unwrap_err(), Refusal::bad_request(text), "{query}");
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
            let refusal = ProfileRequest::read(ALLOCS, query, MAX_DELTA).unwrap_err();
            assert_eq!(refusal, Refusal::bad_request(text), "{query}");
        }
    }

    #[test]
    fn the_longest_delta_is_the_owners_choice() {
        let read = |query| ProfileRequest::read(HEAP, query, Duration::from_secs(600));
        assert_eq!(read("seconds=600").unwrap().period, Period::Next(Duration::from_secs(600)));
        let refusal = read("seconds=601").unwrap_err();
        assert_eq!(refusal.text, r#"invalid value for "seconds" - must be at most 600"#);
    }
}

//! This decides from the query what a request for CPU time or threads wants.
//!
//! Order and texts are Go's, as for the heap.
//!
//! Path: *read path*. Pure.

use std::time::Duration;

use super::format::ProfileFormat;
use super::parameters;
use super::profile_request::{is_legacy, seconds, too_long};
use super::query::{atoi, given};
use super::unknown;
use crate::encode::{SizeLimit, Symbolize};
use crate::http::refusal::Refusal;
use crate::sources::goroutine::Kind;

/// How long CPU time is sampled unless a request says otherwise, as in Go.
const USUAL_TIME: Duration = Duration::from_secs(30);
/// How many samples are taken in each second of a thread's CPU time, as in Go.
const USUAL_HZ: u32 = 100;

/// A part of a function's name has so many bytes at most.
const MAX_FUNCTION_BYTES: usize = 256;

/// How a profile is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) format: ProfileFormat,
    pub(crate) symbolize: Symbolize,
    pub(crate) limit: SizeLimit,
    /// Rows have labels.
    pub(crate) has_labels: bool,
    /// What of the query is ignored, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// What a request for `profile` wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CpuRequest {
    pub(crate) time: Duration,
    pub(crate) hz: u32,
    pub(crate) form: Form,
}

/// What a request for `fgprof` wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WallRequest {
    pub(crate) time: Duration,
    pub(crate) form: Form,
}

/// What a request for `goroutine`, `goroutineleak` or `threadcreate` wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GoroutineRequest {
    pub(crate) kind: Kind,
    /// What changes in this time, and not what is now.
    pub(crate) next: Option<Duration>,
    pub(crate) form: Form,
}

/// What a request for `holders` wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HoldersRequest {
    /// The stacks have a function with this text in its name.
    pub(crate) function: Option<String>,
    /// So many stacks are taken, those with the most bytes in use.
    pub(crate) top: Option<usize>,
    /// The blocks are at least so old.
    pub(crate) min_age: Option<Duration>,
    pub(crate) form: Form,
}

impl CpuRequest {
    /// Reads the query of a request for `profile`. Like Go, it takes a `seconds` that is no positive number for 30, and does
    /// not look at `debug`.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(query: &str, max_time: Duration) -> Result<CpuRequest, Refusal> {
        let given_seconds = given(query, "seconds");
        let time = match given_seconds.as_deref().map(str::parse::<i64>) {
            Some(Ok(seconds @ 1..)) => Duration::from_secs(seconds.unsigned_abs()),
            _ => USUAL_TIME.min(max_time),
        };
        if time > max_time {
            return Err(too_long(max_time));
        }
        Ok(CpuRequest { time, hz: hz(query)?, form: Form::read(query, unknown::OF_CPU, false)? })
    }
}

/// The samples that are wanted in a second of a thread's CPU time.
pub(super) fn hz(query: &str) -> Result<u32, Refusal> {
    match given(query, "hz").as_deref().map(str::parse) {
        None => Ok(USUAL_HZ),
        Some(Ok(hz @ 1..=capture::MAX_HZ)) => Ok(hz),
        Some(_) => Err(Refusal::bad_request(
            r#"invalid value for "hz" - must be 1 to 1000 samples in a second of CPU time"#,
        )),
    }
}

impl HoldersRequest {
    /// Reads the query of a request for `holders`. Go has no such page, so what nobody knows is an error.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(query: &str) -> Result<HoldersRequest, Refusal> {
        unknown::refuse(query, unknown::OF_HOLDERS)?;
        let function = given(query, "stack").map(|text| text.into_owned());
        if function.as_ref().is_some_and(|text| text.len() > MAX_FUNCTION_BYTES) {
            return Err(Refusal::bad_request(
                r#"invalid value for "stack" - must be a part of a function's name, of at most 256 bytes"#,
            ));
        }
        Ok(HoldersRequest {
            function,
            top: parameters::top(query)?,
            min_age: parameters::min_age(query)?,
            form: Form::read(query, unknown::OF_HOLDERS, is_legacy(query))?,
        })
    }
}

impl WallRequest {
    /// Reads the query of a request for `fgprof`. Like the package of that name, it refuses a `seconds` that is no positive number.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(query: &str, max_time: Duration) -> Result<WallRequest, Refusal> {
        let time = seconds(query, max_time)?.unwrap_or(USUAL_TIME.min(max_time));
        Ok(WallRequest { time, form: Form::read(query, unknown::OF_COUNTS, false)? })
    }
}

impl GoroutineRequest {
    /// Reads the query of a request for one of the three. As in Go, a `debug` of 2 or more wants each stack by itself, but for
    /// `threadcreate`.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(kind: Kind, query: &str, max_time: Duration) -> Result<GoroutineRequest, Refusal> {
        let (next, mut form) = next_and_form(query, unknown::OF_COUNTS, max_time)?;
        if kind != Kind::ThreadCreate && given(query, "debug").is_some_and(|value| atoi(&value) >= 2) {
            form.format = ProfileFormat::STACKS;
        }
        Ok(GoroutineRequest { kind, next, form })
    }
}

/// The time in which a change is wanted, and how the profile is to be written.
pub(super) fn next_and_form(
    query: &str,
    known: &[&str],
    max_time: Duration,
) -> Result<(Option<Duration>, Form), Refusal> {
    let next = seconds(query, max_time)?;
    if next.is_some() && is_legacy(query) {
        return Err(Refusal::bad_request("seconds and debug params are incompatible"));
    }
    Ok((next, Form::read(query, known, is_legacy(query))?))
}

impl Form {
    /// Reads the parameters that say how a profile is written. Beside Go's, there are those in `known`.
    pub(super) fn read(query: &str, known: &[&str], is_legacy: bool) -> Result<Form, Refusal> {
        let format = match parameters::format(query)? {
            Some(_) if is_legacy => {
                return Err(Refusal::bad_request("format and debug params are incompatible"));
            }
            None if is_legacy => ProfileFormat::LEGACY,
            format => format.unwrap_or(ProfileFormat::PPROF),
        };
        let has_labels = match given(query, "labels").as_deref() {
            None => true,
            Some("none") => false,
            Some(_) => {
                return Err(Refusal::bad_request(
                    r#"invalid value for "labels" - must be "none" for this profile type, or left out"#,
                ));
            }
        };
        Ok(Form {
            format,
            symbolize: parameters::symbolize(query)?,
            limit: parameters::limit(query)?,
            has_labels,
            notes: unknown::ignored(query, known)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::format::{JSON, LEGACY, STACKS};

    const MAX_TIME: Duration = Duration::from_secs(300);

    fn cpu(query: &str) -> Result<CpuRequest, Refusal> {
        CpuRequest::read(query, MAX_TIME)
    }

    #[test]
    fn cpu_time_is_sampled_as_long_as_go_samples_it() {
        for (query, seconds, hz) in [
            ("", 30, 100),
            ("seconds=5", 5, 100),
            ("seconds=0&hz=1000", 30, 1000),
            ("seconds=-1", 30, 100),
            ("seconds=1.5&debug=1", 30, 100),
            ("seconds=x&hz=1", 30, 1),
            ("seconds=300", 300, 100),
            ("seconds=99999999999999999999", 30, 100),
        ] {
            let request = cpu(query).unwrap();
            assert_eq!((request.time, request.hz), (Duration::from_secs(seconds), hz), "{query}");
            assert_eq!(request.form.format, ProfileFormat::PPROF, "{query}");
        }
        let short = CpuRequest::read("", Duration::from_secs(10)).unwrap();
        assert_eq!(short.time, Duration::from_secs(10), "no longer than is allowed");
        for (query, text) in [
            ("seconds=301", r#"invalid value for "seconds" - must be at most 300"#),
            ("hz=0", r#"invalid value for "hz" - must be 1 to 1000 samples in a second of CPU time"#),
            ("hz=1001", r#"invalid value for "hz" - must be 1 to 1000 samples in a second of CPU time"#),
            (
                "labels=age",
                r#"invalid value for "labels" - must be "none" for this profile type, or left out"#,
            ),
        ] {
            assert_eq!(cpu(query).unwrap_err(), Refusal::bad_request(text), "{query}");
        }
        assert!(cpu("hz=5&nope=1").is_err(), "beside a parameter of ours, one that nobody knows");
        assert_eq!(cpu("nope=1").unwrap().form.notes.len(), 1);
    }

    #[test]
    fn goroutines_have_each_stack_by_itself_when_go_does() {
        let format =
            |query| GoroutineRequest::read(Kind::Goroutine, query, MAX_TIME).unwrap().form.format.format;
        assert_eq!([format("debug=2"), format("debug=99")], [&STACKS, &STACKS]);
        assert_eq!([format("debug=1"), format("debug=-2")], [&LEGACY, &LEGACY]);
        assert_eq!([format("debug=x"), format("format=json")], [ProfileFormat::PPROF.format, &JSON]);
        let leaked = GoroutineRequest::read(Kind::GoroutineLeak, "debug=2", MAX_TIME).unwrap();
        assert_eq!(leaked.form.format.format, &STACKS);
        let created = GoroutineRequest::read(Kind::ThreadCreate, "debug=2", MAX_TIME).unwrap();
        assert_eq!(created.form.format.format, &LEGACY);
        assert!(GoroutineRequest::read(Kind::Goroutine, "debug=2&format=json", MAX_TIME).is_err());
        assert!(GoroutineRequest::read(Kind::Goroutine, "debug=2&seconds=1", MAX_TIME).is_err());
    }

    #[test]
    fn time_that_passes_is_recorded_as_long_as_fgprof_records_it() {
        let time = |query| WallRequest::read(query, MAX_TIME).map(|request| request.time);
        assert_eq!(time(""), Ok(USUAL_TIME));
        assert_eq!(time("seconds=2&debug=1"), Ok(Duration::from_secs(2)));
        assert!(["seconds=0", "seconds=x", "seconds=301", "format=xml"].map(time).iter().all(Result::is_err));
        assert_eq!(WallRequest::read("format=json", MAX_TIME).unwrap().form.format.format, &JSON);
    }

    #[test]
    fn holders_are_of_what_is_chosen() {
        let request = HoldersRequest::read("stack=shop%3A%3Aopen&top=3&min_age=10m&format=json").unwrap();
        assert_eq!((request.function.as_deref(), request.top), (Some("shop::open"), Some(3)));
        assert_eq!((request.min_age, request.form.format.rows), (Some(Duration::from_secs(600)), 3));
        let request = HoldersRequest::read("").unwrap();
        assert_eq!((request.function, request.top, request.min_age), (None, None, None));
        assert_eq!(HoldersRequest::read("debug=1").unwrap().form.format.format, &LEGACY);
        for (query, part) in [
            ("top=0", "must be 1 to 1000 rows"),
            ("min_age=x", "must be a time"),
            ("seconds=5", "is unknown"),
            ("labels=age", "must be"),
            (&format!("stack={}", "x".repeat(257)), "256 bytes"),
        ] {
            let text = HoldersRequest::read(query).unwrap_err().text;
            assert!(text.contains(part), "{query}: {text}");
        }
    }
}

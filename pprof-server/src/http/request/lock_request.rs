//! This decides from the query what a request for waits wants.
//!
//! Order and texts are Go's, as for the heap.
//!
//! Path: *read path*. Pure.

use std::time::Duration;

use super::parameters;
use super::process_request::{Form, next_and_form};
use super::profile_request::{is_legacy, no_seconds_of_delta, seconds};
use super::query::given;
use super::unknown;
use crate::http::refusal::Refusal;
use crate::sources::locks::Counted;

/// What a request for waits wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CountsRequest {
    pub(crate) counted: Counted,
    /// Threads of runtimes that wait for work are wanted too.
    pub(crate) has_idle: bool,
    pub(crate) span: Span,
    pub(crate) form: Form,
}

/// What a request for the waits of this moment wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CurrentRequest {
    /// Threads of runtimes that wait for work are wanted too.
    pub(crate) has_idle: bool,
    pub(crate) form: Form,
}

/// The time that waits are wanted of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// It is all the time since the start of the process.
    SinceStart,
    /// It is this time from now on.
    Next(Duration),
    /// It is the time since this client last called.
    SinceLastCall {
        client: String,
        /// The request asks for headers only, so it does not count as a call.
        is_peek: bool,
    },
}

impl CountsRequest {
    /// Reads the query of a request for what is `counted`.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(counted: Counted, query: &str, max_time: Duration) -> Result<CountsRequest, Refusal> {
        let known = if counted == Counted::Block { unknown::OF_BLOCK } else { unknown::OF_MUTEX };
        let (next, form) = next_and_form(query, known, max_time)?;
        let span = next.map_or(Span::SinceStart, Span::Next);
        Ok(CountsRequest { counted, has_idle: is_set(query, "idle", NO_IDLE)?, span, form })
    }

    /// Reads the query of a request for what is `counted` since the client's last call.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read_delta(counted: Counted, query: &str, is_peek: bool) -> Result<CountsRequest, Refusal> {
        if seconds(query, Duration::MAX)?.is_some() {
            return Err(no_seconds_of_delta());
        }
        let form = Form::read(query, unknown::OF_DELTA_LOCKS, is_legacy(query))?;
        let span = Span::SinceLastCall { client: parameters::client(query)?, is_peek };
        Ok(CountsRequest { counted, has_idle: is_set(query, "idle", NO_IDLE)?, span, form })
    }
}

impl CurrentRequest {
    /// Reads the query of a request for `block`. `None`: the waits of some time are wanted, as [`CountsRequest`] has them.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(query: &str, max_time: Duration) -> Result<Option<CurrentRequest>, Refusal> {
        let CountsRequest { has_idle, span, form, .. } =
            CountsRequest::read(Counted::Block, query, max_time)?;
        if !is_set(query, "current", r#"invalid value for "current" - must be "0" or "1""#)? {
            return Ok(None);
        }
        if span != Span::SinceStart {
            return Err(Refusal::bad_request("seconds and current params are incompatible"));
        }
        Ok(Some(CurrentRequest { has_idle, form }))
    }
}

const NO_IDLE: &str = r#"invalid value for "idle" - must be "0" or "1""#;

/// Whether a parameter is 1. It may be 0 too.
fn is_set(query: &str, name: &str, refusal: &'static str) -> Result<bool, Refusal> {
    match given(query, name).as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(Refusal::bad_request(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::ProfileFormat;
    use super::*;
    use crate::encode::format::{JSON, LEGACY};

    const MAX_TIME: Duration = Duration::from_secs(300);

    fn counts(query: &str) -> Result<CountsRequest, Refusal> {
        CountsRequest::read(Counted::Block, query, MAX_TIME)
    }

    #[test]
    fn what_is_counted_has_go_s_forms() {
        assert_eq!(counts("").unwrap().form.format, ProfileFormat::PPROF);
        assert_eq!(counts("debug=1").unwrap().form.format.format, &LEGACY);
        assert_eq!(counts("format=json&labels=none").unwrap().form.format.format, &JSON);
        assert!(!counts("labels=none").unwrap().form.has_labels);
        assert_eq!(counts("").unwrap().span, Span::SinceStart);
        assert_eq!(counts("seconds=2").unwrap().span, Span::Next(Duration::from_secs(2)));
        assert!(counts("idle=1").unwrap().has_idle && !counts("idle=0").unwrap().has_idle);
        for (query, text) in [
            ("idle=yes", r#"invalid value for "idle" - must be "0" or "1""#),
            ("seconds=0", r#"invalid value for "seconds" - must be a positive integer"#),
            ("seconds=1&debug=1", "seconds and debug params are incompatible"),
            ("format=json&debug=1", "format and debug params are incompatible"),
        ] {
            assert_eq!(counts(query).unwrap_err(), Refusal::bad_request(text), "{query}");
        }
    }

    #[test]
    fn waits_of_this_moment_are_those_of_block() {
        let read = |query| CurrentRequest::read(query, MAX_TIME);
        assert!(read("").unwrap().is_none() && read("current=0&seconds=1").unwrap().is_none());
        let request = read("current=1&debug=1&idle=1").unwrap().unwrap();
        assert!(request.has_idle && request.form.format.format == &LEGACY);
        for (query, text) in [
            ("current=yes", r#"invalid value for "current" - must be "0" or "1""#),
            ("seconds=1&current=1", "seconds and current params are incompatible"),
            ("seconds=0&current=x", r#"invalid value for "seconds" - must be a positive integer"#),
        ] {
            assert_eq!(read(query).unwrap_err(), Refusal::bad_request(text), "{query}");
        }
        let of_mutex = CountsRequest::read(Counted::Mutex, "current=1&idle=1", MAX_TIME);
        assert!(of_mutex.unwrap_err().text.contains("is unknown"));
    }

    #[test]
    fn what_is_counted_since_the_last_call_has_every_format() {
        let read = |query| CountsRequest::read_delta(Counted::Mutex, query, false);
        let span = |client: &str| Span::SinceLastCall { client: client.to_owned(), is_peek: false };
        assert_eq!(read("").unwrap().span, span("default"));
        assert_eq!(read("client=alloy&seconds=&idle=1").unwrap().span, span("alloy"));
        assert_eq!(read("debug=1").unwrap().form.format.format, &LEGACY);
        assert_eq!(read("format=json").unwrap().form.format.format, &JSON);
        for (query, part) in [
            ("seconds=0", "must be a positive integer"),
            ("seconds=5", "is not supported for this profile type"),
            ("client=a+b", r#"invalid value for "client""#),
            ("client=a&nope=1", "is unknown"),
        ] {
            let text = read(query).unwrap_err().text;
            assert!(text.contains(part), "{query}: {text}");
        }
        assert!(counts("client=a&idle=1").is_err(), "block knows no clients");
    }
}

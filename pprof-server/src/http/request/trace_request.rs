//! This decides from the query what a request for `trace` wants.
//!
//! Texts are Go's, and so is what Go takes without a word.
//!
//! Path: *read path*. Pure.

use std::time::Duration;

use super::parameters;
use super::process_request::hz;
use super::profile_request::too_long;
use super::query::given;
use super::unknown;
use crate::encode::Symbolize;
use crate::http::refusal::Refusal;

/// How long is traced unless a request says otherwise, as in Go.
const USUAL_TIME: Duration = Duration::from_secs(1);

/// What a request for `trace` wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TraceRequest {
    pub(crate) time: Duration,
    /// Samples in each second of a thread's CPU time.
    pub(crate) hz: u32,
    pub(crate) symbolize: Symbolize,
    /// What of the query is ignored, a sentence each.
    pub(crate) notes: Vec<String>,
}

impl TraceRequest {
    /// Reads the query. Like Go, it takes a `seconds` that is no number above 0 for 1, and parts of a second.
    ///
    /// # Errors
    ///
    /// 400, with a text that names the parameter and the values it may have.
    pub(crate) fn read(query: &str, max_time: Duration) -> Result<TraceRequest, Refusal> {
        let seconds = given(query, "seconds").and_then(|seconds| seconds.parse().ok());
        let time = match seconds.filter(|&seconds: &f64| seconds > 0.0) {
            None => USUAL_TIME.min(max_time),
            // A time that is too long to be one is too long.
            Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
        };
        if time > max_time {
            return Err(too_long(max_time));
        }
        Ok(TraceRequest {
            time,
            hz: hz(query)?,
            symbolize: parameters::symbolize(query)?,
            notes: unknown::ignored(query, unknown::OF_TRACE)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_TIME: Duration = Duration::from_secs(300);

    #[test]
    fn it_is_traced_as_long_as_go_traces() {
        for (query, seconds) in [
            ("", 1.0),
            ("seconds=0.2", 0.2),
            ("seconds=1e1&debug=1", 10.0),
            ("seconds=300&hz=1000", 300.0),
            ("seconds=0", 1.0),
            ("seconds=-1", 1.0),
            ("seconds=x", 1.0),
            ("seconds=NaN", 1.0),
        ] {
            let time = TraceRequest::read(query, MAX_TIME).unwrap().time;
            assert_eq!(time, Duration::from_secs_f64(seconds), "{query}");
        }
        let short = TraceRequest::read("", Duration::from_millis(10)).unwrap();
        assert_eq!((short.time, short.hz), (Duration::from_millis(10), 100), "no longer than is allowed");
        for query in ["seconds=300.1", "seconds=inf", "seconds=1e300"] {
            let text = r#"invalid value for "seconds" - must be at most 300"#;
            assert_eq!(
                TraceRequest::read(query, MAX_TIME).unwrap_err(),
                Refusal::bad_request(text),
                "{query}"
            );
        }
        for query in ["hz=0", "hz=1001", "hz=1&format=json", "symbolize=yes"] {
            assert!(TraceRequest::read(query, MAX_TIME).is_err(), "{query}");
        }
        assert_eq!(TraceRequest::read("nope=1", MAX_TIME).unwrap().notes.len(), 1);
    }
}

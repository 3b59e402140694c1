//! A refusal is an error answer, before it is one of HTTP.
//!
//! It is made wherever a request is found wrong or cannot be answered; `response::answer` writes it.
//!
//! Path: *read path*.

use std::borrow::Cow;

use hyper::StatusCode;

/// An error answer. Its text holds nothing of the request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: Cow<'static, str>,
    /// Sets `X-Go-Pprof`, which makes `go tool pprof` print the text. Go sets it in its handlers, but not
    /// where its router answers.
    pub(crate) is_for_pprof: bool,
    /// Holds the value of the `Allow` header.
    pub(crate) allow: Option<&'static str>,
    /// Holds the value of the `Retry-After` header, in seconds.
    pub(crate) retry_after: Option<&'static str>,
}

impl Refusal {
    /// Makes an error of a handler.
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status, text: text.into(), is_for_pprof: true, allow: None, retry_after: None }
    }

    /// 400, of a handler: the query is wrong, and `text` names what it may be.
    pub(crate) fn bad_request(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    /// Makes an error of the router, worded like Go's.
    pub(crate) fn of_router(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { is_for_pprof: false, ..Refusal::new(status, text) }
    }

    /// The same error, which tells the client to ask again in so many seconds.
    pub(crate) fn with_retry_after(self, seconds: &'static str) -> Refusal {
        Refusal { retry_after: Some(seconds), ..self }
    }
}

//! An error answer, before it is one of HTTP.
//!
//! Made wherever a request is found wrong or cannot be answered; `answer` writes it.
//!
//! Path: *read path*.

use std::borrow::Cow;

use hyper::StatusCode;

/// An error answer. Nothing of the request comes back in its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: Cow<'static, str>,
    /// Sets `X-Go-Pprof`, which makes `go tool pprof` print the text. Go sets it in its handlers, but not
    /// where its router answers.
    pub(crate) is_for_pprof: bool,
    /// The `Allow` header.
    pub(crate) allow: Option<&'static str>,
    /// The `Retry-After` header, in seconds.
    pub(crate) retry_after: Option<&'static str>,
}

impl Refusal {
    /// An error of a handler.
    pub(crate) const fn new(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text: Cow::Borrowed(text), is_for_pprof: true, allow: None, retry_after: None }
    }

    /// An error of the router, worded like Go's.
    pub(crate) const fn of_router(status: StatusCode, text: &'static str) -> Refusal {
        Refusal { status, text: Cow::Borrowed(text), is_for_pprof: false, allow: None, retry_after: None }
    }
}

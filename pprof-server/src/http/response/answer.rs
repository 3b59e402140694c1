//! This makes HTTP answers, and decides which headers go with which body.
//!
//! Every answer carries `nosniff`, and all but the page's own files `no-store`: a
//! profile is never a web page, and never current twice. `Content-Length` is always known, so a cut transfer is
//! noticed.
//!
//! Path: *read path*.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::http::refusal::Refusal;
use crate::http::request::accept_header::MetricsFormat;
use crate::http::request::routes::Asset;
use crate::writers::pprof::compressed;

/// Holds the body of every answer, which is bytes in memory.
///
/// It implements [`http_body::Body`](hyper::body::Body), as frameworks take it, and never fails. A host program makes one
/// of its own by `Body::from`, for answers beside those of a [`Handler`](crate::Handler).
#[derive(Clone, Debug, Default)]
pub struct Body(Full<Bytes>);

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body(Full::from(bytes))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body(Full::from(text))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body(Full::from(text))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An answer whose body is in memory.
pub(crate) type Answer = Response<Body>;

/// A page, which may load what `policy` says.
pub(crate) fn html(body: String, policy: &'static str) -> Answer {
    let mut answer = answer(StatusCode::OK, "text/html; charset=utf-8", body);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    answer
}

/// A file of the page, unless the browser that sent these headers has it. It may keep it, and asks each time.
pub(crate) fn asset(asset: Asset, headers: &HeaderMap) -> Answer {
    let tag = asset.entity_tag();
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let (status, body) =
        if is_known { (StatusCode::NOT_MODIFIED, &[][..]) } else { (StatusCode::OK, asset.bytes()) };
    let mut answer = answer(status, asset.content_type(), body);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // The tag is hexadecimal digits in quotes, which a header can hold.
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    if is_known {
        // It would be that of the whole file.
        headers.remove(CONTENT_LENGTH);
    }
    answer
}

/// Answers with plain text.
pub(crate) fn text(body: String) -> Answer {
    answer(StatusCode::OK, "text/plain; charset=utf-8", body)
}

/// What was asked for has been made.
pub(crate) fn created(body: String) -> Answer {
    answer(StatusCode::CREATED, "text/plain; charset=utf-8", body)
}

/// Answers with rows for a program.
pub(crate) fn json(body: String) -> Answer {
    answer(StatusCode::OK, "application/json", body)
}

/// Figures for Prometheus, in the format that was asked for.
pub(crate) fn metrics(body: String, format: MetricsFormat) -> Answer {
    let mut answer = answer(StatusCode::OK, format.content_type(), body);
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    answer
}

/// Text that need not be UTF-8, whatever its type says, as in Go.
pub(crate) fn raw_text(body: Vec<u8>) -> Answer {
    answer(StatusCode::OK, "text/plain; charset=utf-8", body)
}

/// A file for `go tool pprof`, or for `curl -OJ`, which calls it `name` as Go does.
pub(crate) fn profile(body: Vec<u8>, name: &str) -> Answer {
    written(body, "application/octet-stream", Some(name))
}

/// What a writer wrote. A client that saves it calls it `name`, which is that of a route.
pub(crate) fn written(body: Vec<u8>, content_type: &'static str, name: Option<&str>) -> Answer {
    let mut answer = answer(StatusCode::OK, content_type, body);
    let headers = answer.headers_mut();
    // Names of routes are letters and hyphens, which a header can hold.
    let disposition =
        name.and_then(|name| HeaderValue::from_str(&format!(r#"attachment; filename="{name}""#)).ok());
    headers.extend(disposition.map(|value| (CONTENT_DISPOSITION, value)));
    answer
}

/// A trace, which a client that saves it calls `trace.json`. It is sent in less than a third of its length to whoever takes gzip.
pub(crate) fn trace(body: Vec<u8>, takes_gzip: bool) -> Answer {
    let packed = takes_gzip.then(|| compressed(&body)).flatten();
    let is_packed = packed.is_some();
    let mut answer = written(packed.unwrap_or(body), "application/json", Some("trace.json"));
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// Returns a temporary redirect. `location` comes from a request line, so it is checked again.
pub(crate) fn redirect(location: &str) -> Answer {
    let status = StatusCode::TEMPORARY_REDIRECT;
    let mut answer = answer(status, "text/plain; charset=utf-8", "Temporary Redirect\n");
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/debug/pprof/"));
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// Returns the answer that a refusal is.
pub(crate) fn refusal(refusal: &Refusal) -> Answer {
    let mut answer = answer(refusal.status, "text/plain; charset=utf-8", format!("{}\n", refusal.text));
    let headers = answer.headers_mut();
    if refusal.is_for_pprof {
        headers.insert("x-go-pprof", HeaderValue::from_static("1"));
    }
    if let Some(methods) = refusal.allow {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if refusal.status == StatusCode::UNAUTHORIZED {
        // Browsers ask for a password then.
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pprof\""));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"pprof\""));
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    answer
}

/// Length is set here, not left to hyper, so that HEAD announces the same as GET. An answer may wait long to be
/// taken, and holds no more than its length meanwhile.
fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    let body = Bytes::from(body.into().into_boxed_slice());
    let length = HeaderValue::from(body.len());
    let mut answer = Response::new(Body(Full::new(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length);
    answer
}

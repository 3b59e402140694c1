//! The profile that was asked for, in its format.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of looking up names, and of writing what was asked for.

use alloc_profiler::Snapshot;
use hyper::StatusCode;

use super::answer::{self, Answer};
use crate::encode::format::Bounds;
use crate::encode::{ProfileKind, ProfileOptions, SizeLimit, heap_in};
use crate::http::refusal::Refusal;
use crate::http::request::format::ProfileFormat;
use crate::http::request::period::Period;
use crate::http::request::profile_request::{DeltaHeapRequest, ProfileRequest};

/// Largest answer. The profiler's own memory is capped, so only a cap raised far beyond its default leads here.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The profile of `snapshot`, as it is wanted.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn profile(snapshot: &Snapshot, wanted: &ProfileRequest) -> Result<Answer, Refusal> {
    answer(snapshot, wanted.options, wanted.format, &wanted.notes, disposition(wanted))
}

/// The profile of what a client of `delta_heap` has not had yet, and of what is in use.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn delta_heap(snapshot: &Snapshot, wanted: &DeltaHeapRequest) -> Result<Answer, Refusal> {
    answer(snapshot, wanted.options, ProfileFormat::PPROF, &wanted.notes, r#"attachment; filename="heap""#)
}

/// The heap in `format`. A client that saves it names it after `disposition`.
fn answer(
    snapshot: &Snapshot,
    options: ProfileOptions,
    ProfileFormat { format, rows }: ProfileFormat,
    notes: &[String],
    disposition: &'static str,
) -> Result<Answer, Refusal> {
    let options = bounded_options(options);
    let bounds = Bounds { rows, limit: options.limit, max_bytes: MAX_ANSWER_BYTES };
    let body = heap_in(format, snapshot, &options, &bounds, notes).ok_or_else(too_large)?;
    bounded(body.len())?;
    Ok(answer::written(body, format.content_type, format.is_file.then_some(disposition)))
}

/// The options under which what is beyond the largest answer goes under `[other]`.
fn bounded_options(options: ProfileOptions) -> ProfileOptions {
    let message_bytes = options.limit.message_bytes.min(MAX_ANSWER_BYTES);
    ProfileOptions { limit: SizeLimit { message_bytes, ..options.limit }, ..options }
}

/// The name that `curl -OJ` gives to a profile: Go's.
fn disposition(wanted: &ProfileRequest) -> &'static str {
    let is_difference = matches!(wanted.period, Period::Next(_) | Period::Between { .. });
    match (wanted.options.kind, is_difference) {
        (ProfileKind::Heap, false) => r#"attachment; filename="heap""#,
        (ProfileKind::Heap, true) => r#"attachment; filename="heap-delta""#,
        (ProfileKind::Allocs, false) => r#"attachment; filename="allocs""#,
        (ProfileKind::Allocs, true) => r#"attachment; filename="allocs-delta""#,
    }
}

/// Refuses an answer of more bytes than the largest one has.
pub(super) fn bounded(bytes: usize) -> Result<(), Refusal> {
    if bytes <= MAX_ANSWER_BYTES { Ok(()) } else { Err(too_large()) }
}

fn too_large() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the profile is larger than 64 MiB, or than the memory there is; lower the profiler's limits, or raise its \
         sampling interval",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::format::{JSON, LEGACY, TABLE};

    #[test]
    fn a_text_that_would_be_too_long_ends_while_it_is_written() {
        let (snapshot, options) = (alloc_profiler::snapshot(), ProfileOptions::default());
        let text = |max_bytes| {
            let bounds = Bounds { rows: 0, limit: options.limit, max_bytes };
            heap_in(&LEGACY, &snapshot, &options, &bounds, &[])
        };
        let whole = String::from_utf8(text(MAX_ANSWER_BYTES).unwrap()).unwrap();
        assert!(whole.contains("MAPPED_LIBRARIES:"));
        assert_eq!(text(whole.len() / 2), None);
    }

    #[test]
    fn formats_with_notes_tell_what_was_ignored() {
        let (snapshot, options) = (alloc_profiler::snapshot(), ProfileOptions::default());
        let bounds = Bounds { rows: 1, limit: options.limit, max_bytes: MAX_ANSWER_BYTES };
        for format in [&TABLE, &JSON, &LEGACY] {
            let body = heap_in(format, &snapshot, &options, &bounds, &["a request".to_owned()]).unwrap();
            assert!(String::from_utf8(body).unwrap().contains("a request"), "{}", format.name);
        }
    }
}

//! The profile that was asked for, in its format.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of looking up names, and of writing what was asked for.

use alloc_profiler::Snapshot;
use hyper::StatusCode;

use super::answer::{self, Answer};
use crate::encode::format::Bounds;
use crate::encode::{Labels, ProfileKind, ProfileOptions, SizeLimit};
use crate::http::refusal::Refusal;
use crate::http::request::format::ProfileFormat;
use crate::http::request::period::Period;
use crate::http::request::profile_request::{DeltaHeapRequest, ProfileRequest};
use crate::profile::Profile;
use crate::sources::heap;

/// Largest answer. The profiler's own memory is capped, so only a cap raised far beyond its default leads here.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The profile of `snapshot`, as it is wanted.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn profile(snapshot: &Snapshot, wanted: &ProfileRequest) -> Result<Answer, Refusal> {
    heap(snapshot, wanted.options, wanted.format, &wanted.notes, disposition(wanted))
}

/// The profile of what a client of `delta_heap` has not had yet, and of what is in use.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn delta_heap(snapshot: &Snapshot, wanted: &DeltaHeapRequest) -> Result<Answer, Refusal> {
    heap(snapshot, wanted.options, ProfileFormat::PPROF, &wanted.notes, r#"attachment; filename="heap""#)
}

/// The heap in `format`.
fn heap(
    snapshot: &Snapshot,
    options: ProfileOptions,
    format: ProfileFormat,
    notes: &[String],
    disposition: &'static str,
) -> Result<Answer, Refusal> {
    let labels = if format.format.has_labels { options.labels } else { Labels::Size };
    let options = ProfileOptions { labels, ..options };
    written(format, options.limit, notes, disposition, || heap::profile(snapshot, &options))
}

/// The profile that `make` makes, in its format. A client that saves it names it after `disposition`. What is beyond the
/// largest answer goes under `[other]`.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn written(
    ProfileFormat { format, rows }: ProfileFormat,
    limit: SizeLimit,
    notes: &[String],
    disposition: &'static str,
    make: impl FnOnce() -> Profile,
) -> Result<Answer, Refusal> {
    let message_bytes = limit.message_bytes.min(MAX_ANSWER_BYTES);
    let limit = SizeLimit { message_bytes, ..limit };
    let bounds = Bounds { rows, limit, max_bytes: MAX_ANSWER_BYTES };
    let body = format.written(&bounds, notes, make).ok_or_else(too_large)?;
    bounded(body.len())?;
    Ok(answer::written(body, format.content_type, format.is_file.then_some(disposition)))
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
            LEGACY.written(&bounds, &[], || heap::profile(&snapshot, &options))
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
            let body = format
                .written(&bounds, &["a request".to_owned()], || heap::profile(&snapshot, &options))
                .unwrap();
            assert!(String::from_utf8(body).unwrap().contains("a request"), "{}", format.name);
        }
    }
}

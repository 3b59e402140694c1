//! The profile that was asked for, in its format.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of looking up names, and of writing what was asked for.

use alloc_profiler::Snapshot;
use hyper::StatusCode;

use super::answer::{self, Answer};
use crate::encode::{
    ProfileKind, ProfileOptions, SizeLimit, heap_folded, heap_profile_with, heap_text_within, top_json,
    top_table,
};
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
    let options = &bounded_options(wanted.options);
    let text = |text: String| bounded(text.len()).map(|()| answer::text(text));
    match wanted.format {
        ProfileFormat::Pprof => pprof(snapshot, options, &wanted.notes, disposition(wanted)),
        ProfileFormat::Legacy => heap_text_within(MAX_ANSWER_BYTES, snapshot, options, &wanted.notes)
            .map(answer::text)
            .ok_or_else(too_large),
        ProfileFormat::Table { rows } => text(format!("{:.rows$}", top_table(snapshot, options))),
        ProfileFormat::Json { rows } => {
            let json = top_json(snapshot, options, rows);
            bounded(json.len()).map(|()| answer::json(json))
        }
        ProfileFormat::Folded => text(heap_folded(snapshot, options)),
    }
}

/// The profile of what a client of `delta_heap` has not had yet, and of what is in use.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn delta_heap(snapshot: &Snapshot, wanted: &DeltaHeapRequest) -> Result<Answer, Refusal> {
    let disposition = r#"attachment; filename="heap""#;
    pprof(snapshot, &bounded_options(wanted.options), &wanted.notes, disposition)
}

fn pprof(
    snapshot: &Snapshot,
    options: &ProfileOptions,
    notes: &[String],
    disposition: &'static str,
) -> Result<Answer, Refusal> {
    let profile = heap_profile_with(snapshot, options, notes);
    bounded(profile.len()).map(|()| answer::profile(profile, disposition))
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

    #[test]
    fn a_text_that_would_be_too_long_ends_while_it_is_written() {
        let (snapshot, options) = (alloc_profiler::snapshot(), ProfileOptions::default());
        let whole = heap_text_within(MAX_ANSWER_BYTES, &snapshot, &options, &[]).unwrap();
        assert!(whole.contains("MAPPED_LIBRARIES:"));
        assert_eq!(heap_text_within(whole.len() / 2, &snapshot, &options, &[]), None);
    }
}

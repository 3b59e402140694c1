//! This answers with the profile that was asked for, in its format.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of looking up names, and of writing what was asked for.

use alloc_profiler::Snapshot;
use hyper::StatusCode;

use super::answer::{self, Answer};
use crate::encode::format::Bounds;
use crate::encode::{Labels, ProfileOptions, SizeLimit};
use crate::http::refusal::Refusal;
use crate::http::request::format::ProfileFormat;
use crate::http::request::period::Period;
use crate::http::request::profile_request::{DeltaHeapRequest, ProfileRequest};
use crate::profile::Profile;
use crate::sources::heap;

/// Largest answer. The profiler's own memory is capped, so only a cap raised far beyond its default leads here.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The profile of `snapshot`, as it is wanted.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn profile(snapshot: &Snapshot, wanted: &ProfileRequest) -> Result<Answer, Refusal> {
    let is_difference = matches!(wanted.period, Period::Next(_) | Period::Between { .. });
    let name =
        if is_difference { format!("{}-delta", wanted.kind.name) } else { wanted.kind.name.to_owned() };
    let make = |options: &ProfileOptions| (wanted.kind.make)(snapshot, options);
    of_memory(wanted.format, wanted.options, &wanted.notes, &name, make)
}

/// The profile of what a client of `delta_heap` has not had yet, and of what is in use.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(crate) fn delta_heap(snapshot: &Snapshot, wanted: &DeltaHeapRequest) -> Result<Answer, Refusal> {
    let make = |options: &ProfileOptions| heap::profile(snapshot, options);
    of_memory(ProfileFormat::PPROF, wanted.options, &wanted.notes, "heap", make)
}

/// The profile of memory that `make` makes, in its format.
fn of_memory(
    format: ProfileFormat,
    options: ProfileOptions,
    notes: &[String],
    name: &str,
    make: impl FnOnce(&ProfileOptions) -> Profile,
) -> Result<Answer, Refusal> {
    let labels = if format.format.has_labels { options.labels } else { Labels::Size };
    let options = ProfileOptions { labels, ..options };
    written(format, options.limit, notes, name, || make(&options))
}

/// The profile that `make` makes, in its format. A client that saves it calls it `name`. What is beyond the largest answer
/// goes under `[other]`.
///
/// # Errors
///
/// 503 if it would be larger than 64 MiB.
pub(super) fn written(
    ProfileFormat { format, rows }: ProfileFormat,
    limit: SizeLimit,
    notes: &[String],
    name: &str,
    make: impl FnOnce() -> Profile,
) -> Result<Answer, Refusal> {
    let message_bytes = limit.message_bytes.min(MAX_ANSWER_BYTES);
    let limit = SizeLimit { message_bytes, ..limit };
    let bounds = Bounds { rows, limit, max_bytes: MAX_ANSWER_BYTES };
    let body = format.written(&bounds, notes, make).ok_or_else(too_large)?;
    bounded(body.len())?;
    Ok(answer::written(body, format.content_type, format.is_file.then_some(name)))
}

/// Refuses an answer of more bytes than the largest one has.
pub(super) fn bounded(bytes: usize) -> Result<(), Refusal> {
    if bytes <= MAX_ANSWER_BYTES { Ok(()) } else { Err(too_large()) }
}

pub(super) fn too_large() -> Refusal {
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

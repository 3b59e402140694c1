//! The report on suspects, for `/debug/pprof/leaks`, in the format that was asked for.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of a profile, and some 0.1 µs for each stack and record.

use super::answer::{self, Answer};
use super::profile::bounded;
use crate::encode::{ProfileOptions, SampleType, heap_profile};
use crate::http::refusal::Refusal;
use crate::http::request::format::ReportFormat;
use crate::http::snapshots::Snapshots;
use crate::sources::suspects;

/// The sites that grow by now.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn report(snapshots: &Snapshots, format: ReportFormat) -> Result<Answer, Refusal> {
    let now = snapshots.now_with_ages();
    // Names are looked up before the history is locked, since the time line and the recorder wait for that lock.
    let names = suspects::NamedStacks::of(&now);
    let report = suspects::report(&names, &snapshots.history(), &now, now.taken_at_monotonic);
    match format {
        ReportFormat::Table { rows } => Ok(answer::text(format!("{report:.rows$}"))),
        ReportFormat::Json { rows } => Ok(answer::json(report.json(rows))),
        ReportFormat::Pprof => {
            let options =
                ProfileOptions { sample_type: Some(SampleType::InuseSpace), ..ProfileOptions::default() };
            let profile = heap_profile(&report.snapshot(&now), &options);
            bounded(profile.len()).map(|()| answer::profile(profile, r#"attachment; filename="leaks""#))
        }
    }
}

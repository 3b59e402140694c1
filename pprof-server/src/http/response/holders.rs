//! This answers what keeps blocks alive, for `/debug/pprof/holders`, in the format that was asked for.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: it takes as long as the search, and as looking up names.

use hyper::StatusCode;

use super::answer::Answer;
use super::profile::written;
use crate::http::refusal::Refusal;
use crate::http::request::format::ReportFormat;
use crate::http::request::process_request::HoldersRequest;
use crate::http::snapshots::Snapshots;
use crate::process;
use crate::sources::holders::{self, Choice};
use crate::sources::suspects;

/// So many stacks are taken where nobody says whose holders are wanted and nothing is suspected.
const USUAL_STACKS: usize = 10;

/// What holds the blocks that are chosen: those of the suspects, unless the request says otherwise.
///
/// # Errors
///
/// 503 if memory cannot be searched, or if the profile would be larger than 64 MiB.
pub(crate) fn holders(snapshots: &Snapshots, wanted: &HoldersRequest) -> Result<Answer, Refusal> {
    let is_said = wanted.function.is_some() || wanted.top.is_some() || wanted.min_age.is_some();
    let choice = match is_said {
        true => Choice {
            function: wanted.function.clone(),
            top: wanted.top,
            min_age: wanted.min_age,
            ..Choice::default()
        },
        false => of_suspects(snapshots),
    };
    let held = holders::find(&choice).map_err(|text| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("Could not search memory: {text}"))
    })?;
    let form = &wanted.form;
    let has_labels = form.has_labels && form.format.format.has_labels;
    let make = || held.into_profile(form.symbolize, has_labels);
    written(form.format, form.limit, &form.notes, "holders", make)
}

fn of_suspects(snapshots: &Snapshots) -> Choice {
    let now = snapshots.now_with_ages();
    let names = suspects::NamedStacks::of(&now);
    let wanted = suspects::Wanted { window: None, rows: ReportFormat::Pprof.rows() };
    let report = suspects::report(&names, &snapshots.history(), &now, process::memory(), wanted);
    let suspected = report.snapshot(&now);
    match suspected.stacks.is_empty() {
        false => Choice::of_stacks(&suspected),
        true => Choice {
            top: Some(USUAL_STACKS),
            note: Some(format!(
                "holders: nothing is suspected of leaking, so these are the {USUAL_STACKS} stacks with the most in use; choose others \
                 with stack=, top= or min_age="
            )),
            ..Choice::default()
        },
    }
}

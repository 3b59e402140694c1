//! This answers with the report on suspects, for `/debug/pprof/leaks`, in the format that was asked for.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of a profile, and some 0.1 µs for each stack and moment. If something grows and the program spawns
//! tasks, tasks are looked at too, unless that was done a short time ago.

use super::answer::{self, Answer};
use super::profile::bounded;
use crate::encode::{ProfileOptions, SampleType, TaskRow, heap_profile};
use crate::http::refusal::Refusal;
use crate::http::request::format::{ReportFormat, SuspectsRequest};
use crate::http::snapshots::Snapshots;
use crate::process;
use crate::sources::holders::{self, Choice};
use crate::sources::suspects;

/// The sites that grow by now.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn report(snapshots: &Snapshots, asked: SuspectsRequest) -> Result<Answer, Refusal> {
    let now = snapshots.now_with_ages();
    // Names are looked up before the history is locked, since the time line and the recorder wait for that lock.
    let names = suspects::NamedStacks::of(&now);
    let wanted = suspects::Wanted { window: asked.window, rows: asked.format.rows() };
    let mut report = suspects::report(&names, &snapshots.history(), &now, process::memory(), wanted);
    if asked.format != ReportFormat::Pprof && report.wants_waits() {
        let found = snapshots.tasks();
        let waits: Vec<suspects::Wait> = found.table.rows.iter().map(wait).collect();
        report.add_waits(&waits, found.at, &found.table.notes);
    }
    if asked.with_holders && report.len() > 0 {
        match holders::find(&Choice::of_stacks(&report.snapshot(&now))) {
            Ok(held) => report.note_holders(|named| held.sentence(named)),
            Err(why) => report.note(format!("holders: {why}")),
        }
    }
    match asked.format {
        ReportFormat::Table { rows } => Ok(answer::text(format!("{report:.rows$}"))),
        ReportFormat::Json { rows } => Ok(answer::json(report.json(rows))),
        ReportFormat::Pprof => {
            let options =
                ProfileOptions { sample_type: Some(SampleType::InuseSpace), ..ProfileOptions::default() };
            let profile = heap_profile(&report.snapshot(&now), &options);
            bounded(profile.len()).map(|()| answer::profile(profile, "leaks"))
        }
    }
}

/// Makes of a row of tasks what the report on suspects is told of it.
fn wait(row: &TaskRow) -> suspects::Wait {
    suspects::Wait {
        spawned_by: row.spawned_by.as_ref().map_or_else(String::new, |by| by.function.clone()),
        frames: row.frames.clone(),
        count: row.tasks,
        error: row.standard_error,
        samples: row.samples,
        ages: row.ages,
    }
}

//! This answers what the process is doing, in the format that was asked for.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of looking up names, and of writing what was asked for.

use std::time::Duration;

use capture::CpuSamples;

use super::answer::Answer;
use super::profile::written;
use crate::http::refusal::Refusal;
use crate::http::request::format::ProfileFormat;
use crate::http::request::process_request::{CountsRequest, CpuRequest, GoroutineRequest, WallRequest};
use crate::sources::cpu;
use crate::sources::goroutine::{self, Part};
use crate::sources::locks::{self, Measured};
use crate::sources::wall::{self, Recording};

/// The CPU time that was sampled.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn cpu(samples: CpuSamples, wanted: &CpuRequest) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let has_labels = form.has_labels && form.format.format.has_labels;
    let options = cpu::Options { symbolize: form.symbolize, has_labels };
    let make = || cpu::profile(samples, options);
    written(form.format, form.limit, &form.notes, "profile", make)
}

/// What threads did while it was recorded.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn wall(recording: Recording, wanted: &WallRequest) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let has_labels = form.has_labels && form.format.format.has_labels;
    let options = wall::Options { symbolize: form.symbolize, has_labels };
    written(form.format, form.limit, &form.notes, "fgprof", || recording.finish(options))
}

/// Where threads are; of a `difference`, how that has changed since then.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn goroutine(
    wanted: &GoroutineRequest,
    parts: Vec<Part>,
    difference: Option<(Vec<Part>, Duration)>,
) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let is_each_apart = form.format == ProfileFormat::STACKS;
    // Go's texts have labels too.
    let is_text = is_each_apart || form.format == ProfileFormat::LEGACY;
    let has_labels = form.has_labels && (is_text || form.format.format.has_labels);
    let options = goroutine::Options { symbolize: form.symbolize, has_labels, is_each_apart };
    let name = wanted.kind.name();
    let name = if difference.is_some() { format!("{name}-delta") } else { name.to_owned() };
    let make = || goroutine::profile(wanted.kind, parts, difference, options);
    written(form.format, form.limit, &form.notes, &name, make)
}

/// How long threads waited, or made others wait.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn locks(wanted: &CountsRequest, measured: &Measured) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let name = wanted.counted.name();
    let name = if measured.before.is_some() { format!("{name}-delta") } else { name.to_owned() };
    let has_labels =
        form.has_labels && (form.format == ProfileFormat::LEGACY || form.format.format.has_labels);
    let options = locks::Options { symbolize: form.symbolize, has_labels, has_idle: wanted.has_idle };
    let make = || locks::waits(wanted.counted, measured, options);
    written(form.format, form.limit, &form.notes, &name, make)
}

//! This answers what the process is doing, in the format that was asked for.
//!
//! `handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of looking up names, and of writing what was asked for.

use std::time::Duration;

use capture::CpuSamples;

use super::answer::{self, Answer};
use super::profile::{MAX_ANSWER_BYTES, too_large, written};
use crate::http::refusal::Refusal;
use crate::http::request::format::ProfileFormat;
use crate::http::request::lock_request::{CountsRequest, CurrentRequest, Span};
use crate::http::request::process_request::{CpuRequest, Form, GoroutineRequest, WallRequest};
use crate::http::request::trace_request::TraceRequest;
use crate::sources::cpu;
use crate::sources::goroutine::{self, Kind, Part};
use crate::sources::leaked_tasks;
use crate::sources::locks::current::{self, Waiting};
use crate::sources::locks::{self, Measured};
use crate::sources::options::Options;
use crate::sources::trace::Recorded;
use crate::sources::wall::Recording;
use crate::writers::firefox;

/// The CPU time that was sampled.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn cpu(samples: CpuSamples, wanted: &CpuRequest) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let has_labels = form.has_labels && form.format.format.has_labels;
    let options = Options { symbolize: form.symbolize, has_labels };
    let make = || cpu::profile(samples, options);
    written(form.format, form.limit, &form.notes, "profile", make)
}

/// What happened in some time, as a file for viewers.
///
/// # Errors
///
/// 503 if the trace would be larger than 64 MiB.
pub(crate) fn trace(recorded: Recorded, wanted: &TraceRequest, takes_gzip: bool) -> Result<Answer, Refusal> {
    let mut trace = recorded.named(wanted.symbolize);
    trace.notes.extend(wanted.notes.iter().cloned());
    let body = firefox::json(&trace, MAX_ANSWER_BYTES).ok_or_else(too_large)?;
    Ok(answer::trace(body, takes_gzip))
}

/// What threads did while it was recorded.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn wall(recording: Recording, wanted: &WallRequest) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let has_labels = form.has_labels && form.format.format.has_labels;
    let options = Options { symbolize: form.symbolize, has_labels };
    written(form.format, form.limit, &form.notes, "fgprof", || recording.finish(options))
}

/// Finds what a profile of this kind shows.
///
/// Cost: it takes as long as a dump of all threads, or as a search of memory.
pub(crate) fn parts(kind: Kind) -> Vec<Part> {
    match kind {
        Kind::Goroutine => goroutine::alive(),
        Kind::GoroutineLeak => vec![leaked_tasks::part()],
        Kind::ThreadCreate => goroutine::created(),
    }
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

/// Where threads wait at this moment.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn current(wanted: &CurrentRequest, waiting: &Waiting) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let options = locks_options(form, wanted.has_idle);
    written(form.format, form.limit, &form.notes, "block", || current::profile(waiting, options))
}

fn locks_options(form: &Form, has_idle: bool) -> locks::Options {
    let has_labels =
        form.has_labels && (form.format == ProfileFormat::LEGACY || form.format.format.has_labels);
    locks::Options { symbolize: form.symbolize, has_labels, has_idle }
}

/// How long threads waited, or made others wait.
///
/// # Errors
///
/// 503 if the profile would be larger than 64 MiB.
pub(crate) fn locks(wanted: &CountsRequest, measured: &Measured) -> Result<Answer, Refusal> {
    let form = &wanted.form;
    let name = wanted.counted.name();
    let name = if matches!(wanted.span, Span::Next(_)) { format!("{name}-delta") } else { name.to_owned() };
    let options = locks_options(form, wanted.has_idle);
    let make = || locks::waits(wanted.counted, measured, options);
    written(form.format, form.limit, &form.notes, &name, make)
}

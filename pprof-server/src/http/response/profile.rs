//! The profile that was asked for: of its period, older than what it says, in its format.
//!
//! Called by `handler`, on the worker's thread, which alone takes the locks here: a panic while one was held lost the
//! record or the client that was being added, at most.
//!
//! Path: *read path*.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alloc_profiler::Snapshot;
use hyper::StatusCode;

use super::answer::{self, Answer};
use crate::encode::{
    NamedStacks, ProfileKind, ProfileOptions, SampleType, SizeLimit, heap_folded, heap_profile,
    heap_profile_with, heap_text_within, top_json, top_table,
};
use crate::history::{DEFAULT_LIMIT_BYTES, History, MarkError, Moment, Now, collapsed};
use crate::http::refusal::Refusal;
use crate::http::request::format::Format;
use crate::http::request::period::Period;
use crate::http::request::profile_request::ProfileRequest;
use crate::http::snapshots::clients::Clients;
use crate::http::workers::executor::sleep;
use crate::process;
use crate::sources::suspects;

/// Largest answer. The profiler's own memory is capped, so only a cap raised far beyond its default leads here.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What profiles are made from. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Profiles {
    source: Source,
    /// Who has called `delta_heap`.
    clients: Arc<Mutex<Clients>>,
    history: Arc<Mutex<History>>,
}

/// Where snapshots come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    snapshot: fn() -> Snapshot,
    snapshot_with_ages: fn() -> Snapshot,
}

impl Source {
    pub(crate) fn of_this_process() -> Source {
        Source { snapshot: alloc_profiler::snapshot, snapshot_with_ages: alloc_profiler::snapshot_with_ages }
    }

    /// What `snapshot` gives, which may be slow, or panic.
    #[cfg(test)]
    pub(crate) fn of(snapshot: fn() -> Snapshot) -> Source {
        Source { snapshot, snapshot_with_ages: snapshot }
    }

    fn take(self, with_ages: bool) -> Snapshot {
        if with_ages { (self.snapshot_with_ages)() } else { (self.snapshot)() }
    }
}

impl Profiles {
    /// Those of `source`, with a history of a snapshot for each `record_period`.
    pub(crate) fn new(source: Source, record_period: Option<Duration>) -> Profiles {
        Profiles {
            source,
            clients: Arc::default(),
            history: Arc::new(Mutex::new(History::new(record_period, DEFAULT_LIMIT_BYTES))),
        }
    }

    /// What was allocated and is in use by now.
    pub(crate) fn now(&self) -> Snapshot {
        self.source.take(false)
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is now to the history.
    pub(crate) fn record(&self) {
        let (now, memory) = (self.now(), process::memory());
        self.history().record(&now, memory, now.taken_at_monotonic);
    }

    /// Sets a mark at this moment.
    pub(crate) fn mark(&self, name: &str, replaces: bool) -> Result<(), MarkError> {
        let (now, memory) = (self.now(), process::memory());
        self.history().mark(name, &now, memory, now.taken_at_monotonic, replaces)
    }

    /// The stacks that may leak.
    pub(crate) fn leaks(&self, format: &Format) -> Result<Answer, Refusal> {
        let now = self.source.take(true);
        // Looked up before the history is locked: the time line and the recorder wait for that lock.
        let names = NamedStacks::of(&now);
        let report = suspects::report(&names, &self.history(), &now, now.taken_at_monotonic);
        match *format {
            Format::Table { rows } => Ok(answer::text(format!("{report:.rows$}"))),
            Format::Json { rows } => Ok(answer::json(report.json(rows))),
            Format::Pprof | Format::Legacy | Format::Folded => {
                let options =
                    ProfileOptions { sample_type: Some(SampleType::InuseSpace), ..ProfileOptions::default() };
                let profile = heap_profile(&report.snapshot(&now), &options);
                bounded(profile.len()).map(|()| answer::profile(profile, r#"attachment; filename="leaks""#))
            }
        }
    }

    /// The profile that is wanted, of a time that is over.
    pub(crate) fn profile(&self, wanted: &ProfileRequest) -> Result<Answer, Refusal> {
        if wanted.releases_free_memory {
            release_free_memory();
        }
        let with_ages = wanted.needs_ages();
        let snapshot = match &wanted.period {
            // What changes from now on is made by `delta`.
            Period::SinceStart | Period::Next(_) => self.source.take(with_ages),
            Period::SinceLastCall { client, is_peek } => self.since_last_call(client, *is_peek),
            Period::Until(moment) => self.past(moment, &self.now())?,
            Period::Between { from, to: None } => {
                let now = self.source.take(with_ages);
                let before = self.past(from, &now)?;
                collapsed(now).since(&before)
            }
            Period::Between { from, to: Some(to) } => {
                let now = self.now();
                self.past(to, &now)?.since(&self.past(from, &now)?)
            }
        };
        encode(snapshot, wanted)
    }

    /// What changes in `time`.
    pub(crate) async fn delta(&self, time: Duration, with_ages: bool) -> Snapshot {
        let before = self.now();
        sleep(time).await;
        self.source.take(with_ages).since(&before)
    }

    /// The recorded snapshot nearest to `moment`.
    fn past(&self, moment: &Moment, now: &Snapshot) -> Result<Snapshot, Refusal> {
        match self.history().find(moment, Now::of(now)) {
            Ok(record) => Ok(record.restored(now)),
            Err(missing) => {
                Err(Refusal { text: missing.to_string().into(), ..Refusal::new(StatusCode::NOT_FOUND, "") })
            }
        }
    }

    /// What was allocated since `client` last called, and what is in use.
    fn since_last_call(&self, client: &str, is_peek: bool) -> Snapshot {
        let now = self.now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.since_last_call(client, now, process::age().unwrap_or_default(), is_peek)
    }
}

/// Gives free pages back, unless that was done just now: it stops threads of the program, for up to a second where the heap
/// is large and fragmented, and whoever asks without pause must not take more than a tenth of their time.
fn release_free_memory() {
    static LAST: Mutex<Option<Release>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let started = Instant::now();
    if last.is_none_or(|last| last.is_long_ago(started)) {
        alloc_profiler::release_free_memory();
        let ended = Instant::now();
        *last = Some(Release { ended, took: ended - started });
    }
}

#[derive(Clone, Copy, Debug)]
struct Release {
    ended: Instant,
    took: Duration,
}

impl Release {
    fn is_long_ago(self, now: Instant) -> bool {
        // mutant: D13 free pages are given back without pause
        now.saturating_duration_since(self.ended) >= 9 * self.took
    }
}

/// The profile of `snapshot`, as it is wanted.
pub(crate) fn encode(snapshot: Snapshot, wanted: &ProfileRequest) -> Result<Answer, Refusal> {
    let snapshot = &match wanted.min_age {
        Some(age) => snapshot.older_than(age),
        None => snapshot,
    };
    // What is beyond the largest answer goes under `[other]`.
    let message_bytes = wanted.options.limit.message_bytes.min(MAX_ANSWER_BYTES);
    let options =
        &ProfileOptions { limit: SizeLimit { message_bytes, ..wanted.options.limit }, ..wanted.options };
    let text = |text: String| bounded(text.len()).map(|()| answer::text(text));
    match wanted.format {
        Format::Pprof => {
            let profile = heap_profile_with(snapshot, options, &wanted.notes);
            bounded(profile.len()).map(|()| answer::profile(profile, disposition(wanted)))
        }
        Format::Legacy => heap_text_within(MAX_ANSWER_BYTES, snapshot, options, &wanted.notes)
            .map(answer::text)
            .ok_or_else(too_large),
        Format::Table { rows } => text(format!("{:.rows$}", top_table(snapshot, options))),
        Format::Json { rows } => {
            let json = top_json(snapshot, options, rows);
            bounded(json.len()).map(|()| answer::json(json))
        }
        Format::Folded => text(heap_folded(snapshot, options)),
    }
}

/// The name that `curl -OJ` gives to a profile: Go's, and godeltaprof's.
fn disposition(wanted: &ProfileRequest) -> &'static str {
    match (wanted.options.kind, &wanted.period) {
        (ProfileKind::Heap, Period::SinceStart) => r#"attachment; filename="heap""#,
        (ProfileKind::Heap, Period::Until(_)) => r#"attachment; filename="heap""#,
        (ProfileKind::Heap, Period::Next(_) | Period::Between { .. }) => {
            r#"attachment; filename="heap-delta""#
        }
        (ProfileKind::Allocs, Period::SinceStart) => r#"attachment; filename="allocs""#,
        (ProfileKind::Allocs, Period::Until(_)) => r#"attachment; filename="allocs""#,
        (ProfileKind::Allocs, Period::Next(_) | Period::Between { .. }) => {
            r#"attachment; filename="allocs-delta""#
        }
        (_, Period::SinceLastCall { .. }) => r#"attachment; filename="heap""#,
    }
}

fn bounded(bytes: usize) -> Result<(), Refusal> {
    if bytes <= MAX_ANSWER_BYTES { Ok(()) } else { Err(too_large()) }
}

fn too_large() -> Refusal {
    let text = "the profile is larger than 64 MiB, or than the memory there is; lower the profiler's limits, or raise its sampling interval";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::workers::executor::Executor;

    #[test]
    fn a_text_that_would_be_too_long_ends_while_it_is_written() {
        let (snapshot, options) = (alloc_profiler::snapshot(), ProfileOptions::default());
        let whole = heap_text_within(MAX_ANSWER_BYTES, &snapshot, &options, &[]).unwrap();
        assert!(whole.contains("MAPPED_LIBRARIES:"));
        assert_eq!(heap_text_within(whole.len() / 2, &snapshot, &options, &[]), None);
    }

    #[test]
    fn pages_are_given_back_in_a_tenth_of_the_time_at_most() {
        let ended = Instant::now();
        let last = Release { ended, took: Duration::from_millis(800) };
        assert!(!last.is_long_ago(ended) && !last.is_long_ago(ended + Duration::from_millis(7100)));
        assert!(last.is_long_ago(ended + Duration::from_millis(7200)));
        assert!(Release { ended, took: Duration::ZERO }.is_long_ago(ended));
    }

    #[test]
    fn a_delta_lasts_as_long_as_asked() {
        let executor = Executor::start("delta", || ()).unwrap();
        let profiles = Profiles::new(Source::of_this_process(), None);
        let started = Instant::now();
        let delta = async move { profiles.delta(Duration::from_millis(50), false).await };
        let delta = executor.remote().spawn(delta);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let delta = runtime.block_on(delta).unwrap().unwrap();
        assert!(delta.duration.is_some() && started.elapsed() >= Duration::from_millis(50));
    }
}

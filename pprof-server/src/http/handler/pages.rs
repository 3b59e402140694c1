//! Answers each page that a request may ask for.
//!
//! Path: *read path*. What takes time is done by the workers.

use std::error::Error as StdError;

use hyper::{Request, StatusCode, body};

use super::Handler;
use super::state::{State, keep_index};
use crate::encode::Symbolize;
use crate::history::MarkError;
use crate::http::refusal::Refusal;
use crate::http::request::accept_header::MetricsFormat;
use crate::http::request::format::SuspectsRequest;
use crate::http::request::path::Mount;
use crate::http::request::period::Period;
use crate::http::request::process_request::HoldersRequest;
use crate::http::request::profile_request::{DeltaHeapRequest, ProfileRequest};
use crate::http::response::answer::{self, Answer};
use crate::http::response::{holders, index, metrics, profile, suspects, symbol, timeline};
use crate::http::snapshots::Snapshots;
use crate::http::workers::Lane;
use crate::http::workers::waiters::Peer;
use crate::symbols::LinkageNames;

impl Handler {
    /// Has a worker of `lane` make something of this process's snapshots.
    async fn make<T: Send + 'static>(
        &self,
        lane: Lane,
        make: impl FnOnce(&Snapshots) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let State { snapshots, workers, .. } = self.state();
        let snapshots = snapshots.clone();
        workers.run(lane, async move { make(&snapshots) }).await
    }

    pub(super) async fn index(&self, path: &str) -> Result<Answer, Refusal> {
        let may_lack_slash = self.mount() == Mount::AnyPrefix && path.len() <= 1;
        let page = move |snapshots: &Snapshots| {
            index::page(&snapshots.now(), alloc_profiler::is_installed(), may_lack_slash)
        };
        let page = self.make(Lane::Figures, page).await?;
        Ok(answer::html(page, index::policy(may_lack_slash)))
    }

    pub(super) async fn metrics(&self, with_malloc: bool, format: MetricsFormat) -> Result<Answer, Refusal> {
        let text = move |snapshots: &Snapshots| {
            let missing_records = snapshots.history().passed_over();
            let is_installed = alloc_profiler::is_installed();
            metrics::text(&snapshots.now(), missing_records, is_installed, with_malloc, format)
        };
        // mutant: D13 figures wait for names
        let text = self.make(Lane::Figures, text).await?;
        Ok(answer::metrics(text, format))
    }

    pub(super) async fn timeline(&self) -> Result<Answer, Refusal> {
        let json = |snapshots: &Snapshots| {
            let now = snapshots.now();
            let is_installed = alloc_profiler::is_installed();
            timeline::json(&snapshots.history(), &snapshots.time_line(), &now, is_installed)
        };
        self.make(Lane::Figures, json).await.map(answer::json)
    }

    pub(super) async fn marks(&self) -> Result<Answer, Refusal> {
        let marks = |snapshots: &Snapshots| timeline::marks(&snapshots.history());
        self.make(Lane::Figures, marks).await.map(answer::text)
    }

    pub(super) async fn set_mark(&self, name: String, replaces: bool) -> Result<Answer, Refusal> {
        let set = move |snapshots: &Snapshots| snapshots.mark(&name, replaces);
        let conflict = match self.make(Lane::Figures, set).await? {
            Ok(()) => return Ok(answer::created("mark set\n".to_owned())),
            Err(MarkError::Exists) => "a mark of that name is set already; add replace=1 to set it anew",
            Err(MarkError::TooMany) => {
                "16 marks are set, and there is no room for more; set one of them anew with replace=1"
            }
            Err(MarkError::NoRoom) => {
                "marks take half of the history's memory, and there is no room for more; set one of them anew with \
                 replace=1"
            }
        };
        Err(Refusal::new(StatusCode::CONFLICT, conflict))
    }

    pub(super) async fn suspects(&self, asked: SuspectsRequest) -> Result<Answer, Refusal> {
        let lane = if asked.with_holders { Lane::Searches } else { Lane::Names };
        self.make(lane, move |snapshots| suspects::report(snapshots, asked)).await?
    }

    pub(super) async fn holders(&self, wanted: HoldersRequest) -> Result<Answer, Refusal> {
        keep_index(&self.state().workers)?;
        // mutant: H13 a search keeps all others from their names
        self.make(Lane::Searches, move |snapshots| holders::holders(snapshots, &wanted)).await?
    }

    pub(super) async fn profile(
        &self,
        mut wanted: ProfileRequest,
        peer: Option<Peer>,
    ) -> Result<Answer, Refusal> {
        let State { snapshots, waiters, workers, .. } = self.state();
        let (snapshots, lane) = (snapshots.clone(), lane_of(wanted.options.symbolize));
        if !matches!(wanted.period, Period::Next(_)) {
            let answer = async move {
                let snapshot = snapshots.of_period(&wanted.period, wanted.needs_ages()).await?;
                if wanted.period.is_past() {
                    // mutant: D6 moments of the past that are missing are not told
                    wanted.notes.extend(snapshots.history().notes());
                }
                profile::profile(&snapshot, &wanted)
            };
            return workers.run(lane, answer).await?;
        }
        let _waiting = waiters.admit(peer, wanted.kind.name)?;
        let slot = workers.slot(lane)?;
        let (period, needs_ages) = (wanted.period.clone(), wanted.needs_ages());
        let delta = async move { snapshots.of_period(&period, needs_ages).await };
        let delta = workers.run_in(&slot, Lane::Figures, delta).await??;
        workers.run_in(&slot, lane, async move { profile::profile(&delta, &wanted) }).await?
    }

    pub(super) async fn delta_heap(&self, wanted: DeltaHeapRequest) -> Result<Answer, Refusal> {
        let lane = lane_of(wanted.options.symbolize);
        let answer = move |snapshots: &Snapshots| {
            let DeltaHeapRequest { client, is_peek, releases_free_memory, .. } = &wanted;
            let snapshot = snapshots.since_last_call(client, *is_peek, *releases_free_memory);
            profile::delta_heap(&snapshot, &wanted)
        };
        self.make(lane, answer).await?
    }

    pub(super) async fn symbol<B>(&self, request: Request<B>) -> Result<Answer, Refusal>
    where
        B: body::Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let workers = &self.state().workers;
        let words = symbol::words(request, workers).await?;
        let answer = async move {
            let question = symbol::Question::read(&words)?;
            let names = LinkageNames::of(&question.addresses, symbol::MAX_ANSWER_BYTES);
            Ok(answer::text(question.answer(&names)))
        };
        workers.run(Lane::Addresses, answer).await?
    }

    /// The program's arguments as Go writes them: joined by NUL, without one at the end.
    pub(super) fn cmdline(&self) -> Result<Answer, Refusal> {
        if !self.shows_arguments() {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "Unknown profile: this program serves profiles, at /debug/pprof/heap and others; its arguments may hold secrets, \
                 and PPROF_CMDLINE=1 in its environment shows them",
            ));
        }
        let arguments: Vec<_> = std::env::args_os().map(std::ffi::OsString::into_encoded_bytes).collect();
        Ok(answer::raw_text(arguments.join(&0)))
    }
}

/// Where names are looked up.
pub(super) fn lane_of(symbolize: Symbolize) -> Lane {
    match symbolize {
        Symbolize::None => Lane::Addresses,
        Symbolize::Names | Symbolize::Full => Lane::Names,
    }
}

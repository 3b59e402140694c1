//! Profiles are pushed to an engine of continuous profiling that does not scrape: Pyroscope, or what speaks its protocol or that of
//! OpenTelemetry.
//!
//! ```text
//! builder ─▶ pusher: pace (when?) ─▶ snapshot ─▶ allocated (what is new) ─▶ encode ─▶ protocol ─▶ engine
//!                      cpu_sampler (meanwhile) ─▶ kept (until it is taken) ──────────┘
//! ```
//!
//! Of what was allocated, the moment is kept at which the engine last took a profile. So while the engine is away nothing piles up,
//! and nothing is lost or told twice: the next profile has all that came since.
//!
//! The program calls this; `running` has its end wait for the last profiles. `docs/continuous-profiling.md` is the manual.
//!
//! Path: *read path*, on a thread of its own.

mod builder;
mod counts;
mod cpu_sampler;
mod engine;
mod environment;
mod kept;
mod pace;
mod protocol;
mod pusher;
mod running;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use alloc_profiler::internal::{self, bell};

use crate::Error;
use crate::kept_files;
use crate::own_thread;
pub use builder::PushBuilder;
use counts::Counts;
pub use counts::PushCounts;
pub(crate) use environment::start_from_env;
use pusher::Pusher;
use running::{Running, wait_until};

/// Pushes this process's profiles to the Pyroscope at `url` from now on, once in each `every`: the heap profile, with what was
/// allocated since the last push and what is in use, and CPU time. For a tenant, credentials and other settings, see
/// [`Push::builder`].
///
/// All profiles have the `labels`. One of them should be `service_name`, which is else the name of the program's file. Pods of one
/// service need another label that differs, such as `pod`.
///
/// Dropping the [`Push`], or the end of the program, pushes once more, which takes 5 s at most.
///
/// # Cost
///
/// It takes one thread, `pprof-push`. A push costs what a heap profile costs, and CPU time is sampled a hundred times in each second that a
/// thread is busy. Between two pushes, 48 bytes are kept for each stack and size class, and at most 4 MiB of CPU profiles that the
/// engine has yet to take, or one that is larger.
///
/// # Errors
///
/// [`Error::Push`] for settings that will not do, and [`Error::Start`] if there are no threads or no memory left. Whether the engine
/// is there is not tried: a line on standard error says when a profile could not be pushed, and [`Push::counts`] counts them.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// let labels = [("service_name", "shop"), ("version", "v2")];
/// let _push = pprof_server::push("http://pyroscope:4040", labels, Duration::from_secs(15))?;
/// // … your program …
/// # Ok::<(), pprof_server::Error>(())
/// ```
pub fn push<N: Into<String>, V: Into<String>>(
    url: &str,
    labels: impl IntoIterator<Item = (N, V)>,
    every: Duration,
) -> Result<Push, Error> {
    let builder = Push::builder(url).every(every);
    labels.into_iter().fold(builder, |builder, (name, value)| builder.label(name, value)).start()
}

/// Profiles are pushed as long as this lives. Dropped, it pushes once more, and waits for that for 5 s at most.
///
/// A child of `fork` pushes nothing until it begins anew; there, dropping this does nothing.
#[derive(Debug)]
#[must_use = "pushing ends when this is dropped"]
pub struct Push {
    /// Where the engine takes profiles.
    uri: String,
    is_over: Arc<AtomicBool>,
    has_ended: Arc<AtomicBool>,
    counts: Arc<Counts>,
    /// How many forks led to the process whose thread it is.
    forks: u64,
}

impl Push {
    /// Offers settings beyond those of [`push`].
    pub fn builder(url: impl Into<String>) -> PushBuilder {
        PushBuilder::new(url.into())
    }

    /// How many profiles were pushed so far, and what became of them.
    #[must_use]
    pub fn counts(&self) -> PushCounts {
        self.counts.now()
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Starts the thread.
    fn start(pusher: Pusher) -> Result<Push, Error> {
        // The files that are kept tell whether the program has entered a sandbox.
        kept_files::keep();
        let push = Push {
            uri: pusher.engine.uri().to_owned(),
            is_over: pusher.is_over.clone(),
            has_ended: Arc::default(),
            counts: pusher.counts.clone(),
            forks: internal::forks(),
        };
        let running = Running::begin();
        let ends = EndsWhenDropped(push.has_ended.clone());
        let run = move || {
            let _ends = ends;
            alloc_profiler::unsampled(|| pusher.run());
            drop(running);
        };
        own_thread::spawn("pprof-push", run).map_err(|source| Error::Start { source })?;
        Ok(push)
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        // The thread is the parent's.
        if self.forks != internal::forks() {
            return;
        }
        self.is_over.store(true, SeqCst);
        bell::ring();
        wait_until(|| self.has_ended.load(SeqCst));
    }
}

/// Says that the thread has ended, however it did.
struct EndsWhenDropped(Arc<AtomicBool>);

impl Drop for EndsWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

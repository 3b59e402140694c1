//! Profiles are written to files by themselves: shortly before the control group is full, on a signal, and at exit.
//!
//! ```text
//! control groups ─▶ watched (memory now) ─▶ levels (is a dump due?) ─┐
//! signal, exit ─▶ bell ──────────────────────────────────────────────┼─▶ dumper ─▶ folder (files, bounded)
//! ```
//!
//! When the kernel kills a program that is out of memory, what the profiler knows dies with it. So a thread of its own looks at
//! the memory that is left, and writes the heap profile and the suspects while there is some. Nothing of this is on the
//! allocation path.
//!
//! Started by `http::handler` for whoever names a folder, by `PPROF_DUMP` or in code. `docs/dumps.md` is the manual.
//!
//! Path: *read path*. A look reads one or two small files that are open already.

mod dumper;
mod folder;
mod levels;
mod settings;
mod watched;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use alloc_profiler::Snapshot;
use alloc_profiler::internal::{self, bell, bell::SignalTaker};

use crate::history::History;
use crate::own_thread;
use crate::standard_error::{warn, warn_once};
use dumper::Dumper;
pub(crate) use settings::Settings;

/// How long the end of the program waits for the profile that is written at exit.
const LONGEST_EXIT: Duration = Duration::from_secs(10);
/// How often it looks whether that is done.
const EXIT_PAUSE: Duration = Duration::from_millis(1);

/// The thread that writes dumps. Dropped, it ends the thread without waiting for it.
#[derive(Debug)]
pub(crate) struct Dumps {
    is_over: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What dumps are made of.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// It takes a snapshot with ages.
    pub(crate) snapshot: fn() -> Snapshot,
    pub(crate) history: Arc<Mutex<History>>,
}

impl Dumps {
    /// Starts the thread, if `settings` name a folder and this process has no such thread yet. What will not work is said in a
    /// line on standard error, and the program goes on.
    pub(crate) fn start(settings: &Settings, source: Source) -> Option<Dumps> {
        static HAS_NO_FOLDER: AtomicBool = AtomicBool::new(false);
        let Some(path) = &settings.folder else {
            if settings.signal.is_some() || settings.at_exit || settings.limit_bytes.is_some() {
                warn_once(&HAS_NO_FOLDER, "PPROF_DUMP names no folder, so no profile is written to any");
            }
            return None;
        };
        let running = Running::begin()?;
        if !path.is_dir() {
            warn(&format!(
                "{} is not a folder now; profiles are written there only if it is one when they are due",
                path.display()
            ));
        }
        settings.signal.as_deref().map(take_signal);
        if settings.at_exit {
            running.end_with_a_dump();
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let dumper = Dumper::new(path, settings, source, is_over.clone());
        let run = move || {
            alloc_profiler::unsampled(|| dumper.run());
            drop(running);
        };
        match own_thread::spawn("pprof-dump", run) {
            Ok(thread) => Some(Dumps { is_over, thread: Mutex::new(Some(thread)) }),
            Err(error) => {
                warn(&format!("no profiles will be written to {}: no thread: {error}", path.display()));
                None
            }
        }
    }

    /// Has the thread end, after the dump at exit if there is to be one. Returns at once.
    pub(crate) fn stop(&self) {
        self.is_over.store(true, SeqCst);
        bell::ring();
    }

    /// Waits for the thread after `stop`: as long as one dump is being written.
    pub(crate) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of the thread has been printed by the panic hook; it is not the host's.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The process whose thread is running, as one more than `internal::forks` counts; 0: none is.
static RUNNING: AtomicU64 = AtomicU64::new(0);
/// The same of the process that is to write a dump when it exits.
static DUMPS_AT_EXIT: AtomicU64 = AtomicU64::new(0);
/// That the program exits, and waits for the dump.
static IS_EXITING: AtomicBool = AtomicBool::new(false);

fn this_process() -> u64 {
    internal::forks() + 1
}

/// The right to be the one thread of this process that writes dumps.
struct Running(u64);

impl Running {
    fn begin() -> Option<Running> {
        let (before, own) = (RUNNING.load(SeqCst), this_process());
        // What a parent of a fork has written there is of no account here.
        let is_free = before != own && RUNNING.compare_exchange(before, own, SeqCst, SeqCst).is_ok();
        is_free.then(|| {
            IS_EXITING.store(false, SeqCst);
            Running(own)
        })
    }

    /// Has the program's exit wait for a dump.
    fn end_with_a_dump(&self) {
        static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
        DUMPS_AT_EXIT.store(self.0, SeqCst);
        // A child of `fork` inherits what is registered.
        if !IS_REGISTERED.swap(true, SeqCst) && !bell::at_exit(exit) {
            warn("no profile will be written at exit: the system has no room for one more exit handler");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        DUMPS_AT_EXIT.store(0, SeqCst);
        RUNNING.store(0, SeqCst);
    }
}

/// Runs on the thread that exits, whose thread-local values are gone already. So it only asks, and looks now and then whether
/// that is done: a lock or a channel of the standard library's might need them.
extern "C" fn exit() {
    let is_due = || DUMPS_AT_EXIT.load(SeqCst) == this_process();
    if !is_due() {
        return;
    }
    IS_EXITING.store(true, SeqCst);
    bell::ring();
    let pauses = LONGEST_EXIT.as_millis() / EXIT_PAUSE.as_millis();
    for _ in 0..pauses {
        if !is_due() {
            return;
        }
        std::thread::sleep(EXIT_PAUSE);
    }
}

fn take_signal(name: &str) {
    match bell::ring_on_signal(name) {
        Ok(SignalTaker::Bell) => {}
        Ok(SignalTaker::Program) => warn(&format!(
            "PPROF_DUMP_SIGNAL={name}: the program takes that signal itself, and goes on to; no profile will be written on \
             it. Choose another one of USR1, USR2, HUP and QUIT"
        )),
        Err(error) => warn(&format!(
            "PPROF_DUMP_SIGNAL={name:?}: {error}; no profile will be written on a signal. It must be one of USR1, USR2, HUP \
             and QUIT"
        )),
    }
}

//! One thread looks at memory, waits for the bell, and writes dumps.
//!
//! Path: *read path*. A dump costs what a profile without names costs, and then what one with names costs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use alloc_profiler::Snapshot;
use alloc_profiler::internal::bell;

use super::folder::{Folder, HEAP, REPORT, Stem};
use super::levels::{Cause, Levels, Reading};
use super::watched::Watched;
use super::{IS_EXITING, Settings, Source};
use crate::encode::{Bytes, ProfileOptions, Symbolize, heap_profile, top_table};
use crate::history::History;
use crate::kept_files;
use crate::process;
use crate::sources::holders::{self, Choice, WORK_BYTES};
use crate::sources::suspects::{self, Report};
use crate::standard_error::{tell, warn, warn_once};

/// The pause where nothing limits memory: limits may be set later.
const PAUSE_WITHOUT_LIMIT: Duration = Duration::from_secs(5);
/// The most memory that names take: the bound of `symbols`.
const MAX_NAMES_BYTES: u64 = 64 << 20;
/// What must be left beside it for the program.
const SPARE_BYTES: u64 = 16 << 20;

/// So long the search for who holds what grows may take.
const LONGEST_SEARCH: Duration = Duration::from_secs(3);

/// Tells how many stacks the table of a report shows.
const TABLE_ROWS: usize = 20;
/// The report has the ten suspects that a terminal shows.
const SUSPECTS: suspects::Wanted = suspects::Wanted { window: None, rows: 10 };

#[derive(Debug)]
pub(super) struct Dumper {
    folder: Folder,
    source: Source,
    watched: Watched,
    levels: Levels,
    dumps_at_exit: bool,
    is_over: Arc<AtomicBool>,
    /// As `bell::signals` counts them.
    signals: u32,
    /// That the last dump failed, which is said once.
    has_failed: bool,
}

impl Dumper {
    /// Opens what it will read. This is done before the thread is started, since the program may enter a sandbox later.
    pub(super) fn new(
        folder: &Path,
        settings: &Settings,
        source: Source,
        is_over: Arc<AtomicBool>,
    ) -> Dumper {
        Dumper {
            folder: Folder::new(folder),
            source,
            watched: Watched::of_process(settings.limit_bytes),
            levels: Levels::default(),
            dumps_at_exit: settings.at_exit,
            is_over,
            signals: bell::signals(),
            has_failed: false,
        }
    }

    /// Works until it is told to end.
    pub(super) fn run(mut self) {
        loop {
            let rings = bell::rings();
            if IS_EXITING.load(SeqCst) || self.is_over.load(SeqCst) {
                if self.dumps_at_exit {
                    self.dump(Cause::Exit, None);
                }
                return self.watched.close();
            }
            if bell::signals() != self.signals {
                self.signals = bell::signals();
                self.dump(Cause::Signal, None);
            }
            let reading = self.watched.reading(Instant::now());
            if let Some(reading) = reading
                && let Some(cause) = self.levels.look(reading)
            {
                self.dump(cause, Some(reading));
            }
            bell::wait(rings, reading.map_or(PAUSE_WITHOUT_LIMIT, |_| self.levels.pause()));
        }
    }

    /// Writes a dump, and says where it is, or once why it is not there.
    fn dump(&mut self, cause: Cause, reading: Option<Reading>) {
        static IS_SANDBOXED_TOLD: AtomicBool = AtomicBool::new(false);
        // mutant: D16 a dump is written in a sandbox
        if kept_files::is_sandboxed() {
            let text = "the program has entered a sandbox, which may kill whoever opens a file, so no profile was written; \
                        PPROF_OPEN_FILES=1 has it written all the same";
            return warn_once(&IS_SANDBOXED_TOLD, text);
        }
        let written = catch_unwind(AssertUnwindSafe(|| self.write(cause, reading)));
        let error = match written {
            Ok(Ok(())) => {
                self.has_failed = false;
                return;
            }
            Ok(Err(error)) => error,
            Err(_panic) => io::Error::other("the profiler panicked"),
        };
        if !self.has_failed {
            self.has_failed = true;
            warn(&format!(
                "cannot write a heap profile to {}: {error}; PPROF_DUMP must name a folder that may be written to and has \
                 room. This is said again only after one was written",
                self.folder.path().display()
            ));
        }
    }

    /// Writes the profile and the report by addresses first, since that needs little memory and time. Then they are written
    /// again with names, and the report once more with who holds what grows, if there is memory for that.
    fn write(&mut self, cause: Cause, reading: Option<Reading>) -> io::Result<()> {
        let now = (self.source.snapshot)();
        let stem = Stem::new(SystemTime::now(), std::process::id(), cause);
        let (path, _) = self.write_as(&stem, &now, Symbolize::None)?;
        tell(&told(cause, reading, &path));
        self.history().keep_peak(&now, process::memory(), now.taken_at_monotonic);
        // The program may have entered a sandbox meanwhile.
        if self.has_memory_for_names() && !kept_files::is_sandboxed() {
            let mut report = self.write_as(&stem, &now, Symbolize::Full)?.1;
            // mutant: D18 a dump does not say who holds what grows
            if report.len() > 0 && self.has_memory_for(WORK_BYTES as u64) && !kept_files::is_sandboxed() {
                match holders::find_now(&Choice::of_stacks(&report.snapshot(&now)), LONGEST_SEARCH) {
                    Ok(held) => report.note_holders(|named| held.sentence(named)),
                    Err(why) => report.note(format!("holders: {why}")),
                }
                self.write_report(&stem, &report, &now, Symbolize::Full)?;
            }
        }
        self.folder.remove_oldest(&stem, SystemTime::now());
        Ok(())
    }

    /// The path is that of the profile.
    fn write_as(&self, stem: &Stem, now: &Snapshot, symbolize: Symbolize) -> io::Result<(PathBuf, Report)> {
        let options = ProfileOptions { symbolize, ..ProfileOptions::default() };
        let path = self.folder.write(stem, HEAP, &heap_profile(now, &options))?;
        let names = suspects::NamedStacks::with(now, symbolize);
        let report = suspects::report(&names, &self.history(), now, process::memory(), SUSPECTS);
        self.write_report(stem, &report, now, symbolize)?;
        Ok((path, report))
    }

    fn write_report(
        &self,
        stem: &Stem,
        report: &Report,
        now: &Snapshot,
        symbolize: Symbolize,
    ) -> io::Result<()> {
        let options = ProfileOptions { symbolize, ..ProfileOptions::default() };
        // While it is too early for suspects, the largest stacks are the best answer.
        let text = format!("{report}\n{:.TABLE_ROWS$}", top_table(now, &options));
        self.folder.write(stem, REPORT, text.as_bytes()).map(drop)
    }

    fn has_memory_for_names(&mut self) -> bool {
        // Names took 42 MiB, pages of the file included, in a program whose file has 37 MiB.
        let of_file = process::program_file_bytes().unwrap_or(MAX_NAMES_BYTES);
        self.has_memory_for(of_file.min(MAX_NAMES_BYTES))
    }

    /// Memory is looked at anew, since it may have filled while the first profile was written. Where it fills fast, more work would
    /// bring the end nearer.
    fn has_memory_for(&mut self, bytes: u64) -> bool {
        let Some(reading) = self.watched.reading(Instant::now()) else { return true };
        !self.levels.is_filling() && reading.free_bytes() >= bytes + SPARE_BYTES
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.source.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(cause: Cause, reading: Option<Reading>, path: &Path) -> String {
    let amounts = |reading: Reading| {
        format!("{} of {}", Bytes(reading.used_bytes as f64), Bytes(reading.limit_bytes as f64))
    };
    let why = match (cause, reading) {
        (Cause::Level(_), Some(reading)) => {
            format!("memory is at {} % of its limit ({})", reading.percent(), amounts(reading))
        }
        (Cause::Approach, Some(reading)) => format!("memory fills fast ({})", amounts(reading)),
        (Cause::Signal, _) => "a signal asked for it".to_owned(),
        (Cause::Exit, _) => "the program ends".to_owned(),
        (Cause::Level(_) | Cause::Approach, None) => "memory is short".to_owned(),
    };
    format!("{why}: heap profile written to {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_why_and_where() {
        let path = Path::new("/dumps/heap");
        let reading = Reading { at: Instant::now(), used_bytes: 81 << 20, limit_bytes: 100 << 20 };
        assert_eq!(
            told(Cause::Level(80), Some(reading), path),
            "memory is at 81 % of its limit (81.0 MiB of 100 MiB): heap profile written to /dumps/heap"
        );
        assert!(
            told(Cause::Approach, Some(reading), path)
                .starts_with("memory fills fast (81.0 MiB of 100 MiB): ")
        );
        assert_eq!(told(Cause::Exit, None, path), "the program ends: heap profile written to /dumps/heap");
    }
}

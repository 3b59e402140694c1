//! These files of the system are opened when a server starts, and read anew whenever they are asked for.
//!
//! A program may enter a sandbox after that, and the sandbox may kill whoever opens a file. So what recording reads is
//! open already, and so is what a profile needs at least: where code is mapped, and the program's own file. Whether the
//! program has entered a sandbox since is told by `/proc/self/status`, which counts filters of system calls.
//!
//! No file that was kept is ever closed: see `kept_file`.
//!
//! `process` and `mappings` read them. Files are kept on Linux alone; elsewhere they are opened when they are read.
//!
//! Path: *read path*; [`keep`] runs once in a process.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::cgroup::CgroupFiles;
use crate::kept_file::KeptFile;

/// If this is `1`, files are opened in a sandbox too, for sandboxes that allow it.
const OPEN_VARIABLE: &str = "PPROF_OPEN_FILES";
/// Where fewer descriptors may be open, they are left to the program.
const MIN_DESCRIPTORS: u64 = 64;
/// The number of tries to have the lock before doing without it: its owner may be a thread that `fork` has left behind.
const TRIES: u32 = 1000;

static KEPT: Mutex<Option<Arc<KeptFiles>>> = Mutex::new(None);

/// The files that one process keeps open.
#[derive(Debug)]
pub(crate) struct KeptFiles {
    /// The process that opened them: files of `/proc/self` tell of it, in a child of `fork` too.
    process: u32,
    /// The filters when the files were opened.
    filters: Filters,
    opens_in_sandbox: bool,
    pub(crate) status: Option<KeptFile>,
    pub(crate) stat: Option<KeptFile>,
    pub(crate) uptime: Option<KeptFile>,
    pub(crate) maps: Option<KeptFile>,
    pub(crate) memory: Option<KeptFile>,
    pub(crate) program: Option<KeptFile>,
    /// Tells what the kernel called the program's file.
    pub(crate) program_path: PathBuf,
    pub(crate) cgroup: CgroupFiles,
}

/// Opens the files, unless this process has done so already.
pub(crate) fn keep() {
    if kept().is_some() || !has_descriptors_to_spare() {
        return;
    }
    let kept = Arc::new(KeptFiles::open());
    if let Some(mut kept_before) = try_lock() {
        // What the parent of a fork had open stays open here: the numbers may be others' by now.
        std::mem::forget(kept_before.replace(kept));
    }
}

/// The files that this process keeps open.
pub(crate) fn kept() -> Option<Arc<KeptFiles>> {
    let kept = try_lock()?.clone()?;
    (kept.process == std::process::id()).then_some(kept)
}

/// Whether the program has entered a sandbox since it started the profiler, so that to open a file, or to start a thread,
/// may be the end of it.
pub(crate) fn is_sandboxed() -> bool {
    kept().is_some_and(|kept| kept.is_sandboxed())
}

/// Whether some filter may forbid system calls here. That of a container or of systemd is there from the start, and it may kill too: what
/// can be done without is not asked for under any.
pub(crate) fn may_be_filtered() -> bool {
    let status = kept().and_then(|kept| kept.status.as_ref().and_then(KeptFile::text));
    status.is_none_or(|text| Filters::of(&text) != Filters::NONE)
}

fn try_lock() -> Option<std::sync::MutexGuard<'static, Option<Arc<KeptFiles>>>> {
    for _ in 0..TRIES {
        match KEPT.try_lock() {
            Ok(guard) => return Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

impl KeptFiles {
    fn open() -> KeptFiles {
        let status = KeptFile::open("/proc/self/status");
        KeptFiles {
            process: std::process::id(),
            filters: status
                .as_ref()
                .and_then(KeptFile::text)
                .map_or(Filters::NONE, |text| Filters::of(&text)),
            opens_in_sandbox: std::env::var_os(OPEN_VARIABLE).is_some_and(|value| value == "1"),
            status,
            stat: KeptFile::open("/proc/self/stat"),
            uptime: KeptFile::open("/proc/uptime"),
            maps: KeptFile::open("/proc/self/maps"),
            memory: KeptFile::open("/proc/self/mem"),
            program: KeptFile::open("/proc/self/exe"),
            program_path: fs::read_link("/proc/self/exe").unwrap_or_default(),
            cgroup: CgroupFiles::of_process(),
        }
    }

    pub(crate) fn is_sandboxed(&self) -> bool {
        let Some(status) = &self.status else { return false };
        // If the descriptor is no longer ours, nobody knows, and nothing is risked.
        let has_more = |text: String| Filters::of(&text).is_more_than(self.filters);
        // mutant: D4 files are opened in a sandbox
        !self.opens_in_sandbox && status.text().is_none_or(has_more)
    }
}

/// The system's filters of system calls (seccomp) that a process is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filters {
    mode: u64,
    /// The number of filters, which Linux 5.9 and newer tell.
    count: u64,
}

impl Filters {
    const NONE: Filters = Filters { mode: 0, count: 0 };

    /// `status` is a `/proc/<pid>/status` file.
    fn of(status: &str) -> Filters {
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.trim().parse().ok()).unwrap_or(0)
        };
        Filters { mode: number("Seccomp"), count: number("Seccomp_filters") }
    }

    fn is_more_than(self, before: Filters) -> bool {
        self.mode != before.mode || self.count > before.count
    }
}

/// Whether the program will not miss the descriptors that are kept.
fn has_descriptors_to_spare() -> bool {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft_limit = line.and_then(|line| line.split_whitespace().next());
    // `unlimited` is no number.
    soft_limit.is_some_and(|limit| limit.parse().map_or(true, |limit: u64| limit >= MIN_DESCRIPTORS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_filters_are_a_sandbox() {
        let of =
            |mode, count| Filters::of(&format!("Seccomp_filters:\t{count}\nName:\ta\nSeccomp:\t{mode}\n"));
        assert_eq!(of(2, 3), Filters { mode: 2, count: 3 });
        assert_eq!(Filters::of("Name:\ta\n"), Filters::NONE);
        assert!(of(2, 1).is_more_than(Filters::NONE));
        // Before Linux 5.9, the mode must do.
        assert!(of(2, 0).is_more_than(Filters::NONE));
        // In a container, which has a filter from the start.
        assert!(!of(2, 1).is_more_than(of(2, 1)));
        assert!(of(2, 2).is_more_than(of(2, 1)));
        assert!(!Filters::NONE.is_more_than(Filters::NONE));
    }
}

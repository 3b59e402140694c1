//! The system says of this process how old it is, what memory it has, and how much it may have.
//!
//! On other systems than Linux, nothing of it is known.
//!
//! Path: *read path*. Each call reads a few small files anew. In a process that serves, they have been open since it began
//! to serve: see `kept_files`.

use std::fs;
#[cfg(feature = "http")]
use std::io;
use std::time::Duration;
#[cfg(feature = "http")]
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cgroup::{CgroupFiles, CgroupMemory};
use crate::kept_files;
#[cfg(feature = "http")]
use crate::per_process::PerProcess;

/// The amount of memory, in bytes, that a field such as `VmRSS` of a `/proc/<pid>/status` file tells.
pub(crate) fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The bytes of this process that are in memory.
pub(crate) fn resident_bytes() -> Option<u64> {
    status_bytes(&status()?, "VmRSS")
}

/// What doing a job takes for a moment, in many small blocks, or in one for a compressor. Neither the
/// standard library nor the crates that do it think of failure.
pub(crate) const WORK_BYTES: usize = 512 << 10;

/// Whether there is memory to do a job.
pub(crate) fn can_work() -> bool {
    can_have(WORK_BYTES)
}

/// What must be left when a thread of ours has its stack. The first job takes half of it.
#[cfg(feature = "http")]
const START_BYTES: usize = 2 * WORK_BYTES;

/// Whether there is memory for what a thread of ours will do.
#[cfg(feature = "http")]
pub(crate) fn can_start() -> bool {
    can_have(START_BYTES)
}

/// The error where [`can_start`] is false.
#[cfg(feature = "http")]
pub(crate) fn no_memory() -> io::Error {
    let text =
        "less than 1 MiB of memory can be had; give the program more (ulimit -v, or its container's limit)";
    io::Error::new(io::ErrorKind::OutOfMemory, text)
}

/// Whether so many bytes of memory can be had now. A library that asks for memory with no thought of failure may end the
/// program, so whoever calls one looks first.
///
/// The allocator is asked only where the system has none: it may have some left.
pub(crate) fn can_have(bytes: usize) -> bool {
    // mutant: D17 a look at memory has glibc's malloc keep more of it, and open a file
    if alloc_profiler::internal::is_there(bytes) {
        return true;
    }
    let mut memory = Vec::<u8>::new();
    let is_there = memory.try_reserve_exact(bytes).is_ok();
    // Otherwise the compiler leaves out memory that nobody uses.
    std::hint::black_box(&memory);
    is_there
}

/// Returns the text of `/proc/self/status`.
pub(crate) fn status() -> Option<String> {
    match kept_files::kept() {
        // mutant: D4 what is recorded is opened anew
        Some(kept) => kept.status.as_ref()?.text(),
        None => text_of("/proc/self/status"),
    }
}

/// Returns the length of the program's file, debug information included.
#[cfg(feature = "http")]
pub(crate) fn program_file_bytes() -> Option<u64> {
    match kept_files::kept() {
        Some(kept) => Some(kept.program.as_ref()?.file()?.metadata().ok()?.len()),
        None => Some(fs::metadata("/proc/self/exe").ok()?.len()),
    }
}

/// What a time line shows beside the heap.
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: Option<u64>,
    /// Tells the memory of the control group.
    pub(crate) group: CgroupMemory,
}

/// Returns the memory of this process now. To find out reads a dozen small files.
#[cfg(feature = "http")]
pub(crate) fn memory() -> Memory {
    Memory { resident_bytes: resident_bytes(), group: cgroup_memory() }
}

/// A text that no other process has, nor this one's parent or child: whoever asks again is told whether the program was started
/// anew.
#[cfg(feature = "http")]
pub(crate) fn instance() -> &'static str {
    static INSTANCE: PerProcess<String> = PerProcess::new();
    INSTANCE.get(|| {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        format!("{}-{nanos}", std::process::id())
    })
}

/// The time since this process was started, to a hundredth of a second.
pub(crate) fn age() -> Option<Duration> {
    match kept_files::kept() {
        Some(kept) => age_of(&kept.stat.as_ref()?.text()?, &kept.uptime.as_ref()?.text()?),
        None => age_of(&text_of("/proc/self/stat")?, &fs::read_to_string("/proc/uptime").ok()?),
    }
}

/// Returns the text of a file. What is no text in it is replaced: the program's name may be anything, and is cut after 15 bytes.
fn text_of(file: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(file).ok()?).into_owned())
}

fn age_of(stat: &str, uptime: &str) -> Option<Duration> {
    /// `USER_HZ`, which is the same on every Linux, whatever clock the kernel has.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The program's name stands in parentheses, and may hold more of them.
    let (_, fields) = stat.rsplit_once(')')?;
    let start_ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(uptime - start_ticks / TICKS_PER_SECOND).ok()
}

/// Returns the memory of this process's control group, of version 2 or 1. Where files are kept, it is the group that the process
/// was in when it began to serve.
pub(crate) fn cgroup_memory() -> CgroupMemory {
    match kept_files::kept() {
        Some(kept) => kept.cgroup.memory(),
        None => CgroupFiles::of_process().memory(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_cannot_be_had_is_known_before_it_is_needed() {
        assert!(can_have(1 << 20));
        // Half of all addresses are the kernel's.
        assert!(!can_have(usize::MAX / 4));
    }

    #[test]
    fn the_status_file_tells_amounts() {
        let status = "Name:\tVmRSS\nVmHWM:\t    1234 kB\nVmRSSx:\t 2 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(status_bytes(status, "VmHWM"), Some(1234 * 1024));
        assert_eq!(status_bytes(status, "VmRSS"), Some(1024));
        assert_eq!(status_bytes(status, "VmSwap"), None);
        assert_eq!(status_bytes("VmHWM: many", "VmHWM"), None);
    }

    #[test]
    fn age_is_uptime_without_the_time_before_the_start() {
        let stat = format!("7 (a) b) R {} 12345 0 0\n", ["0"; 18].join(" "));
        assert_eq!(age_of(&stat, "200.45 300.0\n"), Some(Duration::from_secs(77)));
        assert_eq!(age_of(&stat, "1.0 300.0\n"), None, "started in the future");
        assert_eq!(age_of("", ""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_young_and_has_memory() {
        assert!(age().unwrap() < Duration::from_secs(3600));
        assert!(resident_bytes().unwrap() > 100_000);
    }
}

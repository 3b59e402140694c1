//! What the system says of this process: how old it is, what memory it has, and how much it may have.
//!
//! Linux; elsewhere nothing is known. Used by `encode`, `http::metrics` and `http::handler`.
//!
//! Path: *read path*. A few small files, read anew each time; those of a process that serves have been open since it
//! began to, see `kept_files`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::kept_files::{self, KeptFile};

/// A field of a `/proc/<pid>/status` file that is an amount of memory, in bytes: `VmRSS`, `VmHWM`.
pub(crate) fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes of this process that are in memory.
pub(crate) fn resident_bytes() -> Option<u64> {
    status_bytes(&status()?, "VmRSS")
}

/// `/proc/self/status`.
pub(crate) fn status() -> Option<String> {
    match kept_files::kept() {
        Some(kept) => kept.status.as_ref()?.text(),
        None => text_of("/proc/self/status"),
    }
}

/// What a time line shows beside the heap.
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: Option<u64>,
    /// What the control group allows.
    pub(crate) limit_bytes: Option<u64>,
}

/// Of this process, now. Cost: a dozen small files.
#[cfg(feature = "http")]
pub(crate) fn memory() -> Memory {
    Memory { resident_bytes: resident_bytes(), limit_bytes: cgroup_memory().limit_bytes }
}

/// Time since this process was started, to a hundredth of a second.
pub(crate) fn age() -> Option<Duration> {
    match kept_files::kept() {
        Some(kept) => age_of(&kept.stat.as_ref()?.text()?, &kept.uptime.as_ref()?.text()?),
        None => age_of(&text_of("/proc/self/stat")?, &fs::read_to_string("/proc/uptime").ok()?),
    }
}

/// The program's name is in it, which may be anything, and is cut after 15 bytes.
fn text_of(file: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(file).ok()?).into_owned())
}

fn age_of(stat: &str, uptime: &str) -> Option<Duration> {
    /// `USER_HZ`: of every Linux, whatever its own clock.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The program's name stands in parentheses, and may hold more of them.
    let (_, fields) = stat.rsplit_once(')')?;
    let start_ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(uptime - start_ticks / TICKS_PER_SECOND).ok()
}

/// Memory of the control group that this process is in. Absent: no limit, or nothing to read it from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CgroupMemory {
    /// Above this, the kernel kills: the smallest limit of the group and those around it.
    pub(crate) limit_bytes: Option<u64>,
    /// What the group has, page cache and other processes included.
    pub(crate) usage_bytes: Option<u64>,
}

/// Of this process's group, version 2 or 1. Where files are kept, of the group that it was in when it began to serve.
pub(crate) fn cgroup_memory() -> CgroupMemory {
    match kept_files::kept() {
        Some(kept) => kept.cgroup.memory(),
        None => CgroupFiles::of_process().memory(),
    }
}

/// What [`CgroupMemory`] is read from: which files there are is found out once.
#[derive(Debug, Default)]
pub(crate) struct CgroupFiles {
    /// Of the group and those around it.
    limits: Vec<KeptFile>,
    /// Of the innermost group that tells.
    usage: Option<KeptFile>,
}

impl CgroupFiles {
    /// Opens those of this process's group.
    pub(crate) fn of_process() -> CgroupFiles {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        CgroupFiles::below(Path::new("/sys/fs/cgroup"), &groups)
    }

    /// `groups` is a `/proc/<pid>/cgroup` file. A group that is not below `root`, as where a container sees its own
    /// part only, is looked for further up.
    fn below(root: &Path, groups: &str) -> CgroupFiles {
        let mut files = CgroupFiles::default();
        for line in groups.lines() {
            // number:controllers:path; of version 2, `0::path`.
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let (mount, limit, usage) = match controllers {
                "" => (root.to_owned(), "memory.max", "memory.current"),
                _ if controllers.split(',').any(|name| name == "memory") => {
                    (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes")
                }
                _ => continue,
            };
            let group = mount.join(path.trim_start_matches('/'));
            for folder in group.ancestors().take_while(|folder| folder.starts_with(&mount)) {
                files.limits.extend(KeptFile::open(folder.join(limit)));
                files.usage = files.usage.or_else(|| KeptFile::open(folder.join(usage)));
            }
        }
        files
    }

    pub(crate) fn memory(&self) -> CgroupMemory {
        // Of version 2, `max` is no limit; of version 1, a number that no machine has memory for.
        let limits = self.limits.iter().filter_map(number_in).filter(|&bytes| bytes < 1 << 60);
        CgroupMemory { limit_bytes: limits.min(), usage_bytes: self.usage.as_ref().and_then(number_in) }
    }
}

fn number_in(file: &KeptFile) -> Option<u64> {
    file.text()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("a/memory.max", "5000\n");
        write("a/memory.current", "4000\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "300\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.usage_in_bytes", "77\n");
        write("memory/c/memory.limit_in_bytes", "600\n");
        let of = |groups| {
            let CgroupMemory { limit_bytes, usage_bytes } = CgroupFiles::below(root.path(), groups).memory();
            (limit_bytes, usage_bytes)
        };
        assert_eq!(of("0::/a/b\n"), (Some(5000), Some(300)));
        // A path of outside the container.
        assert_eq!(of("0::/a/gone\n"), (Some(5000), Some(4000)));
        assert_eq!(of("0::/\n"), (None, None));
        assert_eq!(of("3:cpu,memory:/c\n2:cpu:/\n0::/\n"), (Some(600), Some(77)));
        assert_eq!(of("3:memory:/gone\n"), (None, Some(77)));
        assert_eq!(of("nonsense\n"), (None, None));
    }
}

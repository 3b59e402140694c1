//! This tells how much memory the control group of this process has and may have, by the files that the kernel shows it
//! in.
//!
//! The files are looked for once and kept open: see `kept_files`. Control groups are Linux' own; on other systems there are none.
//!
//! Path: *read path*.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kept_file::KeptFile;

/// The memory of the control group that this process is in. A figure is absent if there is no limit, or nothing to read it
/// from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CgroupMemory {
    /// The smallest limit of the group and those around it. Above this, the kernel kills.
    pub(crate) limit_bytes: Option<u64>,
    /// The bytes that the group has, page cache and other processes included.
    pub(crate) usage_bytes: Option<u64>,
}

/// The files that [`CgroupMemory`] is read from. Which of them there are is found out once.
#[derive(Debug, Default)]
pub(crate) struct CgroupFiles {
    /// Keeps open the limits of the group and of those around it.
    limits: Vec<KeptFile>,
    /// The usage of the innermost group that tells it.
    usage: Option<KeptFile>,
}

impl CgroupFiles {
    /// Opens the files of this process's group.
    pub(crate) fn of_process() -> CgroupFiles {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        CgroupFiles::below(Path::new("/sys/fs/cgroup"), &groups)
    }

    /// Opens the files of the groups that `groups`, a `/proc/<pid>/cgroup` file, lists.
    fn below(root: &Path, groups: &str) -> CgroupFiles {
        let mut files = CgroupFiles::default();
        for Group { folder, version } in groups_below(root, groups) {
            let (limit, usage) = match version {
                Version::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
                Version::V2 => ("memory.max", "memory.current"),
            };
            files.limits.extend(KeptFile::open(folder.join(limit)));
            files.usage = files.usage.or_else(|| KeptFile::open(folder.join(usage)));
        }
        files
    }

    pub(crate) fn memory(&self) -> CgroupMemory {
        // Version 2 writes `max` for no limit, which is no number.
        let limits = self.limits.iter().filter_map(number_in).filter(|&bytes| is_limit(bytes));
        CgroupMemory { limit_bytes: limits.min(), usage_bytes: self.usage.as_ref().and_then(number_in) }
    }
}

/// How the kernel shows a group: its files have other names in each version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// A control group that this process is in, or one around it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) folder: PathBuf,
    pub(crate) version: Version,
}

/// The groups of this process that may limit its memory, the innermost first.
pub(crate) fn groups_of_process() -> Vec<Group> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups_below(Path::new("/sys/fs/cgroup"), &groups)
}

/// `groups` is a `/proc/<pid>/cgroup` file. A container may see a part of the groups only, so a folder need not be there;
/// those around it are told too.
pub(crate) fn groups_below(root: &Path, groups: &str) -> Vec<Group> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        // A line is number:controllers:path; version 2 writes `0::path`.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, version) = match controllers {
            "" => (root.to_owned(), Version::V2),
            _ if controllers.split(',').any(|name| name == "memory") => (root.join("memory"), Version::V1),
            _ => continue,
        };
        let group = mount.join(path.trim_start_matches('/'));
        let around = group.ancestors().take_while(|folder| folder.starts_with(&mount));
        folders.extend(around.map(|folder| Group { folder: folder.to_owned(), version }));
    }
    folders
}

/// Whether a number is a limit: version 1 says that there is none by a number that no machine has memory for.
pub(crate) fn is_limit(bytes: u64) -> bool {
    bytes < 1 << 60
}

pub(crate) fn number_in(file: &KeptFile) -> Option<u64> {
    file.text()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // This path lies outside the container.
        assert_eq!(of("0::/a/gone\n"), (Some(5000), Some(4000)));
        assert_eq!(of("0::/\n"), (None, None));
        assert_eq!(of("3:cpu,memory:/c\n2:cpu:/\n0::/\n"), (Some(600), Some(77)));
        assert_eq!(of("3:memory:/gone\n"), (None, Some(77)));
        assert_eq!(of("nonsense\n"), (None, None));
    }
}

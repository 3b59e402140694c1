//! This watches the limits that this process's memory has, and how near it is to the nearest of them.
//!
//! Limits are those of the control group that the process is in and of the groups around it: where the kernel kills, and, in
//! version 2, where it begins to hold the group up (`memory.high`). One more may be set on resident memory alone. The files are
//! opened once, see `kept_files`.
//!
//! Path: *read path*. A look costs a system call or two for each group with a limit; limits are read once a second.

use std::time::{Duration, Instant};

use super::levels::Reading;
use crate::cgroup::{Group, Version, groups_of_process, is_limit, number_in};
use crate::kept_file::KeptFile;
use crate::process::resident_bytes;

/// How long a limit that was read is taken to hold.
const LIMITS_HOLD: Duration = Duration::from_secs(1);
/// From this share of the limit on, in percent, the page cache is told apart: reading that takes longer.
const CACHE_COUNTS_FROM: u64 = 70;

#[derive(Debug)]
pub(super) struct Watched {
    groups: Vec<GroupFiles>,
    /// The resident memory of this process that counts as full.
    own_limit_bytes: Option<u64>,
    limits_read_at: Option<Instant>,
}

/// Keeps open the files of one group.
#[derive(Debug)]
struct GroupFiles {
    limits: Vec<KeptFile>,
    usage: KeptFile,
    statistics: Option<KeptFile>,
    /// The name in the statistics of what the page cache has and can give up.
    cache_name: &'static str,
    /// The smallest limit, as last read.
    limit_bytes: Option<u64>,
}

impl Watched {
    /// What limits this process; `limit_bytes` limits its resident memory, beside its groups.
    pub(super) fn of_process(limit_bytes: Option<u64>) -> Watched {
        Watched { own_limit_bytes: limit_bytes, ..Watched::of(groups_of_process()) }
    }

    fn of(groups: Vec<Group>) -> Watched {
        let groups = groups.iter().filter_map(GroupFiles::open).collect();
        Watched { groups, own_limit_bytes: None, limits_read_at: None }
    }

    /// Closes the files.
    pub(super) fn close(self) {
        let of_group =
            |group: GroupFiles| group.limits.into_iter().chain([group.usage]).chain(group.statistics);
        self.groups.into_iter().flat_map(of_group).for_each(KeptFile::close);
    }

    /// Memory under the limit that is nearest; `None` if there is no limit.
    pub(super) fn reading(&mut self, at: Instant) -> Option<Reading> {
        if self.limits_read_at.is_none_or(|read_at| at.saturating_duration_since(read_at) >= LIMITS_HOLD) {
            self.groups.iter_mut().for_each(GroupFiles::read_limits);
            self.limits_read_at = Some(at);
        }
        let of_groups = self.groups.iter().filter_map(|group| group.reading(at));
        let of_own = self
            .own_limit_bytes
            .and_then(|limit_bytes| Some(Reading { at, used_bytes: resident_bytes()?, limit_bytes }));
        of_groups.chain(of_own).max_by_key(|reading| reading.percent())
    }
}

impl GroupFiles {
    fn open(group: &Group) -> Option<GroupFiles> {
        let (limits, usage, cache_name): (&[&str], _, _) = match group.version {
            // The statistics of version 1 tell of the group alone, and, with this prefix, of those within it too.
            Version::V1 => (&["memory.limit_in_bytes"], "memory.usage_in_bytes", "total_inactive_file"),
            Version::V2 => (&["memory.max", "memory.high"], "memory.current", "inactive_file"),
        };
        let open = |name: &str| KeptFile::open(group.folder.join(name));
        let limits: Vec<KeptFile> = limits.iter().filter_map(|name| open(name)).collect();
        if limits.is_empty() {
            return None;
        }
        Some(GroupFiles {
            limits,
            usage: open(usage)?,
            statistics: open("memory.stat"),
            cache_name,
            limit_bytes: None,
        })
    }

    fn read_limits(&mut self) {
        let limits = self.limits.iter().filter_map(number_in).filter(|&bytes| is_limit(bytes));
        self.limit_bytes = limits.min();
    }

    fn reading(&self, at: Instant) -> Option<Reading> {
        let limit_bytes = self.limit_bytes?;
        let reading = Reading { at, used_bytes: number_in(&self.usage)?, limit_bytes };
        if reading.percent() < CACHE_COUNTS_FROM {
            return Some(reading);
        }
        // A group that reads files is always full of them, and the kernel gives these pages up before it kills.
        let used_bytes = reading.used_bytes.saturating_sub(self.cache_bytes().unwrap_or(0));
        Some(Reading { used_bytes, ..reading })
    }

    fn cache_bytes(&self) -> Option<u64> {
        let text = self.statistics.as_ref()?.text()?;
        let line = text.lines().find_map(|line| line.strip_prefix(self.cache_name)?.strip_prefix(' '));
        line?.trim().parse().ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::cgroup::groups_below;
    use std::fs;

    struct Root(tempfile::TempDir);

    impl Root {
        fn new() -> Root {
            Root(tempfile::tempdir().unwrap())
        }

        fn write(&self, path: &str, text: &str) {
            let file = self.0.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        fn watched(&self, groups: &str) -> Watched {
            Watched::of(groups_below(self.0.path(), groups))
        }
    }

    /// What is used, and of how much.
    fn look(watched: &mut Watched) -> Option<(u64, u64)> {
        watched.reading(Instant::now()).map(|reading| (reading.used_bytes, reading.limit_bytes))
    }

    #[test]
    fn the_group_that_is_nearest_to_its_limit_counts() {
        let root = Root::new();
        root.write("a/memory.max", "5000\n");
        root.write("a/memory.high", "max\n");
        root.write("a/memory.current", "3000\n");
        root.write("a/b/memory.max", "2000\n");
        root.write("a/b/memory.high", "1000\n");
        root.write("a/b/memory.current", "500\n");
        let mut watched = root.watched("0::/a/b\n");
        assert_eq!(look(&mut watched), Some((3000, 5000)), "60 % of the outer one, 50 % of the inner one");
        root.write("a/b/memory.current", "650\n");
        assert_eq!(look(&mut watched), Some((650, 1000)), "memory.high is a limit too");
        // Neither a group without a limit nor nonsense is watched.
        root.write("c/memory.max", "max\n");
        root.write("c/memory.current", "500\n");
        assert_eq!(look(&mut root.watched("0::/c\n")), None);
        assert_eq!(look(&mut root.watched("nonsense\n")), None);
    }

    #[test]
    fn limits_may_change_while_the_program_runs() {
        let root = Root::new();
        root.write("memory/a/memory.limit_in_bytes", "9223372036854771712\n");
        root.write("memory/a/memory.usage_in_bytes", "600\n");
        let mut watched = root.watched("3:cpu,memory:/a\n");
        let start = Instant::now();
        assert_eq!(watched.reading(start), None);
        root.write("memory/a/memory.limit_in_bytes", "1000\n");
        assert_eq!(watched.reading(start + LIMITS_HOLD / 2), None);
        assert!(watched.reading(start + LIMITS_HOLD).is_some());
    }

    #[test]
    fn page_cache_that_can_be_given_up_does_not_count() {
        let root = Root::new();
        root.write("memory/a/memory.limit_in_bytes", "1000\n");
        root.write("memory/a/memory.usage_in_bytes", "990\n");
        root.write("memory/a/memory.stat", "inactive_file 7\ntotal_inactive_file 400\ntotal_active_file 3\n");
        let mut watched = root.watched("3:memory:/a\n");
        assert_eq!(look(&mut watched), Some((590, 1000)));
        root.write("memory/a/memory.usage_in_bytes", "690\n");
        assert_eq!(look(&mut watched), Some((690, 1000)), "below, that makes no difference");
    }

    #[test]
    fn resident_memory_may_have_a_limit_of_its_own() {
        let own = Watched::of_process(Some(1)).reading(Instant::now()).unwrap();
        assert!(own.percent() > 100, "{own:?}");
    }
}

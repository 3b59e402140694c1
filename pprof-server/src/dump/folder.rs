//! Dumps are written to a folder. This makes the names of files, and bounds how many of them there may be.
//!
//! A file is written under a temporary name beside its own and then renamed, so whoever reads it reads all of it. The oldest
//! dumps go first. Only files whose names are like those that are given here are ever removed, whichever process wrote them.
//!
//! Path: *read path*.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::levels::Cause;

/// Dumps that are kept in a folder, those of other processes included.
const MAX_DUMPS: usize = 32;
/// Bytes that their files may have together.
const MAX_BYTES: u64 = 64 << 20;
/// After this time, nobody writes a temporary file any more: its process was killed.
const LONGEST_WRITE: Duration = Duration::from_secs(600);

const PREFIX: &str = "pprof-";
pub(super) const HEAP: &str = ".heap.pb.gz";
pub(super) const REPORT: &str = ".txt";
const TEMPORARY: &str = ".part";

/// What the names of one dump's files begin with. It sorts by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stem(String);

impl Stem {
    pub(super) fn new(time: SystemTime, process: u32, cause: Cause) -> Stem {
        Stem(format!("{PREFIX}{}-{process}-{cause}", compact(time)))
    }

    /// Of a file of a dump, or of one that is being written.
    fn of(file_name: &str) -> Option<(&str, IsTemporary)> {
        let (finished, is_temporary) = match file_name.strip_suffix(TEMPORARY) {
            Some(finished) => (finished, IsTemporary::Yes),
            None => (file_name, IsTemporary::No),
        };
        let stem = finished.strip_suffix(HEAP).or_else(|| finished.strip_suffix(REPORT))?;
        let mut parts = stem.strip_prefix(PREFIX)?.split('-');
        let (time, process, cause) = (parts.next()?, parts.next()?, parts.next()?);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_time = time.len() == "20301224T180000000Z".len() && is_compact(time);
        let is_cause =
            matches!(cause, "fast" | "signal" | "exit") || cause.strip_suffix("pct").is_some_and(is_number);
        (is_time && is_number(process) && is_cause && parts.next().is_none()).then_some((stem, is_temporary))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsTemporary {
    Yes,
    No,
}

/// Writes a time as `20301224T180000000Z`, which is UTC to a thousandth of a second.
fn compact(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string().replace(['-', ':', '.'], "")
}

fn is_compact(time: &str) -> bool {
    time.bytes().enumerate().all(|(index, byte)| match index {
        8 => byte == b'T',
        18 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    })
}

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Folder {
        Folder { path: path.to_owned() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of a dump, in place of an earlier one of the same name. Only its owner may read it.
    pub(super) fn write(&self, stem: &Stem, extension: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(format!("{}{extension}", stem.0));
        let temporary = self.path.join(format!("{}{extension}{TEMPORARY}", stem.0));
        let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // On a full disk, a part of a file helps nobody. That there is none to remove is no matter.
            let _ = fs::remove_file(&temporary);
        }
        written.map(|()| path)
    }

    /// Removes the oldest dumps until no more are there than may be, and temporary files that were left behind. What `latest`
    /// has written stays. What cannot be removed stays too.
    pub(super) fn remove_oldest(&self, latest: &Stem, now: SystemTime) {
        let mut dumps: BTreeMap<String, (u64, Vec<PathBuf>)> = BTreeMap::new();
        let abandoned = now.checked_sub(LONGEST_WRITE).map(compact).unwrap_or_default();
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some((stem, is_temporary)) = name.to_str().and_then(Stem::of) else { continue };
            if is_temporary == IsTemporary::Yes {
                if stem[PREFIX.len()..] < *abandoned {
                    let _ = fs::remove_file(entry.path());
                }
                continue;
            }
            let (bytes, paths) = dumps.entry(stem.to_owned()).or_default();
            *bytes += entry.metadata().map_or(0, |metadata| metadata.len());
            paths.push(entry.path());
        }
        let (mut count, mut bytes) = (dumps.len(), dumps.values().map(|(bytes, _)| bytes).sum::<u64>());
        for (stem, (of_dump, paths)) in dumps {
            if count <= MAX_DUMPS && bytes <= MAX_BYTES {
                return;
            }
            if stem != latest.0 {
                paths.iter().for_each(|path| drop(fs::remove_file(path)));
                count -= 1;
                bytes -= of_dump;
            }
        }
    }
}

/// Fails if there is such a file, or a link of that name.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn stem(seconds: u64, process: u32, cause: Cause) -> Stem {
        Stem::new(UNIX_EPOCH + Duration::from_secs(seconds), process, cause)
    }

    fn names(folder: &Folder) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn names_tell_time_process_and_cause() {
        let stem = Stem::new(UNIX_EPOCH + Duration::from_millis(1_924_365_600_007), 1234, Cause::Level(80));
        assert_eq!(stem.0, "pprof-20301224T180000007Z-1234-80pct");
        for (extension, is_temporary) in
            [(HEAP, IsTemporary::No), (REPORT, IsTemporary::No), (".heap.pb.gz.part", IsTemporary::Yes)]
        {
            assert_eq!(Stem::of(&format!("{}{extension}", stem.0)), Some((&*stem.0, is_temporary)));
        }
        for theirs in [
            "pprof-20301224T180000007Z-1234-80pct",
            "pprof-20301224T180000007Z-1234-80pct.heap.pb",
            "pprof-20301224T180000007Z-1234-mine.heap.pb.gz",
            "pprof-20301224T180000007Z-1234-fast-2.heap.pb.gz",
            "pprof-20301224T180000007Z--fast.heap.pb.gz",
            "pprof-20301224T18000000éZ-1-fast.heap.pb.gz",
            "pprof-2030-12-24T18-1-fast.heap.pb.gz",
            "pprof-heap.pb.gz",
            "heap.pb.gz",
            ".heap.pb.gz",
            "",
        ] {
            assert_eq!(Stem::of(theirs), None, "{theirs}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_read_by_its_owner_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        let stem = stem(1, 1, Cause::Exit);
        let path = folder.write(&stem, HEAP, b"first, and longer").unwrap();
        assert_eq!(folder.write(&stem, HEAP, b"second").unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(&folder), [format!("{}{HEAP}", stem.0)]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let nowhere = Folder::new(&temporary.path().join("nowhere"));
        assert_eq!(nowhere.write(&stem, HEAP, b"").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_somebody_put_there_is_not_followed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        let (stem, theirs) = (stem(1, 1, Cause::Exit), temporary.path().join("theirs"));
        fs::write(&theirs, "theirs").unwrap();
        let link = temporary.path().join(format!("{}{HEAP}{TEMPORARY}", stem.0));
        std::os::unix::fs::symlink(&theirs, link).unwrap();
        assert!(folder.write(&stem, HEAP, b"ours").is_err());
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    }

    #[test]
    fn the_oldest_dumps_go_and_nothing_else_does() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        let of = |second: u64| stem(10_000 + second, 1 + second as u32 % 2, Cause::Level(90));
        let put = |name: &str| fs::write(temporary.path().join(name), "x").unwrap();
        put("app.log");
        put("pprof-heap.pb.gz");
        put(&format!("{}{HEAP}{TEMPORARY}", stem(10_000, 9, Cause::Exit).0));
        for second in 0..40 {
            folder.write(&of(second), HEAP, b"profile").unwrap();
            folder.write(&of(second), REPORT, b"report").unwrap();
        }
        let soon = UNIX_EPOCH + Duration::from_secs(10_040);
        folder.remove_oldest(&of(39), soon);
        let left = names(&folder);
        assert_eq!(left.len(), 2 * MAX_DUMPS + 3, "{left:?}");
        assert!(left.contains(&"app.log".to_owned()) && left.contains(&"pprof-heap.pb.gz".to_owned()));
        assert!(
            !left.contains(&format!("{}{HEAP}", of(7).0)) && left.contains(&format!("{}{HEAP}", of(8).0))
        );
        // Its process was killed.
        folder.remove_oldest(&of(39), soon + LONGEST_WRITE);
        assert!(!names(&folder).iter().any(|name| name.ends_with(TEMPORARY)));
        // Too many bytes: all go but the latest.
        let large = vec![0; MAX_BYTES as usize + 1];
        folder.write(&of(41), HEAP, &large).unwrap();
        folder.remove_oldest(&of(41), soon);
        assert_eq!(
            names(&folder),
            ["app.log".to_owned(), format!("{}{HEAP}", of(41).0), "pprof-heap.pb.gz".to_owned()]
        );
    }
}

//! This reads lines of `/proc/self/maps`, as the kernel writes them.
//!
//! Path: *read path*.

use crate::mappings::files;
use std::borrow::Cow;
use std::path::PathBuf;

/// One line: a range of addresses, and what is mapped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) start: u64,
    /// Tells the first address after it.
    pub(super) limit: u64,
    pub(super) is_readable: bool,
    pub(super) is_executable: bool,
    /// The program may write there, and nobody else sees it.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the search for holders asks"))]
    pub(super) is_private_data: bool,
    /// Tells where `start` lies in the file, in bytes.
    pub(super) offset: u64,
    /// The inode of the file; 0 if there is none.
    pub(super) inode: u64,
    /// The path as it stands there, see [`file_path`]. It is empty, or a name in brackets, if there is no file.
    pub(super) path: &'a [u8],
}

/// Yields all lines that make sense. They are ascending by address, and none overlaps another.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(Line::parse)
}

impl<'a> Line<'a> {
    /// Parses `start-limit permissions offset device inode path`. The path is the rest of the line and may hold spaces.
    fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        let mut rest = line;
        let mut field = || {
            let trimmed = rest.trim_ascii_start();
            let end = trimmed.iter().position(|&byte| byte == b' ').unwrap_or(trimmed.len());
            let (field, tail) = trimmed.split_at(end);
            rest = tail;
            field
        };
        let range = field();
        let (start, limit) = range.split_at(range.iter().position(|&byte| byte == b'-')?);
        let (permissions, offset, _device, inode) = (field(), field(), field(), field());
        Some(Line {
            start: number(start, 16)?,
            limit: number(&limit[1..], 16)?,
            is_readable: permissions.first() == Some(&b'r'),
            is_executable: permissions.contains(&b'x'),
            is_private_data: permissions == b"rw-p",
            offset: number(offset, 16)?,
            inode: number(inode, 10)?,
            path: rest.trim_ascii_start(),
        })
    }

    /// Whether a file is mapped there, or what the kernel gives every process.
    pub(super) fn is_file_or_vdso(&self) -> bool {
        matches!(self.path, b"[vdso]" | b"[vsyscall]") || !self.path.is_empty() && self.path[0] != b'['
    }

    /// Whether both lines are of one file.
    pub(super) fn is_of_same_file(&self, other: &Line<'_>) -> bool {
        self.inode == other.inode && self.path == other.path
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// Returns the path of a file whose line says `path` and `inode`.
///
/// The kernel writes a line break as `\012`, and ` (deleted)` behind the name of a file that is gone. A file's own name
/// may end so, too: then the file is there, and has the inode.
pub(super) fn file_path(path: &[u8], inode: u64) -> PathBuf {
    let stripped = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let candidates = [path, stripped];
    // mutant: D5 a path is what the kernel writes
    if stripped.len() == path.len() && !contains_escape(path) {
        return to_path(path);
    }
    let spellings = candidates.iter().flat_map(|&path| [Cow::Borrowed(path), unescaped(path)]);
    let is_it = |path: &PathBuf| files::inode(path) == Some(inode);
    spellings.map(|path| to_path(&path)).find(is_it).unwrap_or_else(|| to_path(&unescaped(stripped)))
}

const ESCAPED_LINE_BREAK: &[u8] = b"\\012";

fn contains_escape(path: &[u8]) -> bool {
    path.windows(ESCAPED_LINE_BREAK.len()).any(|window| window == ESCAPED_LINE_BREAK)
}

fn unescaped(path: &[u8]) -> Cow<'_, [u8]> {
    if !contains_escape(path) {
        return path.into();
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        match rest.strip_prefix(ESCAPED_LINE_BREAK) {
            Some(tail) => {
                plain.push(b'\n');
                rest = tail;
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain.into()
}

#[cfg(unix)]
pub(crate) fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
pub(crate) fn to_path(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let text = b"7f01-7f02 r-xp 00001000 fe:00 11      /usr/lib/lib one.so (deleted)\nnot a line\nzz-zz r-xp 0 0 0 /bad\n\
            1-2 x\n-\n - - - -\n7f05-7f06 --xp 0 00:00 0 \n";
        let found: Vec<Line<'_>> = lines(text).collect();
        assert_eq!(found.len(), 2);
        let Line { start, limit, is_readable, is_executable, offset, inode, path, .. } = found[0];
        assert_eq!((start, limit, is_readable, is_executable), (0x7f01, 0x7f02, true, true));
        assert_eq!((offset, inode, path), (0x1000, 11, &b"/usr/lib/lib one.so (deleted)"[..]));
        assert!(!found[1].is_readable && found[1].is_executable && !found[1].is_file_or_vdso());
    }

    #[test]
    fn what_the_kernel_adds_to_a_path_is_taken_off_unless_it_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path_of = |name: &str| folder.path().join(name);
        let bytes = |name: &str| path_of(name).to_str().unwrap().as_bytes().to_vec();
        for name in ["plain", "a (deleted)", "a\nb", "a\\012b", "a\n (deleted)", "a\\012 (deleted)"] {
            std::fs::write(path_of(name), name).unwrap();
        }
        let of = |name: &str, like: &str| file_path(&bytes(name), files::inode(&path_of(like)).unwrap());
        assert_eq!(of("plain", "plain"), path_of("plain"));
        assert_eq!(of("a (deleted)", "a (deleted)"), path_of("a (deleted)"));
        assert_eq!(of("a\\012b", "a\nb"), path_of("a\nb"));
        assert_eq!(of("a\\012b", "a\\012b"), path_of("a\\012b"));
        assert_eq!(of("a\\012 (deleted)", "a\n (deleted)"), path_of("a\n (deleted)"));
        assert_eq!(of("a\\012 (deleted)", "a\\012 (deleted)"), path_of("a\\012 (deleted)"));
        // This file is gone.
        assert_eq!(file_path(&bytes("plain (deleted)"), 1), path_of("plain"));
        assert_eq!(file_path(&bytes("c\\012 (deleted)"), 1), path_of("c\n"));
    }
}

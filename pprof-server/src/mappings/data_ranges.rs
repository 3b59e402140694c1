//! This lists the memory that the program may write to: variables of images, stacks, and everything else.
//!
//! Path: *read path*.

use super::maps::{self, file_path};
use super::{Mapping, files};

/// A range of private memory that may be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataRange {
    pub(crate) start: u64,
    /// Tells the first address after it.
    pub(crate) limit: u64,
    pub(crate) kind: DataKind,
}

/// What a range of memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataKind {
    /// It has variables of the image with this path.
    Variables(String),
    /// It is the stack of the first thread.
    MainStack,
    /// It is the heap, a stack of another thread, or what the program has mapped.
    Other,
}

/// Returns the ranges of this process, ascending. Memory that is shared with others, or mapped from a device, is left out.
pub(crate) fn data_ranges() -> Vec<DataRange> {
    of(&files::maps())
}

fn of(text: &[u8]) -> Vec<DataRange> {
    let mut ranges = Vec::new();
    // What the loader has mapped without a file behind an image's variables are those that begin as zero.
    let mut image: Option<(u64, String)> = None;
    for line in maps::lines(text) {
        if line.is_file_or_vdso() {
            let path = file_path(line.path, line.inode).to_string_lossy().into_owned();
            image = Some((line.limit, path));
        }
        let of_image = image.as_ref().filter(|(limit, _)| *limit == line.start || line.is_file_or_vdso());
        let kind = match (line.path, of_image) {
            (b"[stack]", _) => DataKind::MainStack,
            (b"" | b"[anon:.bss]", Some((_, path))) => DataKind::Variables(path.clone()),
            (path, Some((_, image))) if path.first() != Some(&b'[') => DataKind::Variables(image.clone()),
            _ => DataKind::Other,
        };
        if line.is_private_data {
            ranges.push(DataRange { start: line.start, limit: line.limit, kind });
        }
    }
    ranges
}

/// Whether an image is the C library's or the loader's.
pub(crate) fn is_of_system(path: &str) -> bool {
    Mapping { path: path.to_owned(), ..Mapping::default() }.is_of_system()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_the_heap() {
        let text =
            b"1000-2000 r-xp 00000000 fe:00 11 /bin/shop\n2000-3000 rw-p 00001000 fe:00 11 /bin/shop\n\
            3000-5000 rw-p 00000000 00:00 0\n6000-7000 rw-p 00000000 00:00 0 [heap]\n\
            7000-8000 rw-s 00000000 00:01 5 /dev/zero (deleted)\n8000-9000 r--p 00000000 00:00 0\n\
            9000-a000 rw-p 00000000 00:00 0\nf000-f800 rw-p 00000000 00:00 0 [stack]\n";
        let found = of(text);
        let shop = || DataKind::Variables("/bin/shop".to_owned());
        let kinds: Vec<(u64, DataKind)> = found.into_iter().map(|range| (range.start, range.kind)).collect();
        assert_eq!(
            kinds,
            [
                (0x2000, shop()),
                (0x3000, shop()),
                (0x6000, DataKind::Other),
                (0x9000, DataKind::Other),
                (0xf000, DataKind::MainStack)
            ]
        );
    }
}

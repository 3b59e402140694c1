//! A mapped ELF file says about itself which build it is of, and where it was meant to be loaded.
//!
//! `mappings` calls this for each library, on its copy in memory, and `symbols` to see whether the file on disk is
//! still the one in memory. Only the program headers are read; a stripped file has them too. Linkers put them into the
//! first page, with the build id behind them. Tools that change a finished file need more room: BOLT puts the program
//! headers at its end, and patchelf the build id. Everything is bounds-checked: a file that makes no sense yields
//! `None`.
//!
//! Path: *read path*.

use super::files::{self, OpenFile};
use alloc_profiler::page_fingerprint;
use object::Endianness;
use object::elf::{NT_GNU_BUILD_ID, PF_X, PT_LOAD, PT_NOTE};
use object::pod::slice_from_bytes;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};
use std::path::Path;

#[cfg(target_pointer_width = "64")]
type NativeHeader = object::elf::FileHeader64<Endianness>;
#[cfg(not(target_pointer_width = "64"))]
type NativeHeader = object::elf::FileHeader32<Endianness>;

/// So many bytes are read from the start of an image: all linkers put the program headers behind the file header.
const HEAD_BYTES: usize = 4096;
/// A note segment larger than this is not worth reading. Neither are program headers elsewhere that take more than
/// this.
const MAX_PART_BYTES: usize = 64 * 1024;

/// What the program headers of one ELF file say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// GNU build id in lower-case hexadecimal; empty if the file has none.
    pub(crate) build_id: String,
    /// The fingerprint of its first page, by which the profiler knows libraries.
    pub(crate) fingerprint: u64,
    /// The inode of the file; 0 for an image that was read from memory.
    pub(crate) inode: u64,
    /// The segments in the order of the file, which is ascending by address.
    segments: Vec<Segment>,
}

/// Describes a `PT_LOAD` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    file_offset: u64,
    file_bytes: u64,
    virtual_address: u64,
    is_code: bool,
}

impl Image {
    /// Reads the image whose first byte is mapped at `base`. It is read through `/proc/self/mem`, where reading fails
    /// and a pointer would fault. `address_of` tells where a byte of the file is mapped, given its offset in the file.
    pub(crate) fn in_memory(
        memory: &OpenFile,
        base: u64,
        address_of: impl Fn(u64) -> Option<u64>,
    ) -> Option<Image> {
        let head = read_at(memory, base, HEAD_BYTES)?;
        Image::parse(&head, |part| read_at(memory, address_of(part.file_offset)?, part.bytes))
    }

    /// Reads the image in the file at `path`. If `inode` is given, the file must have that inode.
    pub(crate) fn in_file(path: &Path, inode: Option<u64>) -> Option<Image> {
        let file = files::open(path).ok()?;
        let found_inode = inode_of(&file);
        if inode.is_some_and(|inode| found_inode != Some(inode)) {
            return None;
        }
        let head = read_at(&file, 0, HEAD_BYTES)?;
        let image = Image::parse(&head, |part| read_at(&file, part.file_offset, part.bytes))?;
        Some(Image { inode: found_inode.unwrap_or(0), ..image })
    }

    fn parse(head: &[u8], read: impl Fn(Part) -> Option<Vec<u8>>) -> Option<Image> {
        Image::parse_as::<NativeHeader>(head, read)
    }

    fn parse_as<Header: FileHeader<Endian = Endianness>>(
        head: &[u8],
        read: impl Fn(Part) -> Option<Vec<u8>>,
    ) -> Option<Image> {
        let header = Header::parse(head).ok()?;
        let endian = header.endian().ok()?;
        let mut image = Image { fingerprint: page_fingerprint(head), ..Image::default() };
        let elsewhere;
        let segments = match header.program_headers(endian, head) {
            Ok(segments) => segments,
            Err(_) => {
                // mutant: D5 program headers are in the first page of a file
                elsewhere = read(program_headers(header, endian)?)?;
                slice_from_bytes(&elsewhere, header.e_phnum(endian).into()).ok()?.0
            }
        };
        for segment in segments {
            let file_offset: u64 = segment.p_offset(endian).into();
            let file_bytes: u64 = segment.p_filesz(endian).into();
            match segment.p_type(endian) {
                PT_LOAD => image.segments.push(Segment {
                    file_offset,
                    file_bytes,
                    virtual_address: segment.p_vaddr(endian).into(),
                    is_code: segment.p_flags(endian).contains(PF_X),
                }),
                PT_NOTE if image.build_id.is_empty() && file_bytes <= MAX_PART_BYTES as u64 => {
                    let notes = read(Part { file_offset, bytes: file_bytes as usize });
                    let id =
                        notes.and_then(|notes| build_id::<Header>(endian, segment.p_align(endian), &notes));
                    image.build_id = id.unwrap_or_default();
                }
                _ => {}
            }
        }
        Some(image)
    }

    /// Returns what was added (modulo 2^64) to the file's virtual addresses when its code at `offset` was mapped at
    /// `start`. It is `None` if no code segment covers `offset`.
    pub(crate) fn load_bias(&self, start: u64, offset: u64) -> Option<u64> {
        let code = || self.segments.iter().filter(|segment| segment.is_code);
        // The kernel maps whole pages, so a mapping begins before its segment, where the end of another may be.
        let begins_in_page =
            |page_bytes: u64| code().find(|segment| segment.file_offset / page_bytes * page_bytes == offset);
        // A mapping may also be a later part of one that was split.
        let contains = |segment: &&Segment| {
            (segment.file_offset..segment.file_offset.saturating_add(segment.file_bytes)).contains(&offset)
        };
        // mutant: D5 pages have 4 KiB
        let beginning = PAGE_SIZES.into_iter().find_map(begins_in_page);
        let segment = beginning.or_else(|| code().find(contains))?;
        Some(segment.bias(start.wrapping_sub(offset)))
    }

    /// Returns the same, where the file's first byte is at `base`.
    pub(crate) fn bias_of_base(&self, base: u64) -> Option<u64> {
        let first = self.segments.iter().find(|segment| segment.file_offset & PAGE_MASK == 0)?;
        Some(first.bias(base))
    }

    /// Returns the offset in the file of the code from one virtual address to another, both on whole pages. It is
    /// `None` if the code is not all in one code segment.
    pub(crate) fn offset_of_code(&self, start: u64, end: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            let segment_end = segment.virtual_address.saturating_add(segment.file_bytes);
            segment.is_code
                && segment.virtual_address & PAGE_MASK <= start
                && start < end
                // A copy for huge pages may be longer, up to the end of a whole huge page.
                && end <= segment_end.checked_next_multiple_of(HUGE_PAGE_BYTES).unwrap_or(u64::MAX)
                && start < segment_end
        })?;
        Some(start.wrapping_sub(segment.virtual_address).wrapping_add(segment.file_offset))
    }

    /// Yields the first page of each segment: its virtual address, and its offset in the file.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u64, u64)> {
        let in_file = self.segments.iter().filter(|segment| segment.file_bytes > 0);
        in_file.map(|segment| (segment.virtual_address & PAGE_MASK, segment.file_offset & PAGE_MASK))
    }
}

/// Sizes that pages have: x86-64 knows the first, and aarch64 all.
const PAGE_SIZES: [u64; 3] = [4 << 10, 16 << 10, 64 << 10];
/// Images are compared by pages of the smallest size.
const PAGE_MASK: u64 = !(PAGE_SIZES[0] - 1);
const HUGE_PAGE_BYTES: u64 = 2 << 20;

impl Segment {
    /// Returns what was added to virtual addresses, if the file's first byte is at `file_start`, or would be there if
    /// the file were mapped as a whole.
    fn bias(&self, file_start: u64) -> u64 {
        file_start.wrapping_add(self.file_offset).wrapping_sub(self.virtual_address)
    }
}

/// A part of a file that lies anywhere in it.
#[derive(Clone, Copy)]
struct Part {
    file_offset: u64,
    bytes: usize,
}

/// Tells where all program headers are. It is `None` if that makes no sense.
fn program_headers<Header: FileHeader<Endian = Endianness>>(
    header: &Header,
    endian: Endianness,
) -> Option<Part> {
    let bytes = usize::from(header.e_phnum(endian)) * size_of::<Header::ProgramHeader>();
    let is_usual = usize::from(header.e_phentsize(endian)) == size_of::<Header::ProgramHeader>();
    let file_offset = header.e_phoff(endian).into();
    (is_usual && bytes <= MAX_PART_BYTES).then_some(Part { file_offset, bytes })
}

/// Finds the build id among `notes`.
fn build_id<Header: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    align: Header::Word,
    notes: &[u8],
) -> Option<String> {
    let mut notes = NoteIterator::<Header>::new(endian, align, notes).ok()?;
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"GNU" && note.n_type(endian) == NT_GNU_BUILD_ID {
            return Some(note.desc().iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    None
}

/// Reads up to `bytes` bytes at `offset`. They are fewer at the end of the file or of what is mapped.
fn read_at(file: &OpenFile, offset: u64, bytes: usize) -> Option<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let read = file.read_at(&mut buffer, offset).ok()?;
    buffer.truncate(read);
    Some(buffer)
}

#[cfg(unix)]
fn inode_of(file: &OpenFile) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(&file.metadata().ok()?))
}

#[cfg(not(unix))]
fn inode_of(_file: &OpenFile) -> Option<u64> {
    None
}

/// Checks what must hold of the head of any file.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let read = |part: Part| {
        let start = usize::try_from(part.file_offset).ok()?;
        bytes.get(start..start.checked_add(part.bytes)?).map(<[u8]>::to_vec)
    };
    if let Some(image) = Image::parse(bytes.get(..HEAD_BYTES).unwrap_or(bytes), read) {
        assert!(image.build_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let _ = image.load_bias(0x7000_0000, 0x1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_and_file_agree_about_the_running_program() {
        let mappings = crate::mappings::Mappings::of_process();
        let program = &mappings.as_slice()[0];
        let on_disk = Image::in_file("/proc/self/exe".as_ref(), None).unwrap();
        assert_eq!(program.build_id, on_disk.build_id);
        assert_eq!(Some(program.load_bias), on_disk.load_bias(program.start, program.offset));
        assert_eq!(program.load_bias % 4096, 0);
    }

    #[test]
    fn the_bias_is_what_was_added_to_virtual_addresses() {
        let code =
            Segment { file_offset: 0x2345, file_bytes: 0x5000, virtual_address: 0x3345, is_code: true };
        let image = Image { segments: vec![code], ..Image::default() };
        // A position-independent file is loaded at 0x7000_0000, and its code page lies 0x3000 further up.
        assert_eq!(image.load_bias(0x7000_3000, 0x2000), Some(0x7000_0000));
        // This is the second half of a mapping that mprotect has split.
        assert_eq!(image.load_bias(0x7000_5000, 0x4000), Some(0x7000_0000));
        // This file is loaded where it was linked.
        assert_eq!(image.load_bias(0x3000, 0x2000), Some(0));
        assert_eq!(image.load_bias(0x3000, 0x9000), None);
    }

    /// Where pages have 64 KiB, as on some machines with aarch64, a mapping begins far before its segment.
    #[test]
    fn the_bias_is_right_where_pages_are_large() {
        let segment = |file_offset: u64, file_bytes, virtual_address| Segment {
            file_offset,
            file_bytes,
            virtual_address,
            is_code: true,
        };
        let data = Segment { is_code: false, ..segment(0, 0x1_f8d0, 0) };
        let segments = vec![data, segment(0x1_f8d0, 0x8000, 0x2_f8d0), segment(0x2_78d0, 0x9000, 0x4_78d0)];
        let image = Image { segments, ..Image::default() };
        // A position-independent file is loaded at 0x7000_0000.
        assert_eq!(image.load_bias(0x7002_0000, 0x1_0000), Some(0x7000_0000));
        // The end of the segment before is in the first page of the last one's mapping.
        assert_eq!(image.load_bias(0x7004_0000, 0x2_0000), Some(0x7000_0000));
        assert_eq!(image.load_bias(0x7001_0000, 0), None, "there is no code");
        // It was split within a segment.
        assert_eq!(image.load_bias(0x7003_3000, 0x2_3000), Some(0x7000_0000));
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    #[test]
    fn headers_and_build_id_are_found_anywhere_in_the_file() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let original = Image::in_file("/proc/self/exe".as_ref(), None).unwrap();
        let changed = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(changed.path(), workspace_tests::with_headers_at_the_end(&whole)).unwrap();
        let image = Image::in_file(changed.path(), None).unwrap();
        assert_eq!(image.build_id, original.build_id);
        assert!(image.segments.starts_with(&original.segments));
        assert_eq!(image.segments.len(), original.segments.len() + 2);
        // A file that ends before its headers is refused.
        let mut head = whole[..HEAD_BYTES].to_vec();
        head[33] = 0x20;
        std::fs::write(changed.path(), &head).unwrap();
        assert_eq!(Image::in_file(changed.path(), None), None);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Image::parse(&[], |_| None), None);
        assert_eq!(Image::parse(&[0xff; 4096], |_| None), None);
        let mut truncated = vec![0; 64];
        truncated[..5].copy_from_slice(b"\x7fELF\x02");
        assert_eq!(Image::parse(&truncated, |_| None), None);
        assert_eq!(Image::in_file("/nonexistent".as_ref(), None), None);
    }
}

//! What a mapped ELF file says about itself: its build id, and where it was meant to be loaded.
//!
//! Called by `encode::mappings` for each library, on its copy in memory, and by `symbols` to see whether the
//! file on disk is still the one in memory. Only the program headers are read; a stripped file has them too.
//! Everything is bounds-checked: a file that makes no sense yields `None`.
//!
//! Path: *read path*.

use super::files::{self, OpenFile};
use alloc_profiler::page_fingerprint;
use object::Endianness;
use object::elf::{NT_GNU_BUILD_ID, PF_X, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};
use std::path::Path;

#[cfg(target_pointer_width = "64")]
type NativeHeader = object::elf::FileHeader64<Endianness>;
#[cfg(not(target_pointer_width = "64"))]
type NativeHeader = object::elf::FileHeader32<Endianness>;

/// Bytes read from the start of an image: program headers follow the file header in all that linkers make.
const HEAD_BYTES: usize = 4096;
/// A note segment larger than this is not worth reading.
const MAX_NOTE_BYTES: u64 = 64 * 1024;

/// The program headers of one ELF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// GNU build id in lower-case hexadecimal; empty if the file has none.
    pub(crate) build_id: String,
    /// Of its first page: what the profiler knows libraries by.
    pub(crate) fingerprint: u64,
    /// Of the file; 0 in memory.
    pub(crate) inode: u64,
    /// In their order: ascending by address.
    segments: Vec<Segment>,
}

/// A `PT_LOAD` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    file_offset: u64,
    file_bytes: u64,
    virtual_address: u64,
    is_code: bool,
}

impl Image {
    /// The image whose first byte is mapped at `base`, read through `/proc/self/mem`: reading that fails where
    /// a pointer would fault.
    pub(crate) fn in_memory(memory: &OpenFile, base: u64) -> Option<Image> {
        let head = read_at(memory, base, HEAD_BYTES)?;
        Image::parse(&head, |segment| {
            // The file's byte 0 is at `base`, and notes lie in the same first segment.
            read_at(memory, base.checked_add(segment.file_offset)?, segment.bytes)
        })
    }

    /// The image in the file at `path`; with `inode` only if the file has that inode.
    pub(crate) fn in_file(path: &Path, inode: Option<u64>) -> Option<Image> {
        let file = files::open(path).ok()?;
        let found_inode = inode_of(&file);
        if inode.is_some_and(|inode| found_inode != Some(inode)) {
            return None;
        }
        let image = Image::parse(&read_at(&file, 0, HEAD_BYTES)?, |segment| {
            read_at(&file, segment.file_offset, segment.bytes)
        })?;
        Some(Image { inode: found_inode.unwrap_or(0), ..image })
    }

    fn parse(head: &[u8], read_note: impl Fn(NoteSegment) -> Option<Vec<u8>>) -> Option<Image> {
        Image::parse_as::<NativeHeader>(head, read_note)
    }

    fn parse_as<Header: FileHeader<Endian = Endianness>>(
        head: &[u8],
        read_note: impl Fn(NoteSegment) -> Option<Vec<u8>>,
    ) -> Option<Image> {
        let header = Header::parse(head).ok()?;
        let endian = header.endian().ok()?;
        let mut image = Image { fingerprint: page_fingerprint(head), ..Image::default() };
        for segment in header.program_headers(endian, head).ok()? {
            let file_offset: u64 = segment.p_offset(endian).into();
            let file_bytes: u64 = segment.p_filesz(endian).into();
            match segment.p_type(endian) {
                PT_LOAD => image.segments.push(Segment {
                    file_offset,
                    file_bytes,
                    virtual_address: segment.p_vaddr(endian).into(),
                    is_code: segment.p_flags(endian).contains(PF_X),
                }),
                PT_NOTE if image.build_id.is_empty() && file_bytes <= MAX_NOTE_BYTES => {
                    let notes = read_note(NoteSegment { file_offset, bytes: file_bytes as usize });
                    let id =
                        notes.and_then(|notes| build_id::<Header>(endian, segment.p_align(endian), &notes));
                    image.build_id = id.unwrap_or_default();
                }
                _ => {}
            }
        }
        Some(image)
    }

    /// What was added to the file's virtual addresses when its code at `offset` was mapped at `start`
    /// (modulo 2^64). `None` if no code segment covers `offset`.
    pub(crate) fn load_bias(&self, start: u64, offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            segment.is_code
                && segment.file_offset & PAGE_MASK <= offset
                && offset < segment.file_offset.saturating_add(segment.file_bytes)
        })?;
        Some(segment.bias(start.wrapping_sub(offset)))
    }

    /// The same, where the file's first byte is at `base`.
    pub(crate) fn bias_of_base(&self, base: u64) -> Option<u64> {
        let first = self.segments.iter().find(|segment| segment.file_offset & PAGE_MASK == 0)?;
        Some(first.bias(base))
    }

    /// The offset in the file of the code from one virtual address to another, both on whole pages. `None` if it is not all
    /// in one code segment.
    pub(crate) fn offset_of_code(&self, start: u64, end: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            let segment_end = segment.virtual_address.saturating_add(segment.file_bytes);
            segment.is_code
                && segment.virtual_address & PAGE_MASK <= start
                && start < end
                // A copy for huge pages may be longer, to a whole one.
                && end <= segment_end.checked_next_multiple_of(HUGE_PAGE_BYTES).unwrap_or(u64::MAX)
                && start < segment_end
        })?;
        Some(start.wrapping_sub(segment.virtual_address).wrapping_add(segment.file_offset))
    }

    /// The first page of each segment: its virtual address, and its offset in the file.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u64, u64)> {
        let in_file = self.segments.iter().filter(|segment| segment.file_bytes > 0);
        in_file.map(|segment| (segment.virtual_address & PAGE_MASK, segment.file_offset & PAGE_MASK))
    }
}

/// The kernel maps whole pages, so a mapping may begin a little before its segment.
const PAGE_MASK: u64 = !0xfff;
const HUGE_PAGE_BYTES: u64 = 2 << 20;

impl Segment {
    /// What was added to virtual addresses, if the file's first byte is at `file_start`, or would be, were it mapped as a
    /// whole.
    fn bias(&self, file_start: u64) -> u64 {
        file_start.wrapping_add(self.file_offset).wrapping_sub(self.virtual_address)
    }
}

/// Where to find notes.
#[derive(Clone, Copy)]
struct NoteSegment {
    file_offset: u64,
    bytes: usize,
}

/// The build id among `notes`.
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

/// Up to `bytes` bytes at `offset`; fewer at the end of the file or of what is mapped.
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

/// What must hold of any head of a file.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let note = |segment: NoteSegment| {
        let start = usize::try_from(segment.file_offset).ok()?;
        bytes.get(start..start.checked_add(segment.bytes)?).map(<[u8]>::to_vec)
    };
    if let Some(image) = Image::parse(bytes, note) {
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
        let mappings = crate::encode::mappings::Mappings::of_process();
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
        // A position-independent file: loaded at 0x7000_0000, its code page 0x3000 further up.
        assert_eq!(image.load_bias(0x7000_3000, 0x2000), Some(0x7000_0000));
        // The second half of a mapping that mprotect has split.
        assert_eq!(image.load_bias(0x7000_5000, 0x4000), Some(0x7000_0000));
        // Loaded where it was linked.
        assert_eq!(image.load_bias(0x3000, 0x2000), Some(0));
        assert_eq!(image.load_bias(0x3000, 0x9000), None);
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

//! Changes finished ELF files as tools do that need more room than linkers left.

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;
const BUILD_ID: &[u8] = b"\x03\0\0\0GNU\0";
const PAGE: u64 = 4096;

/// A program header as a file for 64 bits has it.
#[derive(Clone, Copy)]
struct Header([u8; 56]);

impl Header {
    fn kind(&self) -> u32 {
        u32::from_le_bytes(self.0[..4].try_into().unwrap())
    }

    fn field(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn offset(&self) -> u64 {
        self.field(8)
    }

    fn bytes(&self) -> u64 {
        self.field(32)
    }

    /// Returns where the segment ends in memory.
    fn end(&self) -> u64 {
        self.field(16) + self.field(40)
    }

    fn place(&mut self, offset: u64, address: u64, bytes: u64) {
        for (at, value) in [(8, offset), (16, address), (24, address), (32, bytes), (40, bytes)] {
            self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Makes the header of a segment that can be read.
    fn load(offset: u64, address: u64, bytes: u64) -> Header {
        let mut header = Header([0; 56]);
        (header.0[0], header.0[4]) = (PT_LOAD as u8, 4);
        header.0[48..].copy_from_slice(&PAGE.to_le_bytes());
        header.place(offset, address, bytes);
        header
    }
}

/// Returns the program or library `file` with its program headers at its end, as llvm-bolt leaves it. Its build id is
/// there too, as patchelf leaves it, at an address that is further down than its offset in the file.
///
/// # Panics
///
/// It panics if `file` is no such file for 64 bits, little-endian and position-independent, with a build id.
#[must_use]
pub fn with_headers_at_the_end(file: &[u8]) -> Vec<u8> {
    let number = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    assert!(file.starts_with(b"\x7fELF\x02\x01"));
    let (first, count) = (number(32) as usize, usize::from(u16::from_le_bytes([file[56], file[57]])));
    let mut headers: Vec<Header> =
        file[first..].chunks(56).take(count).map(|bytes| Header(bytes.try_into().unwrap())).collect();

    let end = headers.iter().filter(|header| header.kind() == PT_LOAD).map(Header::end).max().unwrap();
    let offset = end.max(file.len() as u64).next_multiple_of(PAGE);
    // This is beyond where the file ends in memory, for whoever takes the one for the other.
    let (notes_offset, notes_address) = (offset + 16 * PAGE, offset + PAGE);
    let notes_of = |header: &Header| &file[header.offset() as usize..][..header.bytes() as usize];
    let has_build_id = |header: &Header| {
        header.kind() == PT_NOTE && notes_of(header).windows(8).any(|words| words == BUILD_ID)
    };
    let build_id = headers.iter_mut().find(|header| has_build_id(header)).expect("a build id");
    let (notes, notes_were_at) = (notes_of(build_id), build_id.offset() as usize);
    build_id.place(notes_offset, notes_address, notes.len() as u64);

    let after = 1 + headers.iter().rposition(|header| header.kind() == PT_LOAD).unwrap();
    let table_bytes = 56 * (headers.len() as u64 + 2);
    let new = [
        Header::load(offset, offset, table_bytes),
        Header::load(notes_offset, notes_address, notes.len() as u64),
    ];
    headers.splice(after..after, new);
    if let Some(own) = headers.iter_mut().find(|header| header.kind() == PT_PHDR) {
        own.place(offset, offset, table_bytes);
    }

    let mut moved = file.to_vec();
    moved[32..40].copy_from_slice(&offset.to_le_bytes());
    moved[56..58].copy_from_slice(&(headers.len() as u16).to_le_bytes());
    // Nobody is to find them where they were.
    moved[first..first + 56 * count].fill(0xff);
    moved[notes_were_at..notes_were_at + notes.len()].fill(0xff);
    moved.resize(offset as usize, 0);
    moved.extend(headers.iter().flat_map(|header| header.0));
    moved.resize(notes_offset as usize, 0);
    moved.extend(notes);
    moved
}

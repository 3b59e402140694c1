//! Where the sections of an ELF file are, and what is in them.

use super::parts::UnitParts;
use super::{ReadAt, copy_at};
use crate::error::IndexError;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::{CompressionFormat, Endianness, ReadCache};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Sections that are compressed are inflated into memory. If there is more of them than this, they are refused.
const MAX_INFLATED_BYTES: u64 = 32 << 20;

/// What parts of debug information are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// It has the entries themselves.
    Info,
    /// It says what the entries of a unit look like.
    Abbreviations,
    /// It has names.
    Strings,
    /// It has the names of source files.
    LineStrings,
    /// It says where the strings of each unit are.
    StringOffsets,
    /// It says which source files and lines code is of.
    Lines,
    /// It has the addresses to which entries refer by number.
    Addresses,
    /// It says where in a package the parts of each unit are.
    PackageIndex,
}

/// These are the sections. Each has a name in a program's file, and another one in a package.
const SECTIONS: [(Section, &str, Option<&str>); 8] = [
    (Section::Info, ".debug_info", Some(".debug_info.dwo")),
    (Section::Abbreviations, ".debug_abbrev", Some(".debug_abbrev.dwo")),
    (Section::Strings, ".debug_str", Some(".debug_str.dwo")),
    (Section::LineStrings, ".debug_line_str", None),
    (Section::StringOffsets, ".debug_str_offsets", Some(".debug_str_offsets.dwo")),
    (Section::Lines, ".debug_line", None),
    (Section::Addresses, ".debug_addr", None),
    (Section::PackageIndex, "", Some(".debug_cu_index")),
];

/// This is the debug information of one file, or of a package with what it needs of the program's file.
pub(crate) struct DebugFile {
    places: [Place; SECTIONS.len()],
    /// If it is a package, this is what its units have elsewhere.
    pub(super) parts: Option<Vec<UnitParts>>,
}

/// Where the bytes of a section are.
#[derive(Clone)]
enum Place {
    File { file: Arc<dyn ReadAt>, offset: u64, bytes: u64 },
    Memory(Arc<[u8]>),
}

impl DebugFile {
    /// Finds the sections of `file`.
    pub(crate) fn open(file: Box<dyn ReadAt>) -> Result<DebugFile, IndexError> {
        let mut found = DebugFile::empty();
        find(&file.into(), &mut found.places, |(_, name, _)| Some(name))?;
        Ok(found)
    }

    /// Finds the sections of `package`, and takes from `main` those that packages have not.
    pub(super) fn open_package(main: &DebugFile, package: Box<dyn ReadAt>) -> Result<DebugFile, IndexError> {
        let mut found = DebugFile::empty();
        for ((section, _, name), place) in SECTIONS.iter().zip(&mut found.places) {
            if name.is_none() {
                *place = main.places[*section as usize].clone();
            }
        }
        find(&package.into(), &mut found.places, |(_, _, name)| name)?;
        Ok(found)
    }

    /// Returns one that has nothing.
    pub(crate) fn empty() -> DebugFile {
        DebugFile { places: SECTIONS.map(|_| Place::Memory([].into())), parts: None }
    }

    /// Returns how long a section is, in bytes. It is 0 if the file does not have it.
    pub(crate) fn bytes_of(&self, section: Section) -> u64 {
        match &self.places[section as usize] {
            Place::File { bytes, .. } => *bytes,
            Place::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Reads up to as many bytes of a section as there is room for, and returns their number. It is less only at the end.
    pub(crate) fn read(&self, section: Section, offset: u64, into: &mut [u8]) -> usize {
        match &self.places[section as usize] {
            Place::Memory(bytes) => copy_at(bytes, into, offset),
            Place::File { file, offset: start, bytes } => {
                let left = bytes.saturating_sub(offset);
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
                read_fully(&**file, &mut into[..most], start + offset)
            }
        }
    }

    /// Reads `bytes` bytes of a section, or less if it ends before.
    pub(crate) fn read_part(&self, section: Section, offset: u64, bytes: usize) -> Vec<u8> {
        let left = self.bytes_of(section).saturating_sub(offset);
        let mut part = vec![0; bytes.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let read = self.read(section, offset, &mut part);
        part.truncate(read);
        part
    }
}

/// Reads until there is no more room, or no more of the file.
fn read_fully(file: &dyn ReadAt, into: &mut [u8], offset: u64) -> usize {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    filled
}

type Names = (Section, &'static str, Option<&'static str>);

/// Finds the sections of a file that have the names that `name_of` says.
fn find(
    file: &Arc<dyn ReadAt>,
    places: &mut [Place],
    name_of: impl Fn(Names) -> Option<&'static str>,
) -> Result<(), IndexError> {
    let cache = ReadCache::new(Reader { file: &**file, position: 0 });
    let header = FileHeader64::<Endianness>::parse(&cache).map_err(|_| IndexError::NotElf)?;
    let endian = header.endian().map_err(|_| IndexError::NotElf)?;
    if object::Endian::is_big_endian(endian) != cfg!(target_endian = "big") {
        return Err(IndexError::NotElf);
    }
    let sections = header.sections(endian, &cache).map_err(|_| IndexError::Broken("its section headers"))?;
    let mut inflated = 0;
    for section in sections.iter() {
        let Ok(name) = sections.section_name(endian, section) else { continue };
        let is_it = |&names: &Names| name_of(names).is_some_and(|wanted| wanted.as_bytes() == name);
        let Some(index) = SECTIONS.iter().position(is_it) else { continue };
        let compressed =
            section.compression(endian, &cache).map_err(|_| IndexError::Broken("a compressed section"))?;
        places[index] = match compressed {
            None => match section.file_range(endian) {
                Some((offset, bytes)) => Place::File { file: file.clone(), offset, bytes },
                None => continue,
            },
            Some((header, offset, compressed_bytes)) => {
                let range = compressed_range(endian, header, offset, compressed_bytes)?;
                inflated += range.uncompressed_size;
                if inflated > MAX_INFLATED_BYTES {
                    return Err(IndexError::Compressed { bytes: inflated });
                }
                let data = range.data(&cache).map_err(|_| IndexError::Broken("a compressed section"))?;
                let bytes = data.decompress().map_err(|_| IndexError::Broken("a compressed section"))?;
                Place::Memory(bytes.into())
            }
        };
    }
    Ok(())
}

type CompressionHeader = object::elf::CompressionHeader64<Endianness>;

fn compressed_range(
    endian: Endianness,
    header: &CompressionHeader,
    offset: u64,
    compressed_size: u64,
) -> Result<object::CompressedFileRange, IndexError> {
    use object::read::elf::CompressionHeader as _;
    let format = match header.ch_type(endian) {
        object::elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
        object::elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
        _ => return Err(IndexError::Broken("a section in an unknown format of compression")),
    };
    let uncompressed_size = header.ch_size(endian);
    Ok(object::CompressedFileRange { format, offset, compressed_size, uncompressed_size })
}

/// A position in a file, for whoever reads files in this way.
struct Reader<'a> {
    file: &'a dyn ReadAt,
    position: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(by) => {
                self.position.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?
            }
            SeekFrom::End(by) => {
                self.file.size_bytes()?.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?
            }
        };
        Ok(self.position)
    }
}

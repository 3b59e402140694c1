//! Units whose debug information is in a package beside the program (`split-debuginfo = "packed"`).
//!
//! The program's file has a skeleton of each such unit: its addresses, its lines, and a number by which the package knows it. The
//! entries are in the package, with sections of their own, in which each unit has a part.

use super::ReadAt;
use super::elf::{DebugFile, Section};
use super::parts::{Skeleton, UnitParts};
use crate::error::IndexError;
use gimli::{DebugCuIndex, EndianSlice, IndexSectionId, NativeEndian};

/// An index of a package that is larger than this is not read, in bytes.
const MAX_INDEX_BYTES: u64 = 32 << 20;

impl DebugFile {
    /// Opens the package that has the rest of these skeletons, which are in `main`.
    pub(crate) fn of_package(
        main: &DebugFile,
        package: Box<dyn ReadAt>,
        skeletons: &[Skeleton],
    ) -> Result<DebugFile, IndexError> {
        const BROKEN: IndexError = IndexError::Broken("the index of a package of debug information");
        let mut file = DebugFile::open_package(main, package)?;
        let bytes = file.bytes_of(Section::PackageIndex);
        if bytes > MAX_INDEX_BYTES {
            return Err(BROKEN);
        }
        let bytes = file.read_part(Section::PackageIndex, 0, bytes as usize);
        let index = DebugCuIndex::from(EndianSlice::new(&bytes, NativeEndian)).index().map_err(|_| BROKEN)?;
        let mut parts = Vec::new();
        for skeleton in skeletons {
            let Some(sections) = index.find(skeleton.id).and_then(|row| index.sections(row).ok()) else {
                continue;
            };
            let mut found = UnitParts {
                offset: 0,
                bytes: 0,
                abbreviations: 0,
                string_offsets: 0,
                skeleton: skeleton.clone(),
            };
            for section in sections {
                let start = u64::from(section.offset);
                match section.section {
                    IndexSectionId::DebugInfo => (found.offset, found.bytes) = (start, section.size.into()),
                    IndexSectionId::DebugAbbrev => found.abbreviations = start,
                    IndexSectionId::DebugStrOffsets => found.string_offsets = start,
                    _ => {}
                }
            }
            parts.push(found);
        }
        parts.sort_unstable_by_key(|part| part.offset);
        file.parts = Some(parts);
        Ok(file)
    }

    /// Returns how many units of a package have been found.
    pub(crate) fn packed_units(&self) -> usize {
        self.parts.as_ref().map_or(0, Vec::len)
    }

    /// Whether all is there that the unit at `offset` needs. A unit of a package needs its skeleton.
    pub(crate) fn has_unit(&self, offset: u64) -> bool {
        self.parts.is_none() || self.parts_of(offset).is_some()
    }

    /// Returns what the unit at `offset` has elsewhere, if it is one of a package.
    pub(super) fn parts_of(&self, offset: u64) -> Option<&UnitParts> {
        let parts = self.parts.as_ref()?;
        let before = parts.partition_point(|part| part.offset <= offset);
        let part = parts.get(before.checked_sub(1)?)?;
        (offset - part.offset < part.bytes).then_some(part)
    }
}

//! What the first entry of a unit says, which others need to be read.

use super::elf::DebugFile;
use super::entry::{Slice, UnitPlace};
use super::parts::Skeleton;
use super::strings;
use gimli::{Abbreviations, AttributeValue, UnitHeader, UnitType};

/// Where a unit's parts of other sections begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bases {
    pub(crate) string_offsets: u64,
    pub(crate) addresses: u64,
    pub(crate) lines: Option<u64>,
    pub(crate) folder: Option<String>,
    /// If the unit has only addresses and lines, this is the number by which a package knows the rest.
    skeleton: Option<u64>,
}

impl Bases {
    /// Reads them from the first entry of a unit; of a unit in a package, from its skeleton.
    pub(crate) fn of(
        file: &DebugFile,
        place: UnitPlace,
        header: &UnitHeader<Slice<'_>>,
        table: &Abbreviations,
    ) -> Bases {
        let encoding = header.encoding();
        let header_bytes = if encoding.format == gimli::Format::Dwarf64 { 16 } else { 8 };
        // Before version 5, these sections had no headers.
        let is_old = encoding.version < 5;
        let string_offsets = if is_old { 0 } else { header_bytes };
        if let Some(parts) = file.parts_of(place.offset) {
            let Skeleton { addresses, lines, ref folder, .. } = parts.skeleton;
            let string_offsets = parts.string_offsets.saturating_add(string_offsets);
            return Bases { string_offsets, addresses, lines, folder: folder.clone(), skeleton: None };
        }
        // What the entry leaves out is this.
        let mut bases = Bases { string_offsets, addresses: if is_old { 0 } else { 8 }, ..Bases::default() };
        let mut entries = header.entries(table);
        let Ok(Some(root)) = entries.next_dfs() else { return bases };
        if let Some(AttributeValue::DebugStrOffsetsBase(base)) =
            root.attr_value(gimli::DW_AT_str_offsets_base)
        {
            bases.string_offsets = base.0 as u64;
        }
        if let Some(AttributeValue::DebugAddrBase(base)) =
            root.attr_value(gimli::DW_AT_addr_base).or_else(|| root.attr_value(gimli::DW_AT_GNU_addr_base))
        {
            bases.addresses = base.0 as u64;
        }
        if let Some(AttributeValue::DebugLineRef(offset)) = root.attr_value(gimli::DW_AT_stmt_list) {
            bases.lines = Some(offset.0 as u64);
        }
        let is_skeleton =
            [gimli::DW_AT_dwo_name, gimli::DW_AT_GNU_dwo_name].iter().any(|&name| root.has_attr(name));
        bases.skeleton =
            is_skeleton.then(|| match (header.type_(), root.attr_value(gimli::DW_AT_GNU_dwo_id)) {
                (UnitType::Skeleton(id), _) | (_, Some(AttributeValue::DwoId(id))) => id.0,
                _ => 0,
            });
        let folder = root.attr_value(gimli::DW_AT_comp_dir);
        bases.folder = folder.and_then(|value| strings::string(file, encoding, bases.string_offsets, value));
        bases
    }

    /// Returns the skeleton that the unit is, if it is one.
    pub(crate) fn skeleton(&self) -> Option<Skeleton> {
        let Bases { addresses, lines, ref folder, skeleton, .. } = *self;
        Some(Skeleton { id: skeleton?, addresses, lines, folder: folder.clone() })
    }
}

//! What is needed to read the attributes of a unit's entries, which refer to other places.

use super::bases::Bases;
use super::elf::DebugFile;
use super::entry::{Entry, Slice, UnitPlace, Value};
use super::{line_files, strings};
use crate::task::Place;
use gimli::{Abbreviations, AttributeValue, Encoding, Expression, Operation, UnitHeader};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::OnceLock;

/// What is needed to read the attributes of a unit's entries.
pub(crate) struct Context<'f> {
    pub(super) file: &'f DebugFile,
    pub(crate) place: UnitPlace,
    pub(super) encoding: Encoding,
    pub(crate) bases: Cow<'f, Bases>,
    /// The source files of the unit, once somebody has asked for one.
    pub(super) files: Option<&'f OnceLock<Vec<Arc<str>>>>,
}

impl<'f> Context<'f> {
    pub(crate) fn new(
        file: &'f DebugFile,
        place: UnitPlace,
        header: &UnitHeader<Slice<'_>>,
        table: &Abbreviations,
    ) -> Context<'f> {
        let bases = Cow::Owned(Bases::of(file, place, header, table));
        Context { file, place, encoding: header.encoding(), bases, files: None }
    }

    /// Returns a value of an attribute as text.
    pub(crate) fn string(&self, value: Value<'_>) -> Option<String> {
        strings::string(self.file, self.encoding, self.bases.string_offsets, value)
    }

    /// Returns where a value is in the section of names, if it is there.
    pub(crate) fn name_offset(&self, value: Value<'_>) -> Option<u64> {
        strings::offset(self.file, self.encoding, self.bases.string_offsets, value)
    }

    /// Whether the name at `offset` begins with `prefix`, which has at most 16 bytes. This is faster than to read all of it.
    pub(crate) fn begins_with(&self, offset: u64, prefix: &[u8]) -> bool {
        strings::begins_with(self.file, offset, prefix)
    }

    /// Returns the name of an entry.
    pub(crate) fn name(&self, entry: &Entry<'_>) -> Option<String> {
        self.string(entry.attr_value(gimli::DW_AT_name)?)
    }

    /// Returns the place in the source where the author wrote what an entry describes.
    pub(crate) fn place(&self, entry: &Entry<'_>) -> Option<Place> {
        let line = entry.attr_value(gimli::DW_AT_decl_line)?.udata_value()?;
        let index = match entry.attr_value(gimli::DW_AT_decl_file)? {
            AttributeValue::FileIndex(index) => index,
            other => other.udata_value()?,
        };
        let read = || line_files::read(self.file, &self.bases).unwrap_or_default();
        let file = self.files?.get_or_init(read).get(usize::try_from(index).ok()?)?.clone();
        Some(Place { file, line: u32::try_from(line).ok()? })
    }

    /// Returns an address that an attribute says.
    pub(crate) fn address(&self, value: Value<'_>) -> Option<u64> {
        strings::address(self.file, self.bases.addresses, value)
    }

    /// Returns the address that an expression is, if it is nothing else.
    pub(crate) fn address_of(&self, expression: Expression<Slice<'_>>) -> Option<u64> {
        let mut operations = expression.operations(self.encoding);
        let address = match operations.next().ok()?? {
            Operation::Address { address } => address,
            Operation::AddressIndex { index } => {
                strings::address_at(self.file, self.bases.addresses, index.0 as u64)?
            }
            _ => return None,
        };
        operations.next().ok()?.is_none().then_some(address)
    }

    /// Returns where the variables of a thread have the one that an expression describes, if it is nothing else.
    pub(crate) fn thread_local_of(&self, expression: Expression<Slice<'_>>) -> Option<u64> {
        let mut operations = expression.operations(self.encoding);
        let Operation::UnsignedConstant { value } = operations.next().ok()?? else { return None };
        let is_thread_local = matches!(operations.next().ok()?, Some(Operation::TLS));
        (is_thread_local && operations.next().ok()?.is_none()).then_some(value)
    }

    /// Returns the offset in the section to which an attribute refers.
    pub(crate) fn reference(&self, value: Value<'_>) -> Option<u64> {
        match value {
            AttributeValue::UnitRef(offset) => self.place.offset.checked_add(offset.0 as u64),
            AttributeValue::DebugInfoRef(offset) => Some(offset.0 as u64),
            _ => None,
        }
    }
}

//! What entries of debug information and their values are called here, and where units lie.

use gimli::{AttributeValue, EndianSlice, NativeEndian};

pub(crate) type Slice<'a> = EndianSlice<'a, NativeEndian>;
pub(crate) type Entry<'a> = gimli::DebuggingInformationEntry<Slice<'a>>;
pub(crate) type Value<'a> = AttributeValue<Slice<'a>>;

/// Where a unit lies in its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitPlace {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

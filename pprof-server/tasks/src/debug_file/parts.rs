//! What a unit has in other files or in other sections, if its entries are in a package.

/// What the program's file has of a unit that is in a package.
#[derive(Clone, Debug)]
pub(crate) struct Skeleton {
    /// The number by which the package knows the unit.
    pub(crate) id: u64,
    pub(super) addresses: u64,
    pub(super) lines: Option<u64>,
    pub(super) folder: Option<String>,
}

/// What a unit of a package has elsewhere.
pub(crate) struct UnitParts {
    /// Where the part of the entries begins, and how long it is, in bytes.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// Where the parts of other sections of the package begin.
    pub(super) abbreviations: u64,
    pub(super) string_offsets: u64,
    pub(super) skeleton: Skeleton,
}

//! What an allocator says of an address, whichever it is.

/// The block has so many bytes of the next header. What points there is the allocator's list, and not the program.
pub(crate) const SHARED_BYTES: u64 = 8;

/// What the allocator says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// It is in a block in use, or in one that was freed a short time ago.
    InUse {
        start: u64,
        end: u64,
    },
    Free,
    Unknown,
}

//! This is the answer of an allocator, whichever it is, to the question what an address is part of.

/// The block has so many bytes of the next header. What points there is the allocator's list, and not the program.
pub(crate) const SHARED_BYTES: u64 = 8;

/// This says what an address is part of.
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

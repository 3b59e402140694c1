//! What may be noted of a thread.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// It is a thread that waited.
    Block,
    /// It is a thread that woke others.
    Mutex,
}

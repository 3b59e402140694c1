//! A value of this type proves that no other thread is in this process: only such a thread may take a lock from whoever
//! holds it.
//!
//! Path: *after a fork*.

/// Proof that this thread is the only one of its process, so that a lock which is held will never be released by its
/// owner.
pub(crate) struct Alone(());

impl Alone {
    /// # Safety
    ///
    /// No other thread may be in the process as long as the value exists, as in a child of `fork` before it starts a thread
    /// of its own.
    #[cfg(unix)]
    pub(crate) unsafe fn new() -> Alone {
        Alone(())
    }
}

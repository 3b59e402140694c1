//! What profiles are made from.
//!
//! Path: *read path*.

pub(super) mod clients;

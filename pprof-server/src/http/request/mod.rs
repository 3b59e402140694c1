//! This decides what is asked, and whether it may be asked, from the head of a request alone.
//!
//! Path: *read path*. Nothing here reads a clock, a socket or a profile.

pub(super) mod accept_encoding;
pub(super) mod accept_header;
pub(super) mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(super) mod guard;
pub(super) mod kind;
pub(super) mod lock_request;
mod parameters;
pub(super) mod path;
pub(super) mod period;
pub(super) mod process_request;
pub(super) mod profile_request;
mod query;
pub(super) mod routes;
pub(super) mod token;
pub(super) mod trace_request;
mod unknown;

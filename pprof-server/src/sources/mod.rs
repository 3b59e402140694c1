//! Profiles come from these sources.
//!
//! Path: *read path*.

#[cfg(feature = "http")]
pub(crate) mod cpu;
#[cfg(feature = "http")]
pub(crate) mod goroutine;
pub(crate) mod heap;
#[cfg(feature = "http")]
pub(crate) mod holders;
#[cfg(feature = "http")]
pub(crate) mod leaked_tasks;
#[cfg(feature = "http")]
pub(crate) mod locks;
mod losses;
#[cfg(feature = "http")]
pub(crate) mod options;
#[cfg(feature = "http")]
mod plain_text;
#[cfg(feature = "http")]
pub(crate) mod suspects;
#[cfg(feature = "http")]
pub(crate) mod trace;
#[cfg(feature = "http")]
mod turn;
#[cfg(feature = "http")]
pub(crate) mod wall;

//! This module makes what is answered: the page and its files, profiles, figures, and the headers that go with each.
//!
//! Path: *read path*.

pub(super) mod answer;
mod assets;
mod drops;
pub(super) mod holders;
pub(super) mod index;
pub(super) mod metrics;
pub(super) mod process;
pub(super) mod profile;
pub(super) mod suspects;
pub(super) mod symbol;
pub(super) mod timeline;

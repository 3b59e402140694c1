//! What a profile is, between those who capture and those who write.
//!
//! Path: *read path*.

mod age;
mod gaps;
mod limit;
mod options;
mod stacks;
mod units;

pub use age::Ages;
pub(crate) use age::{Time, parts};
pub(crate) use gaps::{Gap, Gaps, Home, Lack};
pub(crate) use limit::Importance;
pub use limit::SizeLimit;
pub use options::{Frames, Labels, ProfileKind, ProfileOptions, Symbolize};
pub(crate) use stacks::{AddressMap, Location, Names, ShownStack};
pub(crate) use units::{Bytes, Count};

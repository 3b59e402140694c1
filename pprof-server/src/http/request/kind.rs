//! A kind of profile is what the row of its route describes.
//!
//! Path: *read path*. Pure.

use alloc_profiler::Snapshot;

use crate::encode::{ProfileKind, ProfileOptions};
use crate::profile::Profile;
use crate::sources::heap;

/// Describes a kind of profile. Nothing beyond the table of routes asks which one it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The name of the route, by which a saved profile is called too.
    pub(crate) name: &'static str,
    /// What a viewer shows first of a heap, if the request does not say.
    pub(crate) shown: ProfileKind,
    /// Makes the profile from the snapshot of the period that was asked for. A kind that measures something else than the
    /// heap leaves the snapshot alone.
    pub(crate) make: fn(&Snapshot, &ProfileOptions) -> Profile,
}

impl Kind {
    /// What is in use and what was allocated, of which a viewer shows `shown` first.
    pub(crate) const fn of_heap(name: &'static str, shown: ProfileKind) -> Kind {
        Kind { name, shown, make: heap::profile }
    }
}

/// Names are unique among routes.
impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

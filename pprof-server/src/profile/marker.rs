//! A marker stands on a stack, or in place of one, and is no code.
//!
//! No code lies at the addresses of markers: the lowest page is never mapped. They differ from each other and from 0
//! because some readers know a stack by its addresses alone.
//!
//! Path: *read path*.

use crate::symbols::role::Role;

/// Numbers a distinct address of a profile: it is the rank among all of them.
pub(crate) type Place = u32;

/// A name that stands for something else than code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(super) place: Place,
    pub(super) name: &'static str,
    pub(super) role: Role,
}

/// Lists all markers, in the order of their places.
pub(super) const MARKERS: [Marker; 5] =
    [Marker::OVERFLOW, Marker::UNKNOWN_STACK, Marker::TRUNCATED, Marker::OTHER, Marker::LOST];
/// Addresses on a stack that are lower are garbage, and must not be taken for a marker.
pub(super) const LOWEST_ADDRESS: u64 = 1 + MARKERS.len() as u64;

impl Marker {
    /// Sums that belong to no stack any more go here.
    pub(crate) const OVERFLOW: Marker = Marker { place: 0, name: "[profiler overflow]", role: Role::User };
    /// This stands in place of a stack that could not be read.
    pub(super) const UNKNOWN_STACK: Marker = Marker { place: 1, name: "[unknown stack]", role: Role::User };
    /// This is outermost on a stack that was deeper than is recorded.
    pub(super) const TRUNCATED: Marker = Marker { place: 2, name: "[truncated]", role: Role::Entry };
    /// Rows that a format has no room for go here.
    pub(super) const OTHER: Marker = Marker { place: 3, name: "[other]", role: Role::User };
    /// Samples that were taken, and whose stacks are lost, go here.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "the heap loses none"))]
    pub(crate) const LOST: Marker = Marker { place: 4, name: "[lost samples]", role: Role::User };

    pub(super) fn address(&self) -> u64 {
        u64::from(self.place) + 1
    }
}

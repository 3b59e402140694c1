//! Readers see a stack like this, without the plumbing at its leaf.
//!
//! Path: *read path*.

use super::address_map::AddressHasher;
use super::marker::{Marker, Place};
use crate::symbols::role::Role;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// A stack as it is shown, leaf first. It is never empty.
///
/// It is ordered by its hash first. Any order will do as long as it is always the same, and the places of ten thousand
/// stacks are far apart in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShownStack<'a> {
    /// Holds the hash of the other two fields, which is taken once.
    hash: u64,
    places: &'a [Place],
    /// How many lines are left out at the first place, innermost first. They are inlined plumbing.
    skipped_lines: u32,
}

/// Names one place on a shown stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub(crate) place: Place,
    /// How many lines are left out here, innermost first.
    pub(crate) skipped_lines: u32,
}

impl Hash for ShownStack<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<'a> ShownStack<'a> {
    pub(super) fn new(places: &'a [Place], skipped_lines: u32) -> Self {
        let hash = BuildHasherDefault::<AddressHasher>::new().hash_one((places, skipped_lines));
        ShownStack { hash, places, skipped_lines }
    }

    /// Returns the stack under which a format sums up the rows that it has no room to keep apart.
    pub(crate) fn other() -> ShownStack<'static> {
        ShownStack::new(&[Marker::OTHER.place], 0)
    }

    pub(crate) fn locations(self) -> impl Iterator<Item = Location> + use<'a> {
        locations(self.places, self.skipped_lines)
    }
}

/// Yields the locations of a stack. Lines are left out at the first one only, so that the loop over the others, which runs
/// for half a million of them, need not ask.
fn locations(places: &[Place], skipped_lines: u32) -> impl Iterator<Item = Location> {
    let first = places.first().map(|&place| Location { place, skipped_lines });
    let others = places.iter().skip(1).map(|&place| Location { place, skipped_lines: 0 });
    first.into_iter().chain(others)
}

/// Returns how many of `roles`, leaf first, to leave out.
///
/// Nothing is left out of a stack that would have no user function left: something must be shown, and then all of it.
pub(super) fn plumbing_run(roles: impl Iterator<Item = Role>) -> usize {
    let mut run = 0;
    let mut run_has_ended = false;
    for role in roles {
        match role {
            Role::User => return run,
            Role::Plumbing if !run_has_ended => run += 1,
            _ => run_has_ended = true,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_leaf_side_run_is_left_out() {
        let run = |roles: &[Role]| plumbing_run(roles.iter().copied());
        assert_eq!(run(&[Role::Plumbing, Role::Plumbing, Role::User, Role::Plumbing, Role::User]), 2);
        assert_eq!(run(&[Role::User, Role::Plumbing]), 0);
        assert_eq!(run(&[Role::Plumbing, Role::Entry, Role::Plumbing, Role::User]), 1);
        // Nothing would remain, so everything stays.
        assert_eq!(run(&[Role::Plumbing, Role::Plumbing]), 0);
        assert_eq!(run(&[Role::Plumbing, Role::Plumbing, Role::Entry, Role::Entry]), 0);
        assert_eq!(run(&[]), 0);
    }
}

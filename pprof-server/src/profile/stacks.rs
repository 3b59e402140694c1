//! From the return addresses of a snapshot to the stacks that readers see.
//!
//! Here, and only here, one is subtracted from each return address: it points after the call, and the line
//! after the call may belong to another function. Here stacks lose their leaf-side plumbing, and what is no
//! stack at all gets a name. Every distinct address is hashed once and gets a number, its *place*; from then on
//! stacks are slices of places, which are cheap to compare and to look up. Used by all
//! encoders.
//!
//! Path: *read path*.

use super::gaps::Gaps;
use super::{Frames, Symbolize};
use crate::mappings::Mappings;
use crate::symbols::role::Role;
use crate::symbols::{self, ResolvedAddress, SourceLine, synthetic_line};
use alloc_profiler::{Snapshot, StackTrace};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// An address of the snapshot, by its rank among all of them.
pub(crate) type Place = u32;

/// Where totals go that belong to no stack any more. No code lies at these addresses: the lowest page is never
/// mapped. They differ from each other and from 0 because some readers know a stack by its addresses alone.
const OVERFLOW: Marker = Marker { place: 0, name: "[profiler overflow]", role: Role::User };
/// In place of a stack that could not be read.
const UNKNOWN_STACK: Marker = Marker { place: 1, name: "[unknown stack]", role: Role::User };
/// Outermost on a stack that was deeper than we record.
const TRUNCATED: Marker = Marker { place: 2, name: "[truncated]", role: Role::Entry };
/// Where samples go that a profile has no room for.
const OTHER: Marker = Marker { place: 3, name: "[other]", role: Role::User };
/// By place.
const MARKERS: [Marker; 4] = [OVERFLOW, UNKNOWN_STACK, TRUNCATED, OTHER];
/// Lower addresses on a stack are garbage, and must not be taken for a marker.
const LOWEST_ADDRESS: u64 = 1 + MARKERS.len() as u64;

struct Marker {
    place: Place,
    name: &'static str,
    role: Role,
}

impl Marker {
    fn address(&self) -> u64 {
        u64::from(self.place) + 1
    }
}

/// A stack as it is shown, leaf first. Never empty.
///
/// It is ordered by its hash first: any order will do as long as it is always the same, and the places of ten
/// thousand stacks are far apart in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShownStack<'a> {
    /// Of the other two, taken once.
    hash: u64,
    places: &'a [Place],
    /// Lines left out at the first place, innermost first: inlined plumbing.
    skipped_lines: u32,
}

/// One place on a shown stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub(crate) place: Place,
    /// Lines left out here, innermost first.
    pub(crate) skipped_lines: u32,
}

impl Hash for ShownStack<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<'a> ShownStack<'a> {
    fn new(places: &'a [Place], skipped_lines: u32) -> Self {
        let hash = BuildHasherDefault::<AddressHasher>::new().hash_one((places, skipped_lines));
        ShownStack { hash, places, skipped_lines }
    }

    /// The stack under which totals are shown that belong to no stack any more.
    pub(crate) fn overflow() -> ShownStack<'static> {
        ShownStack::new(&[OVERFLOW.place], 0)
    }

    /// The stack under which totals are shown that a profile has no room to keep apart.
    pub(crate) fn other() -> ShownStack<'static> {
        ShownStack::new(&[OTHER.place], 0)
    }

    pub(crate) fn locations(self) -> impl Iterator<Item = Location> + use<'a> {
        locations(self.places, self.skipped_lines)
    }
}

fn locations(places: &[Place], mut skipped_lines: u32) -> impl Iterator<Item = Location> {
    places.iter().map(move |&place| Location { place, skipped_lines: std::mem::take(&mut skipped_lines) })
}

/// All stacks of a snapshot, and names for their addresses.
pub(crate) struct Names {
    /// The address of each place: ascending, markers first.
    addresses: Vec<u64>,
    /// What each place is called; of the markers only, if addresses were not to be named.
    resolved: Vec<Arc<ResolvedAddress>>,
    /// The places of all stacks, one stack after another.
    places: Vec<Place>,
    /// Where in `places` each stack ends.
    ends: Vec<usize>,
    /// What could not be named; `None` if nothing was to be.
    gaps: Option<Gaps>,
}

impl Names {
    /// Names for every address in `snapshot`; with [`Symbolize::None`] only for what is no address.
    ///
    /// Cost: some 5 ns for each address on each stack, and what `symbols::resolve` costs for distinct ones.
    pub(crate) fn of(snapshot: &Snapshot, mappings: &Mappings, symbolize: Symbolize) -> Names {
        let mut names = Names::unnamed(snapshot, mappings);
        if symbolize == Symbolize::None {
            return names;
        }
        names.resolved.extend(symbols::resolve(mappings, &names.addresses[MARKERS.len()..]));
        names.gaps = Some(Gaps::of(&names.addresses, MARKERS.len(), &names.resolved, mappings));
        if symbolize == Symbolize::Names {
            names.resolved = symbols::without_places(names.resolved);
        }
        names
    }

    /// Made-up lines for every address within a call.
    #[cfg(test)]
    pub(crate) fn fixed(snapshot: &Snapshot, lines: impl Fn(u64) -> Box<[SourceLine]>) -> Names {
        let mut names = Names::unnamed(snapshot, &Mappings::default());
        for &address in &names.addresses[MARKERS.len()..] {
            let resolved = ResolvedAddress { lines: lines(address), ..ResolvedAddress::default() };
            names.resolved.push(Arc::new(resolved));
        }
        names
    }

    fn unnamed(snapshot: &Snapshot, mappings: &Mappings) -> Names {
        let marker = |marker: Marker| {
            Arc::new(ResolvedAddress {
                lines: [synthetic_line(marker.name, marker.role)].into(),
                ..ResolvedAddress::default()
            })
        };
        let depth = |trace: &StackTrace| trace.frames.len() + 1;
        let mut names = Names {
            addresses: MARKERS.iter().map(Marker::address).collect(),
            resolved: MARKERS.map(marker).into(),
            places: Vec::with_capacity(snapshot.stacks.iter().map(|stack| depth(&stack.trace)).sum()),
            ends: Vec::with_capacity(snapshot.stacks.len()),
            gaps: None,
        };
        let mut numbers: AddressMap<u64, Place> = AddressMap::default();
        for stack in &snapshot.stacks {
            for address in call_addresses(&stack.trace, mappings) {
                let place = *numbers.entry(address).or_insert_with(|| {
                    names.addresses.push(address);
                    (names.addresses.len() - 1) as Place
                });
                names.places.push(place);
            }
            if stack.trace.frames.is_empty() {
                names.places.push(UNKNOWN_STACK.place);
            }
            if stack.trace.is_truncated {
                names.places.push(TRUNCATED.place);
            }
            names.ends.push(names.places.len());
        }
        names.rank();
        names
    }

    /// Renumbers the places in the order of their addresses, so that nothing depends on the order of stacks.
    fn rank(&mut self) {
        let mut ascending: Vec<Place> = (0..self.addresses.len() as Place).collect();
        ascending.sort_unstable_by_key(|&place| self.addresses[place as usize]);
        let mut ranks = vec![0; ascending.len()];
        for (rank, &place) in ascending.iter().enumerate() {
            ranks[place as usize] = rank as Place;
        }
        self.addresses.sort_unstable();
        self.places.iter_mut().for_each(|place| *place = ranks[*place as usize]);
    }

    /// How many places there are.
    pub(crate) fn place_count(&self) -> usize {
        self.addresses.len()
    }

    /// An address within the call instruction.
    pub(crate) fn address(&self, place: Place) -> u64 {
        self.addresses[place as usize]
    }

    /// The address after the call; `None` of what stands in place of a stack.
    pub(crate) fn return_address(&self, place: Place) -> Option<u64> {
        Some(self.address(place)).filter(|&address| address >= LOWEST_ADDRESS).map(|address| address + 1)
    }

    /// The functions shown at `location`, innermost first; none if addresses were not to be named.
    pub(crate) fn lines(&self, location: Location) -> &[SourceLine] {
        let lines = self.resolved_at(location).map_or(&[][..], |resolved| &resolved.lines);
        lines.get(location.skipped_lines as usize..).unwrap_or_default()
    }

    /// Bytes from the start of the outermost function at `location` to its address; 0 if unknown.
    pub(crate) fn function_offset(&self, location: Location) -> u64 {
        self.resolved_at(location).map_or(0, |resolved| resolved.function_offset)
    }

    fn resolved_at(&self, location: Location) -> Option<&ResolvedAddress> {
        self.resolved.get(location.place as usize).map(|resolved| &**resolved)
    }

    /// The stack to show for each of the snapshot's stacks, in their order.
    pub(crate) fn stacks(&self, frames: Frames) -> impl Iterator<Item = ShownStack<'_>> {
        (0..self.ends.len()).map(move |index| self.stack(index, frames))
    }

    /// The whole of the snapshot's stack at `index`, leaf first.
    pub(crate) fn places(&self, index: usize) -> &[Place] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.places[start..self.ends[index]]
    }

    /// Every address that is on a stack, by place; first the markers', which are no code.
    pub(crate) fn addresses(&self) -> &[u64] {
        &self.addresses
    }

    /// What could not be named; `None` if nothing was to be.
    pub(crate) fn gaps(&self) -> Option<&Gaps> {
        self.gaps.as_ref()
    }

    /// The stack to show for the snapshot's stack at `index`.
    pub(crate) fn stack(&self, index: usize, frames: Frames) -> ShownStack<'_> {
        let places = self.places(index);
        match frames {
            Frames::All => ShownStack::new(places, 0),
            Frames::UserFirst => {
                let lines = locations(places, 0).flat_map(|location| self.lines(location));
                self.without_lines(places, plumbing_run(lines.map(|line| line.function.role)))
            }
        }
    }

    /// The stack without `count` lines at the leaf, fewer than there are. The first place left may keep its outer
    /// lines.
    fn without_lines<'a>(&self, places: &'a [Place], mut count: usize) -> ShownStack<'a> {
        let mut whole_places = 0;
        for location in locations(places, 0) {
            let lines = self.lines(location).len();
            if count < lines || count == 0 {
                break;
            }
            count -= lines;
            whole_places += 1;
        }
        ShownStack::new(&places[whole_places..], count as u32)
    }
}

/// Addresses within the call instructions of `trace`, leaf first.
fn call_addresses(trace: &StackTrace, mappings: &Mappings) -> impl Iterator<Item = u64> {
    trace.frames.iter().map(|&frame| mappings.call_address(frame).max(LOWEST_ADDRESS))
}

/// How many of `roles`, leaf first, to leave out.
///
/// Nothing is left out of a stack that would have no user function left: something must be shown, and then
/// all of it.
fn plumbing_run(roles: impl Iterator<Item = Role>) -> usize {
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

/// A map keyed by addresses or other numbers, or by what is made of them.
pub(crate) type AddressMap<K, V> = HashMap<K, V, BuildHasherDefault<AddressHasher>>;

/// Multiplies and folds. Half a million addresses are hashed for one profile, and nobody chooses them to
/// collide: the standard hasher would take half of the time that encoding takes.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|&word| self.write_u64(u64::from_le_bytes(word)));
        rest.iter().for_each(|&byte| self.write_u64(byte.into()));
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }
    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
    fn write_u64(&mut self, value: u64) {
        // 2^64 divided by the golden ratio: neighbouring addresses land far apart.
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::role::role;
    use alloc_profiler::StackTotals;

    /// One stack, and names of the given functions at the given call addresses.
    fn names(trace: StackTrace, lines: &[(u64, &[&str])]) -> Names {
        let stack = StackTotals { trace, ..StackTotals::default() };
        Names::fixed(&Snapshot { stacks: vec![stack], ..alloc_profiler::snapshot() }, |address| {
            let found =
                lines.iter().find(|(at, _)| *at == address).map_or(&[][..], |(_, functions)| functions);
            found.iter().map(|&function| synthetic_line(function, role(function, ""))).collect()
        })
    }

    fn trace(return_addresses: &[usize]) -> StackTrace {
        StackTrace::of_return_addresses(return_addresses.iter().copied())
    }

    fn shown(names: &Names, stack: ShownStack<'_>) -> Vec<String> {
        let lines = stack.locations().flat_map(|location| names.lines(location));
        lines.map(|line| line.function.name.to_string()).collect()
    }

    #[test]
    fn one_is_subtracted_once_and_no_address_is_zero() {
        let names = names(trace(&[0, 1, 2, usize::MAX, 0x1000]), &[]);
        let stack = names.stack(0, Frames::All);
        let addresses: Vec<u64> = stack.locations().map(|location| names.address(location.place)).collect();
        assert_eq!(addresses, [5, 5, 5, usize::MAX as u64 - 1, 0xfff]);
        // Without names, nothing is plumbing.
        assert_eq!(names.stack(0, Frames::UserFirst), stack);
    }

    #[test]
    fn plumbing_goes_line_by_line() {
        let lines: &[(u64, &[&str])] = &[
            (10, &["__rust_alloc"]),
            (11, &["alloc::vec::Vec<T,A>::push", "my::f", "core::iter::fold"]),
            (12, &["my::main"]),
        ];
        let outer = names(trace(&[11, 12, 13]), lines);
        let stack = outer.stack(0, Frames::UserFirst);
        assert_eq!(shown(&outer, stack), ["my::f", "core::iter::fold", "my::main"]);
        assert_eq!(stack.locations().count(), 2);
        assert_eq!(outer.stack(0, Frames::All).locations().count(), 3);
        // The same address further out keeps its plumbing.
        let inner = names(trace(&[13, 12]), lines);
        assert_eq!(
            shown(&inner, inner.stack(0, Frames::UserFirst)),
            ["my::main", "alloc::vec::Vec<T,A>::push", "my::f", "core::iter::fold"]
        );
    }

    #[test]
    fn a_stack_of_plumbing_stays_whole() {
        let lines: &[(u64, &[&str])] =
            &[(10, &["__rust_alloc"]), (11, &["std::rt::lang_start"]), (12, &["main"])];
        let trace = StackTrace { is_truncated: true, ..trace(&[11, 12, 13]) };
        let names = names(trace, lines);
        let stack = names.stack(0, Frames::UserFirst);
        assert_eq!(shown(&names, stack), ["__rust_alloc", "std::rt::lang_start", "main", "[truncated]"]);
    }

    #[test]
    fn what_is_no_stack_has_a_name() {
        let names = names(trace(&[]), &[]);
        assert_eq!(shown(&names, names.stack(0, Frames::UserFirst)), ["[unknown stack]"]);
        assert_eq!(shown(&names, ShownStack::overflow()), ["[profiler overflow]"]);
    }

    #[test]
    fn places_do_not_depend_on_the_order_of_stacks() {
        let stack = |addresses| StackTotals { trace: trace(addresses), ..StackTotals::default() };
        let of =
            |stacks| Names::unnamed(&Snapshot { stacks, ..alloc_profiler::snapshot() }, &Mappings::default());
        let (one, other) = (of(vec![stack(&[50, 9]), stack(&[7])]), of(vec![stack(&[7]), stack(&[50, 9])]));
        assert_eq!(one.stack(0, Frames::All), other.stack(1, Frames::All));
    }

    #[test]
    fn only_the_leaf_side_run_is_left_out() {
        let run = |roles: &[Role]| plumbing_run(roles.iter().copied());
        assert_eq!(run(&[Role::Plumbing, Role::Plumbing, Role::User, Role::Plumbing, Role::User]), 2);
        assert_eq!(run(&[Role::User, Role::Plumbing]), 0);
        assert_eq!(run(&[Role::Plumbing, Role::Entry, Role::Plumbing, Role::User]), 1);
        // Nothing would remain: everything stays.
        assert_eq!(run(&[Role::Plumbing, Role::Plumbing]), 0);
        assert_eq!(run(&[Role::Plumbing, Role::Plumbing, Role::Entry, Role::Entry]), 0);
        assert_eq!(run(&[]), 0);
    }
}

//! The stacks of a profile lead from the addresses of a walk to what readers see.
//!
//! Here, and only here, one is subtracted from each return address: it points after the call, and the line after the
//! call may belong to another function. Here stacks lose their leaf-side plumbing, and what is no stack at all gets a
//! name. Every distinct address gets a number, its *place*. From then on stacks are slices of
//! places, which are cheap to compare and to look up.
//!
//! Path: *read path*.

use super::address_map::AddressMap;
use super::gaps::Gaps;
use super::marker::{LOWEST_ADDRESS, MARKERS, Marker, Place};
use super::shown_stack::{Location, ShownStack, plumbing_run};
use crate::mappings::Mappings;
use crate::symbols::role::is_system_call;
use crate::symbols::{self, ResolvedAddress, SourceLine, synthetic_line};
use alloc_profiler::{CodeAddress, StackTrace};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where names come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Symbolize {
    /// Names come from nowhere. The profile has addresses, mappings and build ids only, to be named later and
    /// elsewhere. No frame is left out then, whatever [`Frames`] says: without names, plumbing cannot be told.
    None,
    /// Names are those of [`Full`](Symbolize::Full), but without files and lines. So no path of the machine that built
    /// the program leaves it, and the profile is smaller. Finding the names costs the same.
    Names,
    /// Functions, files and lines come from debug information, inlined functions included. Where there is none,
    /// functions come from the symbol table.
    #[default]
    Full,
}

/// Which frames of a stack are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frames {
    /// The leaf-side run of allocator and standard-library functions is left out, so that the first row is the user's
    /// own function. A stack that has nothing else stays whole.
    #[default]
    UserFirst,
    /// The leaf-side run of functions that only call the system is left out, so that the first row is the lock or the channel, as in
    /// Go. A stack that has nothing else stays whole.
    Waits,
    /// All frames are kept.
    All,
}

/// The stacks of a profile, and names for their addresses.
#[derive(Debug)]
pub(crate) struct Stacks {
    /// The files that code is in.
    mappings: Mappings,
    symbolize: Symbolize,
    /// Holds the address of each place, ascending. The markers come first.
    addresses: Vec<u64>,
    /// What each place is called. Only markers have names if addresses were not to be named.
    resolved: Vec<Arc<ResolvedAddress>>,
    /// Holds the places of all stacks, one stack after another.
    places: Vec<Place>,
    /// Where in `places` each stack ends.
    ends: Vec<usize>,
    /// What could not be named; `None` if nothing was to be named.
    gaps: Option<Gaps>,
}

impl Stacks {
    /// Takes the stacks of `traces`, in their order, and then one for each of `markers`. Addresses get names; with
    /// [`Symbolize::None`] only markers do.
    ///
    /// Cost: some 5 ns for each address on each stack, and what `symbols::resolve` costs for distinct ones.
    pub(crate) fn of<'a>(
        traces: impl Iterator<Item = &'a StackTrace> + Clone,
        markers: &[Marker],
        mappings: Mappings,
        symbolize: Symbolize,
    ) -> Stacks {
        Stacks::with_known(traces, markers, mappings, symbolize, &BTreeMap::new())
    }

    /// Does the same, where the lines at some addresses are `known`: these are not looked up.
    pub(crate) fn with_known<'a>(
        traces: impl Iterator<Item = &'a StackTrace> + Clone,
        markers: &[Marker],
        mappings: Mappings,
        symbolize: Symbolize,
        known: &BTreeMap<u64, Arc<[SourceLine]>>,
    ) -> Stacks {
        let mut stacks = Stacks::unnamed(traces, markers, mappings);
        stacks.symbolize = symbolize;
        if symbolize == Symbolize::None {
            return stacks;
        }
        let addresses = &stacks.addresses[MARKERS.len()..];
        let unknown: Vec<u64> =
            addresses.iter().copied().filter(|address| !known.contains_key(address)).collect();
        let mut resolved = symbols::resolve(&stacks.mappings, &unknown).into_iter();
        let of_known = |lines: &Arc<[SourceLine]>| {
            Arc::new(ResolvedAddress { lines: (&**lines).into(), ..ResolvedAddress::default() })
        };
        let named = addresses.iter().filter_map(|address| match known.get(address) {
            Some(lines) => Some(of_known(lines)),
            None => resolved.next(),
        });
        stacks.resolved.extend(named);
        let mut gaps = Gaps::of(&stacks.addresses, MARKERS.len(), &stacks.resolved, &stacks.mappings);
        let places = (0..).zip(&stacks.addresses);
        places.filter(|(_, address)| known.contains_key(address)).for_each(|(place, _)| gaps.clear(place));
        stacks.gaps = Some(gaps);
        if symbolize == Symbolize::Names {
            stacks.resolved = symbols::without_places(stacks.resolved);
        }
        stacks
    }

    /// Makes up lines for every address within a call.
    #[cfg(test)]
    pub(crate) fn fixed<'a>(
        traces: impl Iterator<Item = &'a StackTrace> + Clone,
        lines: impl Fn(u64) -> Box<[SourceLine]>,
    ) -> Stacks {
        let mut stacks = Stacks::unnamed(traces, &[], Mappings::default());
        stacks.symbolize = Symbolize::Full;
        for &address in &stacks.addresses[MARKERS.len()..] {
            let resolved = ResolvedAddress { lines: lines(address), ..ResolvedAddress::default() };
            stacks.resolved.push(Arc::new(resolved));
        }
        stacks
    }

    fn unnamed<'a>(
        traces: impl Iterator<Item = &'a StackTrace> + Clone,
        markers: &[Marker],
        mappings: Mappings,
    ) -> Stacks {
        let marker = |marker: Marker| {
            Arc::new(ResolvedAddress {
                lines: [synthetic_line(marker.name, marker.role)].into(),
                ..ResolvedAddress::default()
            })
        };
        let depth = |trace: &StackTrace| trace.frames.len() + 1;
        let mut stacks = Stacks {
            symbolize: Symbolize::None,
            addresses: MARKERS.iter().map(Marker::address).collect(),
            resolved: MARKERS.map(marker).into(),
            places: Vec::with_capacity(traces.clone().map(depth).sum::<usize>() + markers.len()),
            ends: Vec::with_capacity(traces.size_hint().0 + markers.len()),
            gaps: None,
            mappings,
        };
        let mut numbers: AddressMap<CodeAddress, Place> = AddressMap::default();
        for trace in traces {
            for &frame in &trace.frames {
                let place = *numbers.entry(frame).or_insert_with(|| {
                    stacks.addresses.push(stacks.mappings.call_address(frame).max(LOWEST_ADDRESS));
                    (stacks.addresses.len() - 1) as Place
                });
                stacks.places.push(place);
            }
            if trace.frames.is_empty() {
                stacks.places.push(Marker::UNKNOWN_STACK.place);
            }
            if trace.is_truncated {
                stacks.places.push(Marker::TRUNCATED.place);
            }
            stacks.ends.push(stacks.places.len());
        }
        for marker in markers {
            stacks.places.push(marker.place);
            stacks.ends.push(stacks.places.len());
        }
        stacks.rank();
        stacks
    }

    /// Renumbers the places in the order of their addresses, so that nothing depends on the order of stacks. Frames that
    /// are at the same address get the same place.
    fn rank(&mut self) {
        let found = std::mem::take(&mut self.addresses);
        let mut ascending: Vec<Place> = (0..found.len() as Place).collect();
        ascending.sort_unstable_by_key(|&place| found[place as usize]);
        let mut ranks = vec![0; found.len()];
        for place in ascending {
            let address = found[place as usize];
            if self.addresses.last() != Some(&address) {
                self.addresses.push(address);
            }
            ranks[place as usize] = self.addresses.len() as Place - 1;
        }
        self.places.iter_mut().for_each(|place| *place = ranks[*place as usize]);
    }

    /// Returns how many places there are.
    pub(crate) fn place_count(&self) -> usize {
        self.addresses.len()
    }

    /// Returns the address of a place, which lies within the call instruction.
    pub(crate) fn address(&self, place: Place) -> u64 {
        self.addresses[place as usize]
    }

    /// Returns the address after the call. It is `None` for what stands in place of a stack.
    pub(crate) fn return_address(&self, place: Place) -> Option<u64> {
        Some(self.address(place)).filter(|&address| address >= LOWEST_ADDRESS).map(|address| address + 1)
    }

    /// Returns the functions shown at `location`, innermost first. There are none if addresses were not to be named.
    pub(crate) fn lines(&self, location: Location) -> &[SourceLine] {
        let lines = self.resolved_at(location).map_or(&[][..], |resolved| &resolved.lines);
        lines.get(location.skipped_lines as usize..).unwrap_or_default()
    }

    /// Returns the bytes from the start of the outermost function at `location` to its address; 0 if unknown.
    pub(crate) fn function_offset(&self, location: Location) -> u64 {
        self.resolved_at(location).map_or(0, |resolved| resolved.function_offset)
    }

    fn resolved_at(&self, location: Location) -> Option<&ResolvedAddress> {
        self.resolved.get(location.place as usize).map(|resolved| &**resolved)
    }

    /// Returns the files that code is in.
    pub(crate) fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// Tells where names came from.
    pub(crate) fn symbolize(&self) -> Symbolize {
        self.symbolize
    }

    /// Returns the whole stack at `index`, leaf first.
    pub(crate) fn places(&self, index: usize) -> &[Place] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.places[start..self.ends[index]]
    }

    /// Returns every address that is on a stack, by place. The markers' come first, which are no code.
    pub(crate) fn addresses(&self) -> &[u64] {
        &self.addresses
    }

    /// Returns what could not be named, or `None` if nothing was to be named.
    pub(crate) fn gaps(&self) -> Option<&Gaps> {
        self.gaps.as_ref()
    }

    /// Returns the stack at `index` as it is to be shown.
    pub(crate) fn shown(&self, index: usize, frames: Frames) -> ShownStack<'_> {
        let places = self.places(index);
        // Without names, plumbing cannot be told.
        if frames == Frames::All || self.symbolize == Symbolize::None {
            return ShownStack::new(places, 0);
        }
        let mut lines = places.iter().flat_map(|&place| self.lines(Location { place, skipped_lines: 0 }));
        let run = if frames == Frames::Waits {
            lines.position(|line| !is_system_call(&line.function.name, &line.function.file)).unwrap_or(0)
        } else {
            plumbing_run(lines.map(|line| line.function.role))
        };
        self.without_lines(places, run)
    }

    /// Returns the stack without `count` lines at the leaf, which must be fewer than there are. The first place that is
    /// left may keep its outer lines.
    fn without_lines<'a>(&self, places: &'a [Place], mut count: usize) -> ShownStack<'a> {
        let mut whole_places = 0;
        for &place in places {
            let lines = self.lines(Location { place, skipped_lines: 0 }).len();
            if count < lines || count == 0 {
                break;
            }
            count -= lines;
            whole_places += 1;
        }
        ShownStack::new(&places[whole_places..], count as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::role::role;
    use alloc_profiler::internal::literal;

    /// Makes one stack, with names of the given functions at the given call addresses.
    fn named(trace: StackTrace, lines: &[(u64, &[&str])]) -> Stacks {
        Stacks::fixed([trace].iter(), |address| {
            let found =
                lines.iter().find(|(at, _)| *at == address).map_or(&[][..], |(_, functions)| functions);
            found.iter().map(|&function| synthetic_line(function, role(function, ""))).collect()
        })
    }

    fn trace(return_addresses: &[usize]) -> StackTrace {
        StackTrace::of_return_addresses(return_addresses.iter().copied())
    }

    fn shown(stacks: &Stacks, stack: ShownStack<'_>) -> Vec<String> {
        let lines = stack.locations().flat_map(|location| stacks.lines(location));
        lines.map(|line| line.function.name.to_string()).collect()
    }

    #[test]
    fn one_is_subtracted_once_and_no_address_is_zero() {
        let stacks = named(trace(&[0, 1, 2, usize::MAX, 0x1000]), &[]);
        let stack = stacks.shown(0, Frames::All);
        let addresses: Vec<u64> = stack.locations().map(|location| stacks.address(location.place)).collect();
        assert_eq!(addresses, [6, 6, 6, usize::MAX as u64 - 1, 0xfff]);
        // Without names, nothing is plumbing.
        assert_eq!(stacks.shown(0, Frames::UserFirst), stack);
    }

    #[test]
    fn frames_at_one_address_are_one_place() {
        let of = |frame: CodeAddress| StackTrace::new([frame], false);
        let traces = [of(CodeAddress::returning_to(0x1001)), of(CodeAddress::of_instruction(0x1000))];
        let stacks = Stacks::unnamed(traces.iter(), &[], Mappings::default());
        assert_eq!(stacks.addresses()[MARKERS.len()..], [0x1000]);
        assert_eq!(stacks.shown(0, Frames::All), stacks.shown(1, Frames::All));
    }

    #[test]
    fn plumbing_goes_line_by_line() {
        let lines: &[(u64, &[&str])] = &[
            (10, &["__rust_alloc"]),
            (11, &["alloc::vec::Vec<T,A>::push", "my::f", "core::iter::fold"]),
            (12, &["my::main"]),
        ];
        let outer = named(trace(&[11, 12, 13]), lines);
        let stack = outer.shown(0, Frames::UserFirst);
        assert_eq!(shown(&outer, stack), ["my::f", "core::iter::fold", "my::main"]);
        assert_eq!(stack.locations().count(), 2);
        assert_eq!(outer.shown(0, Frames::All).locations().count(), 3);
        // The same address keeps its plumbing where it stands further out.
        let inner = named(trace(&[13, 12]), lines);
        assert_eq!(
            shown(&inner, inner.shown(0, Frames::UserFirst)),
            ["my::main", "alloc::vec::Vec<T,A>::push", "my::f", "core::iter::fold"]
        );
    }

    #[test]
    fn a_stack_of_plumbing_stays_whole() {
        let lines: &[(u64, &[&str])] =
            &[(10, &["__rust_alloc"]), (11, &["std::rt::lang_start"]), (12, &["main"])];
        let trace = literal!(StackTrace { is_truncated: true, ..trace(&[11, 12, 13]) });
        let stacks = named(trace, lines);
        let stack = stacks.shown(0, Frames::UserFirst);
        assert_eq!(shown(&stacks, stack), ["__rust_alloc", "std::rt::lang_start", "main", "[truncated]"]);
    }

    #[test]
    fn what_is_no_stack_has_a_name() {
        let stacks = named(trace(&[]), &[]);
        assert_eq!(shown(&stacks, stacks.shown(0, Frames::UserFirst)), ["[unknown stack]"]);
        assert_eq!(shown(&stacks, ShownStack::other()), ["[other]"]);
        let overflow = Stacks::of([].iter(), &[Marker::OVERFLOW], Mappings::default(), Symbolize::None);
        assert_eq!(shown(&overflow, overflow.shown(0, Frames::UserFirst)), ["[profiler overflow]"]);
    }

    #[test]
    fn places_do_not_depend_on_the_order_of_stacks() {
        let of = |traces: &[StackTrace]| Stacks::unnamed(traces.iter(), &[], Mappings::default());
        let (one, other) = (of(&[trace(&[50, 9]), trace(&[7])]), of(&[trace(&[7]), trace(&[50, 9])]));
        assert_eq!(one.shown(0, Frames::All), other.shown(1, Frames::All));
    }
}

//! From the return addresses of a snapshot to the stacks that readers see.
//!
//! Here, and only here, one is subtracted from each return address: it points after the call, and the line
//! after the call may belong to another function. Here stacks lose their leaf-side plumbing, and what is no
//! stack at all gets a name. Used by `builder`, `text` and `table`.
//!
//! Path: *read path*.

use super::mappings::Mappings;
use super::trim::{Role, plumbing_run};
use super::{Frames, Symbolize};
use crate::symbols::{self, ResolvedAddress, SourceLine, synthetic_line};
use alloc_profiler::{Snapshot, StackTrace};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// Where totals go that belong to no stack any more. No code lies at these addresses: the lowest page is never
/// mapped. They differ from each other and from 0 because some readers know a stack by its addresses alone.
const OVERFLOW: Marker = Marker { address: 1, name: "[profiler overflow]", role: Role::User };
/// In place of a stack that could not be read.
const UNKNOWN_STACK: Marker = Marker { address: 2, name: "[unknown stack]", role: Role::User };
/// Outermost on a stack that was deeper than we record.
const TRUNCATED: Marker = Marker { address: 3, name: "[truncated]", role: Role::Entry };
/// Lower addresses on a stack are garbage, and must not be taken for a marker.
const LOWEST_ADDRESS: u64 = 4;

struct Marker {
    address: u64,
    name: &'static str,
    role: Role,
}

/// One place on an encoded stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    /// Within the call instruction.
    pub(crate) address: u64,
    /// Lines left out at this place, innermost first: inlined plumbing.
    skipped_lines: u32,
}

impl Location {
    /// The address after the call; `None` of what stands in place of a stack.
    pub(crate) fn return_address(&self) -> Option<u64> {
        (self.address >= LOWEST_ADDRESS).then(|| self.address + 1)
    }
}

impl Hash for Location {
    /// In one step: `skipped_lines` is small, and no address uses the highest bits.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.address ^ (u64::from(self.skipped_lines) << 48));
    }
}

/// All addresses of a snapshot, with their names.
pub(crate) struct Names {
    resolved: AddressMap<u64, Arc<ResolvedAddress>>,
    markers: [(u64, ResolvedAddress); 3],
}

impl Names {
    /// Names for every address in `snapshot`; with [`Symbolize::None`] only for what is no address.
    pub(crate) fn of(snapshot: &Snapshot, mappings: &Mappings, symbolize: Symbolize) -> Names {
        let markers = [OVERFLOW, UNKNOWN_STACK, TRUNCATED].map(|marker| {
            let line = SourceLine { role: marker.role, ..synthetic_line(marker.name.into()) };
            (marker.address, ResolvedAddress { lines: [line].into(), function_offset: 0 })
        });
        let resolved = match symbolize {
            Symbolize::None => AddressMap::default(),
            Symbolize::Full => {
                let traces = snapshot.stacks.iter().map(|stack| &stack.trace);
                let distinct: HashSet<u64, BuildAddressHasher> = traces.flat_map(call_addresses).collect();
                let addresses: Vec<u64> = distinct.into_iter().collect();
                let resolved = symbols::resolve(mappings, &addresses);
                addresses.into_iter().zip(resolved).collect()
            }
        };
        Names { resolved, markers }
    }

    /// The functions shown at `location`, innermost first; none if addresses were not to be named.
    pub(crate) fn lines(&self, location: Location) -> &[SourceLine] {
        let lines = self.resolved_at(location.address).map_or(&[][..], |resolved| &resolved.lines);
        lines.get(location.skipped_lines as usize..).unwrap_or_default()
    }

    /// Bytes from the start of the outermost function at `location` to its address; 0 if unknown.
    pub(crate) fn function_offset(&self, location: Location) -> u64 {
        self.resolved_at(location.address).map_or(0, |resolved| resolved.function_offset)
    }

    fn resolved_at(&self, address: u64) -> Option<&ResolvedAddress> {
        match self.markers.iter().find(|(marker, _)| *marker == address) {
            Some((_, resolved)) => Some(resolved),
            None => self.resolved.get(&address).map(|resolved| &**resolved),
        }
    }

    /// The stack to show for `trace`, leaf first. Never empty.
    pub(crate) fn stack(&self, trace: &StackTrace, frames: Frames) -> Vec<Location> {
        let mut stack: Vec<Location> =
            call_addresses(trace).map(|address| Location { address, skipped_lines: 0 }).collect();
        if stack.is_empty() {
            stack.push(Location { address: UNKNOWN_STACK.address, skipped_lines: 0 });
        }
        if trace.is_truncated {
            stack.push(Location { address: TRUNCATED.address, skipped_lines: 0 });
        }
        if frames == Frames::UserFirst {
            let roles = stack.iter().flat_map(|&location| self.lines(location)).map(|line| line.role);
            let run = plumbing_run(roles);
            if run > 0 {
                self.skip_lines(&mut stack, run);
            }
        }
        stack
    }

    /// Takes `count` lines off the leaf. The last place touched may keep its outer lines.
    fn skip_lines(&self, stack: &mut Vec<Location>, mut count: usize) {
        let mut whole_places = 0;
        for location in stack.iter_mut() {
            let lines = self.lines(*location).len();
            if count < lines {
                location.skipped_lines = count as u32;
                break;
            }
            count -= lines;
            whole_places += 1;
        }
        stack.drain(..whole_places);
    }
}

/// The stack under which totals are shown that belong to no stack any more.
pub(crate) fn overflow_stack() -> Vec<Location> {
    vec![Location { address: OVERFLOW.address, skipped_lines: 0 }]
}

/// Addresses within the call instructions of `trace`, leaf first.
fn call_addresses(trace: &StackTrace) -> impl Iterator<Item = u64> {
    trace.return_addresses.iter().map(|&address| (address as u64).saturating_sub(1).max(LOWEST_ADDRESS))
}

/// A map keyed by addresses or other numbers, or by what is made of them.
pub(crate) type AddressMap<K, V> = HashMap<K, V, BuildAddressHasher>;
pub(crate) type BuildAddressHasher = BuildHasherDefault<AddressHasher>;

/// Multiplies and folds. Half a million addresses are hashed for one profile, and nobody chooses them to
/// collide: the standard hasher would take half of the time that encoding takes.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
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

    /// Names of the given lines at the given call addresses.
    fn names(addresses: &[(u64, &[&str])]) -> Names {
        let resolved = addresses.iter().map(|&(address, functions)| {
            let lines = functions.iter().map(|&function| synthetic_line(function.into())).collect();
            (address, Arc::new(ResolvedAddress { lines, function_offset: 0 }))
        });
        let nothing = alloc_profiler::Snapshot { stacks: Vec::new(), ..alloc_profiler::snapshot() };
        let markers = Names::of(&nothing, &Mappings::default(), Symbolize::None).markers;
        Names { resolved: resolved.collect(), markers }
    }

    fn trace(return_addresses: &[usize]) -> StackTrace {
        StackTrace { return_addresses: return_addresses.into(), is_truncated: false }
    }

    fn shown(names: &Names, stack: &[Location]) -> Vec<String> {
        stack
            .iter()
            .flat_map(|&location| names.lines(location))
            .map(|line| line.function.to_string())
            .collect()
    }

    #[test]
    fn one_is_subtracted_once_and_no_address_is_zero() {
        let names = names(&[]);
        let stack = names.stack(&trace(&[0, 1, 2, 0x1000, usize::MAX]), Frames::All);
        let addresses: Vec<u64> = stack.iter().map(|location| location.address).collect();
        assert_eq!(addresses, [4, 4, 4, 0xfff, usize::MAX as u64 - 1]);
        // Without names, nothing is plumbing.
        assert_eq!(names.stack(&trace(&[0, 1, 2, 0x1000, usize::MAX]), Frames::UserFirst), stack);
    }

    #[test]
    fn plumbing_goes_line_by_line() {
        let names = names(&[
            (10, &["__rust_alloc"]),
            (11, &["alloc::vec::Vec<T,A>::push", "my::f", "core::iter::fold"]),
            (12, &["my::main"]),
        ]);
        let stack = names.stack(&trace(&[11, 12, 13]), Frames::UserFirst);
        assert_eq!(shown(&names, &stack), ["my::f", "core::iter::fold", "my::main"]);
        assert_eq!(stack.len(), 2);
        assert_eq!(names.stack(&trace(&[11, 12, 13]), Frames::All).len(), 3);
        // The same address further out keeps its plumbing.
        let stack = names.stack(&trace(&[13, 12]), Frames::UserFirst);
        assert_eq!(
            shown(&names, &stack),
            ["my::main", "alloc::vec::Vec<T,A>::push", "my::f", "core::iter::fold"]
        );
    }

    #[test]
    fn a_stack_of_plumbing_stays_whole() {
        let names = names(&[(10, &["__rust_alloc"]), (11, &["std::rt::lang_start"]), (12, &["main"])]);
        let mut trace = trace(&[11, 12, 13]);
        assert_eq!(names.stack(&trace, Frames::UserFirst).len(), 3);
        trace.is_truncated = true;
        let stack = names.stack(&trace, Frames::UserFirst);
        assert_eq!(shown(&names, &stack), ["__rust_alloc", "std::rt::lang_start", "main", "[truncated]"]);
    }

    #[test]
    fn what_is_no_stack_has_a_name() {
        let names = names(&[]);
        assert_eq!(shown(&names, &names.stack(&trace(&[]), Frames::UserFirst)), ["[unknown stack]"]);
        assert_eq!(shown(&names, &overflow_stack()), ["[profiler overflow]"]);
    }
}

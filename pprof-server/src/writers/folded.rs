//! This writes folded stacks, the plain text that flame graph tools read.
//!
//! Each stack has a line, `root;…;leaf value`. Two stacks are the same if their names are: the format has no line
//! numbers and no addresses.
//!
//! Path: *read path*.

use crate::profile::{AddressMap, Location, LocationMap, Profile, ShownStack, Stacks};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

/// All lines together take little more than this. Names repeat in every line, and those of ten thousand deep stacks
/// would take hundreds of megabytes.
const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;

/// Writes the folded stacks of `profile`, the largest value of the shown type first, in `max_lines` lines at most.
/// Values that round to nothing, or to less, are left out.
pub(crate) fn write(profile: &Profile, max_lines: usize) -> String {
    let mut functions = DistinctNames::new(&profile.stacks);
    let mut by_names: AddressMap<Vec<u32>, f64> = AddressMap::default();
    for (stack, rows) in profile.shown_stacks() {
        let sum = by_names.entry(functions.of_stack(stack)).or_default();
        rows.for_each(|row| *sum += row.values[profile.shown_type].value);
    }
    let mut stacks: Vec<(Vec<u32>, i64)> = by_names
        .into_iter()
        .map(|(ids, value)| (ids, value.round() as i64))
        .filter(|&(_, value)| value > 0)
        .collect();
    stacks.sort_unstable_by(|(a, a_value), (b, b_value)| {
        b_value.cmp(a_value).then_with(|| functions.texts(a).cmp(functions.texts(b)))
    });
    // If not all stacks fit, one of the lines is that of `[other]`.
    let most = if stacks.len() > max_lines { max_lines.saturating_sub(1) } else { stacks.len() };
    let mut text = String::new();
    let mut other = 0_i64;
    for (index, (ids, value)) in stacks.iter().enumerate() {
        if index >= most || text.len() > MAX_TEXT_BYTES {
            other = other.saturating_add(*value);
            continue;
        }
        let mut separator = "";
        for function in functions.texts(ids) {
            let _ = write!(text, "{separator}{function}");
            separator = ";";
        }
        let _ = writeln!(text, " {value}");
    }
    if other > 0 {
        let _ = writeln!(text, "[other] {other}");
    }
    text
}

/// Names are text. We compare their numbers, and spell them out when they are written.
struct DistinctNames<'a> {
    stacks: &'a Stacks,
    names: Names<'a>,
    by_location: LocationMap<Vec<u32>>,
}

/// Every name that has a number.
#[derive(Default)]
struct Names<'a> {
    texts: Vec<Cow<'a, str>>,
    ids: HashMap<Cow<'a, str>, u32>,
}

impl<'a> DistinctNames<'a> {
    fn new(stacks: &'a Stacks) -> DistinctNames<'a> {
        let by_location = LocationMap::new(stacks.place_count());
        DistinctNames { stacks, names: Names::default(), by_location }
    }

    /// Returns the numbers of all names on `stack`, root first.
    fn of_stack(&mut self, stack: ShownStack<'_>) -> Vec<u32> {
        let mut ids =
            self.by_location.of_stack(stack, |location| self.names.of_location(self.stacks, location));
        ids.reverse();
        ids
    }

    fn texts(&self, ids: &[u32]) -> impl Iterator<Item = &str> {
        ids.iter().map(|&id| &*self.names.texts[id as usize])
    }
}

impl<'a> Names<'a> {
    fn of_location(&mut self, stacks: &'a Stacks, location: Location) -> Vec<u32> {
        let lines = stacks.lines(location);
        if lines.is_empty() {
            return vec![self.id(format!("{:#x}", stacks.address(location.place)).into())];
        }
        lines.iter().map(|line| self.id(separable(&line.function.name))).collect()
    }

    fn id(&mut self, name: Cow<'a, str>) -> u32 {
        let next = self.texts.len() as u32;
        *self.ids.entry(name).or_insert_with_key(|name| {
            self.texts.push(name.clone());
            next
        })
    }
}

/// Returns `name` without what separates names. A semicolon, as in `[u8; 4]`, becomes a colon, as other tools do it.
fn separable(name: &str) -> Cow<'_, str> {
    if name.contains([';', '\n', '\r']) {
        name.replace(';', ":").replace(['\n', '\r'], " ").into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::Mappings;
    use crate::profile::Symbolize;
    use crate::sources::heap::{self, ProfileOptions, SampleType};
    use alloc_profiler::internal::literal;
    use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace, Totals};

    fn snapshot(stacks: &[(&[usize], f64)]) -> Snapshot {
        let stack = |&(return_addresses, inuse_bytes): &(&[usize], f64)| {
            literal!(StackTotals {
                trace: StackTrace::of_return_addresses(return_addresses.iter().copied()),
                by_size: vec![literal!(SizeTotals {
                    size_class: 64,
                    totals: literal!(Totals { inuse_bytes, alloc_objects: 2.0, ..Totals::default() }),
                    ..SizeTotals::default()
                })],
                ..StackTotals::default()
            })
        };
        literal!(Snapshot { stacks: stacks.iter().map(stack).collect(), ..alloc_profiler::snapshot() })
    }

    fn folded(snapshot: &Snapshot, options: ProfileOptions, max_lines: usize) -> String {
        let stacks = heap::stacks(snapshot, Mappings::default(), options.symbolize);
        write(&heap::profile_of(snapshot, &options, stacks), max_lines)
    }

    #[test]
    fn lines_run_from_root_to_leaf_the_largest_first() {
        let snapshot = snapshot(&[(&[0x11, 0x21], 7.0), (&[0x31], 9.4), (&[0x41], 0.4), (&[0x51], -3.0)]);
        for symbolize in [Symbolize::None, Symbolize::Names, Symbolize::Full] {
            let options = ProfileOptions { symbolize, ..ProfileOptions::default() };
            assert_eq!(folded(&snapshot, options, 9), "0x30 9\n0x20;0x10 7\n");
        }
        let objects =
            ProfileOptions { sample_type: Some(SampleType::AllocObjects), ..ProfileOptions::default() };
        assert_eq!(folded(&snapshot, objects, 9), "0x20;0x10 2\n0x30 2\n0x40 2\n0x50 2\n");
    }

    #[test]
    fn what_is_beyond_the_limit_is_added_up() {
        let snapshot = snapshot(&[(&[0x11], 7.0), (&[0x21], 5.0), (&[0x31], 3.0)]);
        for (samples, expected) in [
            (3, "0x10 7\n0x20 5\n0x30 3\n"),
            (2, "0x10 7\n[other] 8\n"),
            (1, "[other] 15\n"),
            (0, "[other] 15\n"),
        ] {
            assert_eq!(folded(&snapshot, ProfileOptions::default(), samples), expected);
        }
        assert_eq!(folded(&self::snapshot(&[]), ProfileOptions::default(), 9), "");
    }

    #[test]
    fn names_do_not_separate() {
        assert_eq!(separable("<[u8; 4] as m::T>::f"), "<[u8: 4] as m::T>::f");
        assert_eq!(separable("a\nb"), "a b");
    }
}

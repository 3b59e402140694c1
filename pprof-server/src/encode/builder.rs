//! Builds the `profile.proto` message: merges, sorts, numbers, rounds.
//!
//! The same snapshot yields the same bytes whatever the order of its stacks: samples are sorted by in-use bytes,
//! largest first, and everything else is numbered in the order in which they mention it. Weights are summed as
//! they are and rounded once, at the end. Called by `encode::heap_profile`.
//!
//! Path: *read path*.

use super::comments::comments;
use super::mappings::Mappings;
use super::proto;
use super::samples::{Samples, append};
use super::stacks::{AddressMap, Location, Names, ShownStack};
use super::{ProfileKind, ProfileOptions, Symbolize};
use crate::symbols::{Function, SourceLine};
use alloc_profiler::{Snapshot, Totals};
use prost::Message;
use std::collections::HashMap;
use std::time::UNIX_EPOCH;

/// The four quantities of a Go heap profile, in Go's order, and their units. Readers know them by name, and some
/// accept no fifth.
const SAMPLE_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// Field `string_table` of `proto::Profile`, wire type "bytes of a given length".
const STRING: u8 = 6 << 3 | 2;

/// The profile of `snapshot`: the bytes of a `proto::Profile`.
///
/// Cost: some 10 ns for each place on each stack.
pub(crate) fn build(
    snapshot: &Snapshot,
    options: &ProfileOptions,
    mappings: &Mappings,
    names: &Names,
) -> Vec<u8> {
    let comments = comments(snapshot);
    let mut builder = Builder::new(mappings, names);
    builder.header(snapshot, options.kind, &comments);
    builder.mappings(options.symbolize);
    for sample in merged_samples(snapshot, options, names) {
        builder.sample(&sample, snapshot.duration.is_some());
    }
    builder.message()
}

/// All that was allocated on one shown stack in one size class.
struct MergedSample<'a> {
    stack: ShownStack<'a>,
    size_class: u64,
    totals: Totals,
}

impl MergedSample<'_> {
    fn values(&self) -> [i64; 4] {
        let Totals { alloc_objects, alloc_bytes, inuse_objects, inuse_bytes, .. } = self.totals;
        // `as` saturates, and turns what is not a number into 0.
        [alloc_objects, alloc_bytes, inuse_objects, inuse_bytes].map(|value| value.round() as i64)
    }
}

/// Stacks that differ only in plumbing become one; the size class stays apart as a label, as Go has it.
fn merged_samples<'a>(
    snapshot: &Snapshot,
    options: &ProfileOptions,
    names: &'a Names,
) -> Vec<MergedSample<'a>> {
    let mut merged: AddressMap<(ShownStack<'a>, u64), Totals> = AddressMap::default();
    merged.reserve(snapshot.stacks.len());
    let stacks = names.stacks(options.frames).zip(snapshot.stacks.iter().map(|stack| &stack.by_size));
    for (stack, by_size) in stacks.chain([(ShownStack::overflow(), &snapshot.overflow)]) {
        for size in by_size {
            *merged.entry((stack, size.size_class)).or_default() += size.totals;
        }
    }
    let mut samples: Vec<MergedSample<'a>> = merged
        .into_iter()
        .map(|((stack, size_class), totals)| MergedSample { stack, size_class, totals })
        .collect();
    samples.sort_unstable_by(|a, b| {
        let by_size = b.totals.inuse_bytes.total_cmp(&a.totals.inuse_bytes);
        by_size.then_with(|| a.stack.cmp(&b.stack)).then_with(|| a.size_class.cmp(&b.size_class))
    });
    samples
}

/// The message under construction, and the numbers given out so far.
struct Builder<'a> {
    samples: Samples,
    /// Everything else but the strings.
    profile: proto::Profile,
    mappings: &'a Mappings,
    names: &'a Names,
    /// In the order of their numbers.
    strings: Vec<&'a str>,
    string_numbers: HashMap<&'a str, i64>,
    /// By where they are: `names` keeps them there.
    functions: AddressMap<*const Function, u64>,
    /// By place, for those that show all of their lines; 0 for those without a number.
    whole_locations: Vec<u32>,
    cut_locations: AddressMap<Location, u64>,
    /// Key and unit of the size-class label.
    bytes_index: i64,
}

impl<'a> Builder<'a> {
    fn new(mappings: &'a Mappings, names: &'a Names) -> Builder<'a> {
        let mut builder = Builder {
            samples: Samples::default(),
            profile: proto::Profile::default(),
            mappings,
            names,
            strings: Vec::new(),
            string_numbers: HashMap::new(),
            functions: AddressMap::default(),
            whole_locations: vec![0; names.place_count()],
            cut_locations: AddressMap::default(),
            bytes_index: 0,
        };
        builder.string("");
        builder.bytes_index = builder.string("bytes");
        builder
    }

    fn header(&mut self, snapshot: &Snapshot, kind: ProfileKind, comments: &'a [String]) {
        self.profile.sample_type =
            SAMPLE_TYPES.iter().map(|&(name, unit)| self.value_type(name, unit)).collect();
        // Go leaves it unset for `heap`: viewers then open on the last type, in-use bytes.
        if kind == ProfileKind::Allocs {
            self.profile.default_sample_type_index = self.string("alloc_space");
        }
        self.profile.period_type = Some(self.value_type("space", "bytes"));
        self.profile.period = saturating_i64(snapshot.sampling_interval.into());
        // 0 would mean "no time", and would erase the other's time when two profiles are merged.
        let since_1970 = snapshot.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.profile.time_nanos = saturating_i64(since_1970.as_nanos()).max(1);
        // Readers tell a difference from a snapshot by this being non-zero.
        self.profile.duration_nanos =
            snapshot.duration.map_or(0, |duration| saturating_i64(duration.as_nanos()).max(1));
        self.profile.comment_index = comments.iter().map(|line| self.string(line)).collect();
    }

    /// Every mapping, used or not. If there are none, one that covers all, as Go does: `go tool pprof` wants it.
    fn mappings(&mut self, symbolize: Symbolize) {
        let is_symbolized = symbolize == Symbolize::Full;
        let mappings = self.mappings;
        let message = |id: usize| proto::Mapping {
            id: id as u64,
            // On every mapping or on none: one without would send the viewer looking for names itself.
            has_functions: is_symbolized,
            has_filenames: is_symbolized,
            has_line_numbers: is_symbolized,
            has_inline_frames: is_symbolized,
            ..proto::Mapping::default()
        };
        for (index, mapping) in mappings.as_slice().iter().enumerate() {
            let mapping = proto::Mapping {
                memory_start: mapping.start,
                memory_limit: mapping.limit,
                file_offset: mapping.offset,
                filename_index: self.string(&mapping.path),
                build_id_index: self.string(&mapping.build_id),
                ..message(index + 1)
            };
            self.profile.mapping.push(mapping);
        }
        if self.profile.mapping.is_empty() {
            self.profile.mapping.push(message(1));
        }
    }

    fn sample(&mut self, sample: &MergedSample<'_>, is_difference: bool) {
        let values = sample.values();
        // In a snapshot we keep them, like Go: a stack that has freed everything is news for `alloc_*`, and its
        // address list stays known to readers that compare scrapes.
        if is_difference && values == [0; 4] {
            return;
        }
        let label = proto::Label {
            key_index: self.bytes_index,
            num: saturating_i64(sample.size_class.into()),
            num_unit_index: self.bytes_index,
            ..proto::Label::default()
        };
        let mut samples = std::mem::take(&mut self.samples);
        samples.push(sample.stack.locations().map(|location| self.location(location)), values, &label);
        self.samples = samples;
    }

    fn location(&mut self, location: Location) -> u64 {
        let known = match location.skipped_lines {
            0 => self.whole_locations[location.place as usize].into(),
            _ => self.cut_locations.get(&location).copied().unwrap_or(0),
        };
        if known != 0 { known } else { self.new_location(location) }
    }

    #[cold]
    fn new_location(&mut self, location: Location) -> u64 {
        let names = self.names;
        let address = names.address(location.place);
        let line = names.lines(location).iter().map(|line| self.line(line)).collect();
        let id = self.profile.location.len() as u64 + 1;
        let mapping_id = match self.mappings.index_of(address) {
            Some(index) => index as u64 + 1,
            None => u64::from(self.mappings.as_slice().is_empty()),
        };
        self.profile.location.push(proto::Location { id, mapping_id, address, line, is_folded: false });
        match location.skipped_lines {
            0 => self.whole_locations[location.place as usize] = id as u32,
            _ => drop(self.cut_locations.insert(location, id)),
        }
        id
    }

    fn line(&mut self, line: &'a SourceLine) -> proto::Line {
        let function = &*line.function;
        let function_id = match self.functions.get(&std::ptr::from_ref(function)) {
            Some(&id) => id,
            None => self.new_function(function),
        };
        proto::Line { function_id, line: line.line.into(), column: 0 }
    }

    fn new_function(&mut self, function: &'a Function) -> u64 {
        let id = self.profile.function.len() as u64 + 1;
        let function_message = proto::Function {
            id,
            name_index: self.string(&function.name),
            system_name_index: self.string(&function.linkage_name),
            filename_index: self.string(&function.file),
            start_line: 0,
        };
        self.profile.function.push(function_message);
        self.functions.insert(function, id);
        id
    }

    fn value_type(&mut self, name: &'static str, unit: &'static str) -> proto::ValueType {
        proto::ValueType { type_index: self.string(name), unit_index: self.string(unit) }
    }

    fn string(&mut self, text: &'a str) -> i64 {
        *self.string_numbers.entry(text).or_insert_with(|| {
            self.strings.push(text);
            self.strings.len() as i64 - 1
        })
    }

    fn message(self) -> Vec<u8> {
        let mut message = self.samples.message;
        self.profile.encode_raw(&mut message);
        self.strings.iter().for_each(|text| append(STRING, text.as_bytes(), &mut message));
        message
    }
}

fn saturating_i64(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Frames;
    use crate::encode::mappings::Mapping;
    use alloc_profiler::{SizeTotals, StackTotals, StackTrace};
    use std::time::{Duration, SystemTime};

    fn size(size_class: u64, inuse_bytes: f64) -> SizeTotals {
        let totals = Totals { alloc_bytes: inuse_bytes.abs(), inuse_bytes, ..Totals::default() };
        SizeTotals { size_class, totals }
    }

    fn stack(return_addresses: &[usize], by_size: Vec<SizeTotals>) -> StackTotals {
        StackTotals {
            trace: StackTrace { return_addresses: return_addresses.into(), is_truncated: false },
            by_size,
        }
    }

    fn snapshot(stacks: Vec<StackTotals>) -> Snapshot {
        Snapshot { stacks, taken_at: UNIX_EPOCH + Duration::from_nanos(7), ..alloc_profiler::snapshot() }
    }

    fn build_with(snapshot: &Snapshot, options: &ProfileOptions, mappings: &Mappings) -> proto::Profile {
        let names = Names::of(snapshot, mappings, options.symbolize);
        proto::Profile::decode(&build(snapshot, options, mappings, &names)[..]).unwrap()
    }

    fn in_use(profile: &proto::Profile) -> Vec<i64> {
        profile.sample.iter().map(|sample| sample.value[3]).collect()
    }

    #[test]
    fn weights_are_summed_before_they_are_rounded() {
        // Return addresses 0 and 3 are garbage that becomes the same location: one stack, as the reader sees it.
        let stacks = vec![stack(&[0], vec![size(8, 0.4)]), stack(&[3], vec![size(8, 0.4), size(16, 9.0)])];
        let profile = build_with(&snapshot(stacks), &ProfileOptions::default(), &Mappings::default());
        assert_eq!(in_use(&profile), [9, 1]);
        assert_eq!(profile.location.len(), 1);
    }

    #[test]
    fn what_did_not_change_is_left_out_of_a_difference_only() {
        let mut snapshot = snapshot(vec![stack(&[9], vec![size(8, 0.2)]), stack(&[8], vec![size(8, -3.0)])]);
        assert_eq!(in_use(&build_with(&snapshot, &ProfileOptions::default(), &Mappings::default())), [0, -3]);
        snapshot.duration = Some(Duration::ZERO);
        let difference = build_with(&snapshot, &ProfileOptions::default(), &Mappings::default());
        assert_eq!(in_use(&difference), [-3]);
        assert_eq!((difference.duration_nanos, difference.time_nanos), (1, 7));
    }

    #[test]
    fn without_mappings_one_covers_all_like_in_go() {
        let options = ProfileOptions { symbolize: Symbolize::None, ..ProfileOptions::default() };
        let profile =
            build_with(&snapshot(vec![stack(&[9], vec![size(8, 1.0)])]), &options, &Mappings::default());
        assert_eq!(profile.mapping, [proto::Mapping { id: 1, ..proto::Mapping::default() }]);
        assert_eq!((profile.location[0].mapping_id, profile.location[0].line.len()), (1, 0));
    }

    #[test]
    fn names_and_flags_go_together() {
        let mapping = Mapping { start: 0x10, limit: 0x20, path: "[vdso]".into(), ..Mapping::default() };
        let mappings = Mappings::new(vec![mapping]);
        for (symbolize, is_symbolized) in [(Symbolize::None, false), (Symbolize::Full, true)] {
            let options = ProfileOptions { symbolize, frames: Frames::UserFirst, kind: ProfileKind::Allocs };
            let profile =
                build_with(&snapshot(vec![stack(&[0x11], vec![size(8, 1.0)])]), &options, &mappings);
            let mapping = &profile.mapping[0];
            let flags = [
                mapping.has_functions,
                mapping.has_filenames,
                mapping.has_line_numbers,
                mapping.has_inline_frames,
            ];
            assert_eq!(flags, [is_symbolized; 4]);
            assert_eq!(
                (profile.location[0].mapping_id, profile.location[0].line.len()),
                (1, is_symbolized.into())
            );
            let default = &profile.string_table[profile.default_sample_type_index as usize];
            assert_eq!(default, "alloc_space");
        }
    }

    #[test]
    fn no_value_breaks_the_encoder() {
        let mut snapshot =
            snapshot(vec![stack(&[9], vec![size(u64::MAX, f64::NAN), size(0, f64::INFINITY)])]);
        snapshot.sampling_interval = u64::MAX;
        snapshot.taken_at = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let profile = build_with(&snapshot, &ProfileOptions::default(), &Mappings::default());
        assert_eq!((profile.period, profile.time_nanos), (i64::MAX, 1));
        assert!(in_use(&profile).contains(&i64::MAX) && in_use(&profile).contains(&0));
    }
}

//! Builds the `profile.proto` message: merges, sorts, numbers, rounds.
//!
//! The same snapshot yields the same bytes whatever the order of its stacks: samples are sorted by in-use bytes,
//! largest first, and everything else is numbered in the order in which they mention it. Weights are summed as
//! they are and rounded once, at the end. If there is more than a reader takes, samples are sorted by importance
//! instead, and those that do not fit become one. Called by `encode::heap_profile`.
//!
//! Path: *read path*.

#[doc(hidden)]
pub mod proto;
mod samples;

use crate::mappings::Mappings;
use crate::profile::{AddressMap, Location, Names, ShownStack};
use crate::profile::{Importance, Labels, ProfileKind, ProfileOptions, SizeLimit, Symbolize, parts};
use crate::sources::heap::{SampleType, merged_under_other, notes, rounded};
use crate::symbols::{Function, SourceLine};
use alloc_profiler::{Snapshot, Totals};
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use samples::{Samples, append, appended_bytes};
use std::collections::HashMap;
use std::io::Write;
use std::time::UNIX_EPOCH;

/// Field `string_table` of `proto::Profile`, wire type "bytes of a given length".
const STRING: u8 = 6 << 3 | 2;

/// What `[other]` and the comment about it take at most.
const OTHER_BYTES: usize = 512;

/// The profile of `snapshot`: the bytes of a `proto::Profile`. `said` are notes that stand before its own.
///
/// Cost: some 10 ns for each place on each stack; twice that if it is too large for the limit.
pub(crate) fn build(
    snapshot: &Snapshot,
    options: &ProfileOptions,
    mappings: &Mappings,
    names: &Names,
    said: &[String],
) -> Vec<u8> {
    let comments = [said, &notes(snapshot, names)].concat();
    let mut samples = merged_samples(snapshot, options, names);
    let limit = options.limit;
    if samples.len() <= limit.samples {
        let mut builder = Builder::new(snapshot, options, &comments, mappings, names);
        let is_whole = samples.iter().all(|sample| {
            builder.sample(sample.stack, sample.labels, sample.values());
            builder.message_bytes() <= limit.message_bytes
        });
        if is_whole && builder.message_bytes() <= limit.message_bytes {
            return builder.message();
        }
    }
    let importance = Importance::among(samples.iter().map(|sample| &sample.totals));
    samples.sort_by(|a, b| importance.of(&b.totals).total_cmp(&importance.of(&a.totals)));
    let mut builder = Builder::new(snapshot, options, &comments, mappings, names);
    let kept = builder.samples_within(&samples, limit);
    let others = &samples[kept..];
    // Sums of what would have been written, so that totals are those of the whole profile to the last digit.
    let sum =
        |index: usize| others.iter().fold(0_i64, |sum, other| sum.saturating_add(other.values()[index]));
    builder.sample(ShownStack::other(), SampleLabels::default(), [0, 1, 2, 3].map(sum));
    let inuse =
        |samples: &[MergedSample<'_>]| samples.iter().map(|sample| sample.totals.inuse_bytes.abs()).sum();
    let (merged, all): (f64, f64) = (inuse(others), inuse(&samples));
    let note = merged_under_other(others.len(), kept, if all > 0.0 { merged / all } else { 0.0 });
    builder.comment(&note);
    builder.message()
}

/// What sets samples of one stack apart; `None`: they were not to be, or it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SampleLabels {
    /// In bytes.
    size_class: Option<u64>,
    /// In seconds.
    age_group: Option<u64>,
}

/// All that was allocated on one shown stack, of one size class and age.
struct MergedSample<'a> {
    stack: ShownStack<'a>,
    labels: SampleLabels,
    totals: Totals,
}

impl MergedSample<'_> {
    fn values(&self) -> [i64; 4] {
        rounded(&self.totals)
    }
}

/// Stacks that differ only in plumbing become one; the size class stays apart as a label, as Go has it.
fn merged_samples<'a>(
    snapshot: &Snapshot,
    options: &ProfileOptions,
    names: &'a Names,
) -> Vec<MergedSample<'a>> {
    let mut merged: AddressMap<(ShownStack<'a>, SampleLabels), Totals> = AddressMap::default();
    merged.reserve(snapshot.stacks.len());
    let stacks = names.stacks(options.frames).zip(snapshot.stacks.iter().map(|stack| &stack.by_size));
    for (stack, by_size) in stacks.chain([(ShownStack::overflow(), &snapshot.overflow)]) {
        for size in by_size {
            let size_class =
                Some(size.size_class).filter(|&bytes| options.labels != Labels::None && bytes > 0);
            let mut add = |age_group, totals| {
                *merged.entry((stack, SampleLabels { size_class, age_group })).or_default() += totals;
            };
            if options.labels == Labels::SizeAndAge {
                let (freed, by_age) = parts(size);
                by_age.for_each(|(group, totals)| add(Some(group), totals));
                if freed != Totals::default() {
                    add(None, freed);
                }
            } else {
                add(None, size.totals);
            }
        }
    }
    let mut samples: Vec<MergedSample<'a>> =
        merged.into_iter().map(|((stack, labels), totals)| MergedSample { stack, labels, totals }).collect();
    // In a snapshot we keep them, like Go: a stack that has freed everything is news for `alloc_*`, and its address
    // list stays known to readers that compare scrapes.
    if snapshot.duration.is_some() {
        samples.retain(|sample| sample.values() != [0; 4]);
    }
    samples.sort_unstable_by(|a, b| {
        let by_size = b.totals.inuse_bytes.total_cmp(&a.totals.inuse_bytes);
        by_size.then_with(|| a.stack.cmp(&b.stack)).then_with(|| a.labels.cmp(&b.labels))
    });
    samples
}

/// The message under construction, and the numbers given out so far.
struct Builder<'a> {
    samples: Samples,
    /// Everything else but the strings.
    profile: proto::Profile,
    mappings: &'a Mappings,
    /// By index among them; 0 for those that no address is in.
    mapping_ids: Vec<u64>,
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
    /// What everything but the samples takes in the message.
    other_bytes: usize,
}

/// How far a message under construction had come.
struct Mark {
    sample_bytes: usize,
    locations: usize,
    functions: usize,
    strings: usize,
}

impl<'a> Builder<'a> {
    /// A message without samples.
    fn new(
        snapshot: &Snapshot,
        options: &ProfileOptions,
        comments: &'a [String],
        mappings: &'a Mappings,
        names: &'a Names,
    ) -> Builder<'a> {
        let mut builder = Builder {
            samples: Samples::default(),
            profile: proto::Profile::default(),
            mappings,
            mapping_ids: Vec::new(),
            names,
            strings: Vec::new(),
            string_numbers: HashMap::new(),
            functions: AddressMap::default(),
            whole_locations: vec![0; names.place_count()],
            cut_locations: AddressMap::default(),
            bytes_index: 0,
            other_bytes: 0,
        };
        builder.string("");
        builder.bytes_index = builder.string("bytes");
        builder.header(snapshot, options, comments);
        builder.mappings(options.symbolize);
        builder.other_bytes += builder.profile.encoded_len();
        builder
    }

    fn header(&mut self, snapshot: &Snapshot, options: &ProfileOptions, comments: &'a [String]) {
        self.profile.sample_type =
            SampleType::ALL.iter().map(|of| self.value_type(of.name(), of.unit())).collect();
        // Go leaves it unset for `heap`: viewers then open on the last type, in-use bytes.
        let default = match options.kind {
            ProfileKind::Heap => None,
            ProfileKind::Allocs => Some(SampleType::AllocSpace),
        };
        if let Some(default) = options.sample_type.or(default) {
            self.profile.default_sample_type_index = self.string(default.name());
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

    /// The program's mapping, which viewers take the first for, and those that addresses are in. If there are none, one
    /// that covers all, as Go does: `go tool pprof` wants it.
    fn mappings(&mut self, symbolize: Symbolize) {
        let has_names = symbolize != Symbolize::None;
        let has_places = symbolize == Symbolize::Full;
        let mappings = self.mappings.as_slice();
        let message = |id: u64| proto::Mapping {
            id,
            // On every mapping or on none: one without would send the viewer looking for names itself.
            has_functions: has_names,
            has_filenames: has_places,
            has_line_numbers: has_places,
            has_inline_frames: has_names,
            ..proto::Mapping::default()
        };
        if mappings.is_empty() {
            self.profile.mapping.push(message(1));
            return;
        }
        self.mapping_ids = vec![0; mappings.len()];
        for index in self.mappings.used(self.names.addresses()) {
            let mapping = &mappings[index];
            let id = self.profile.mapping.len() as u64 + 1;
            self.mapping_ids[index] = id;
            let mapping = proto::Mapping {
                memory_start: mapping.start,
                memory_limit: mapping.limit,
                file_offset: mapping.offset,
                filename_index: self.string(&mapping.path),
                build_id_index: self.string(&mapping.build_id),
                ..message(id)
            };
            self.profile.mapping.push(mapping);
        }
    }

    /// Adds as many of `samples`, from the first on, as leave room for `[other]`. Returns how many.
    fn samples_within(&mut self, samples: &[MergedSample<'_>], limit: SizeLimit) -> usize {
        let most = limit.samples.saturating_sub(1).min(samples.len());
        for (index, sample) in samples[..most].iter().enumerate() {
            let mark = self.mark();
            self.sample(sample.stack, sample.labels, sample.values());
            if self.message_bytes().saturating_add(OTHER_BYTES) > limit.message_bytes {
                self.take_back(&mark);
                return index;
            }
        }
        most
    }

    fn sample(&mut self, stack: ShownStack<'_>, labels: SampleLabels, values: [i64; 4]) {
        let bytes = labels.size_class.map(|bytes| (self.bytes_index, bytes, self.bytes_index));
        let age = labels.age_group.map(|seconds| (self.string("age"), seconds, self.string("seconds")));
        let labels = [bytes, age].into_iter().flatten().map(|(key_index, number, num_unit_index)| {
            let num = saturating_i64(number.into());
            proto::Label { key_index, num, num_unit_index, ..proto::Label::default() }
        });
        let mut samples = std::mem::take(&mut self.samples);
        samples.push(stack.locations().map(|location| self.location(location)), values, labels);
        self.samples = samples;
    }

    fn comment(&mut self, text: &'a str) {
        let index = self.string(text);
        self.profile.comment_index.push(index);
    }

    fn mark(&self) -> Mark {
        Mark {
            sample_bytes: self.samples.message.len(),
            locations: self.profile.location.len(),
            functions: self.profile.function.len(),
            strings: self.strings.len(),
        }
    }

    /// Forgets what was added since `mark`, so that nothing stays that no sample mentions.
    fn take_back(&mut self, mark: &Mark) {
        self.samples.message.truncate(mark.sample_bytes);
        self.profile.location.truncate(mark.locations);
        self.profile.function.truncate(mark.functions);
        self.strings.truncate(mark.strings);
        self.whole_locations.iter_mut().filter(|id| **id as usize > mark.locations).for_each(|id| *id = 0);
        self.cut_locations.retain(|_, id| *id as usize <= mark.locations);
        self.functions.retain(|_, id| *id as usize <= mark.functions);
        self.string_numbers.retain(|_, number| (*number as usize) < mark.strings);
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
            Some(index) => self.mapping_ids[index],
            None => u64::from(self.mappings.as_slice().is_empty()),
        };
        let message = proto::Location { id, mapping_id, address, line, is_folded: false };
        self.other_bytes += appended_bytes(message.encoded_len());
        self.profile.location.push(message);
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
        self.other_bytes += appended_bytes(function_message.encoded_len());
        self.profile.function.push(function_message);
        self.functions.insert(function, id);
        id
    }

    fn value_type(&mut self, name: &'static str, unit: &'static str) -> proto::ValueType {
        proto::ValueType { type_index: self.string(name), unit_index: self.string(unit) }
    }

    fn string(&mut self, text: &'a str) -> i64 {
        *self.string_numbers.entry(text).or_insert_with(|| {
            self.other_bytes += appended_bytes(text.len());
            self.strings.push(text);
            self.strings.len() as i64 - 1
        })
    }

    /// How long the message has become.
    fn message_bytes(&self) -> usize {
        self.samples.message.len() + self.other_bytes
    }

    fn message(self) -> Vec<u8> {
        let mut message = self.samples.message;
        self.profile.encode_raw(&mut message);
        self.strings.iter().for_each(|text| append(STRING, text.as_bytes(), &mut message));
        message
    }
}

/// Fast rather than small, like Go: profiles are full of repetition, and shrink to less than half anyway. The next
/// level saves a quarter of the bytes and takes twice the time.
pub(crate) fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    let compressed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    // Writing to a vector does not fail. Were it to, readers take the plain message just as well.
    compressed.unwrap_or(bytes)
}

fn saturating_i64(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::Mapping;
    use alloc_profiler::{SizeTotals, StackTotals, StackTrace};
    use std::time::{Duration, SystemTime};

    fn size(size_class: u64, inuse_bytes: f64) -> SizeTotals {
        let totals = Totals { alloc_bytes: inuse_bytes.abs(), inuse_bytes, ..Totals::default() };
        SizeTotals { size_class, totals, ..SizeTotals::default() }
    }

    fn stack(return_addresses: &[usize], by_size: Vec<SizeTotals>) -> StackTotals {
        StackTotals {
            id: 0,
            trace: StackTrace::of_return_addresses(return_addresses.iter().copied()),
            by_size,
        }
    }

    fn snapshot(stacks: Vec<StackTotals>) -> Snapshot {
        Snapshot { stacks, taken_at: UNIX_EPOCH + Duration::from_nanos(7), ..alloc_profiler::snapshot() }
    }

    fn build_with(snapshot: &Snapshot, options: &ProfileOptions, mappings: &Mappings) -> proto::Profile {
        let names = Names::of(snapshot, mappings, options.symbolize);
        proto::Profile::decode(&build(snapshot, options, mappings, &names, &[])[..]).unwrap()
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
        for (symbolize, has_names, has_places) in
            [(Symbolize::None, false, false), (Symbolize::Names, true, false), (Symbolize::Full, true, true)]
        {
            let options =
                ProfileOptions { symbolize, kind: ProfileKind::Allocs, ..ProfileOptions::default() };
            let profile =
                build_with(&snapshot(vec![stack(&[0x11], vec![size(8, 1.0)])]), &options, &mappings);
            let mapping = &profile.mapping[0];
            let flags = [
                mapping.has_functions,
                mapping.has_filenames,
                mapping.has_line_numbers,
                mapping.has_inline_frames,
            ];
            assert_eq!(flags, [has_names, has_places, has_places, has_names]);
            assert_eq!(
                (profile.location[0].mapping_id, profile.location[0].line.len()),
                (1, has_names.into())
            );
            let default = &profile.string_table[profile.default_sample_type_index as usize];
            assert_eq!(default, "alloc_space");
        }
    }

    fn limited(samples: usize, message_bytes: usize) -> ProfileOptions {
        ProfileOptions { limit: SizeLimit { samples, message_bytes }, ..ProfileOptions::default() }
    }

    fn sums(profile: &proto::Profile) -> [i64; 4] {
        [0, 1, 2, 3].map(|index| profile.sample.iter().map(|sample| sample.value[index]).sum())
    }

    /// Stacks of 40 frames with nothing in common, which weigh less and less; the last one but for a leak's sake.
    fn many_stacks(count: usize) -> Snapshot {
        let of = |number: usize| {
            let addresses: Vec<usize> = (0..40).map(|frame| 0x10_0000 + number * 64 + frame).collect();
            let alloc_bytes = (2 * count - number) as f64 * 1000.3;
            let inuse_bytes = if number + 1 == count { 77.7 } else { 0.0 };
            let totals = Totals { alloc_objects: 1.4, alloc_bytes, inuse_bytes, ..Totals::default() };
            stack(&addresses, vec![SizeTotals { size_class: 64, totals, ..SizeTotals::default() }])
        };
        snapshot((0..count).map(of).collect())
    }

    #[test]
    fn beyond_the_limit_the_least_important_become_one_and_totals_stay() {
        let snapshot = many_stacks(50);
        let whole = build_with(&snapshot, &limited(50, usize::MAX), &Mappings::default());
        assert_eq!(whole.sample.len(), 50);
        for most in [49, 10, 2, 1, 0] {
            let profile = build_with(&snapshot, &limited(most, usize::MAX), &Mappings::default());
            assert_eq!(profile.sample.len(), most.max(1));
            assert_eq!(sums(&profile), sums(&whole), "{most}");
            let other = profile.sample.last().unwrap();
            let location = &profile.location[other.location_id[0] as usize - 1];
            let function = &profile.function[location.line[0].function_id as usize - 1];
            assert_eq!(profile.string_table[function.name_index as usize], "[other]");
            assert!(other.label.is_empty() && location.address > 0);
            let comment = &profile.string_table[*profile.comment_index.last().unwrap() as usize];
            assert!(
                comment.contains(&format!("room: {}, the {}", 51 - most.max(1), most.max(1) - 1)),
                "{comment}"
            );
            // All that is in use is on the stack that allocated least.
            assert_eq!(
                (profile.sample[0].value[3], profile.sample[0].label.len()),
                (78, usize::from(most > 1))
            );
        }
    }

    #[test]
    fn the_message_keeps_within_its_bytes() {
        let snapshot = many_stacks(500);
        let names = Names::of(&snapshot, &Mappings::default(), Symbolize::Full);
        let build = |bytes| build(&snapshot, &limited(usize::MAX, bytes), &Mappings::default(), &names, &[]);
        let whole = build(usize::MAX);
        assert_eq!(whole, build(whole.len()));
        let sums_of_whole = sums(&proto::Profile::decode(&whole[..]).unwrap());
        for bytes in [whole.len() - 1, whole.len() / 2, 10_000] {
            let message = build(bytes);
            assert!(message.len() <= bytes && message.len() + 3000 > bytes, "{} of {bytes}", message.len());
            let profile = proto::Profile::decode(&message[..]).unwrap();
            assert_eq!(sums(&profile), sums_of_whole);
            // Nothing is left behind of the samples that were taken back.
            let used = profile.sample.iter().flat_map(|sample| &sample.location_id).max();
            assert_eq!(used, Some(&(profile.location.len() as u64)));
            assert_eq!(profile.function.len(), profile.location.len());
        }
        let least = proto::Profile::decode(&build(0)[..]).unwrap();
        assert_eq!((least.sample.len(), sums(&least)), (1, sums_of_whole));
    }

    #[test]
    fn without_labels_a_stack_is_one_sample() {
        let snapshot = snapshot(vec![stack(&[9], vec![size(8, 1.0), size(16, 2.0)])]);
        let options = ProfileOptions { labels: Labels::None, ..ProfileOptions::default() };
        let profile = build_with(&snapshot, &options, &Mappings::default());
        assert_eq!((in_use(&profile), profile.sample[0].label.len()), (vec![3], 0));
    }

    #[test]
    fn a_sample_type_that_was_asked_for_is_shown_first() {
        for kind in [ProfileKind::Heap, ProfileKind::Allocs] {
            let sample_type = Some(SampleType::AllocObjects);
            let options = ProfileOptions { kind, sample_type, ..ProfileOptions::default() };
            let profile = build_with(&snapshot(Vec::new()), &options, &Mappings::default());
            let default = &profile.string_table[profile.default_sample_type_index as usize];
            assert_eq!(default, "alloc_objects");
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

//! The builder puts the message of a pprof profile together. It gives out numbers, and keeps count of its length.
//!
//! Path: *read path*.

use super::samples::{SampleBytes, append, appended_bytes};
use super::{Sample, proto};
use crate::profile::{
    AddressMap, Label, LabelValue, LabelsId, Location, LocationMap, Profile, Rows, ShownStack, SizeLimit,
    Stacks, Symbolize, Unit,
};
use crate::symbols::{Function, SourceLine};
use prost::Message;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::UNIX_EPOCH;

/// Holds the field number of `string_table` in `proto::Profile`, with the wire type "bytes of a given length".
const STRING: u8 = 6 << 3 | 2;

/// `[other]` and the comment about it take at most so many bytes.
const OTHER_BYTES: usize = 512;

/// Holds the message under construction, and the numbers given out so far.
pub(super) struct Builder<'a> {
    samples: SampleBytes,
    /// The messages for each set of labels that samples have had. The strings of a set are looked up only once.
    labels: AddressMap<LabelsId, Vec<proto::Label>>,
    /// Holds everything but the samples and the strings.
    profile: proto::Profile,
    stacks: &'a Stacks,
    rows: &'a Rows,
    /// The numbers of the mappings, by index; 0 for a mapping that no address is in.
    mapping_ids: Vec<u64>,
    /// Holds the strings, in the order of their numbers.
    strings: Vec<&'a str>,
    string_numbers: HashMap<&'a str, i64>,
    /// The number of each function, by its address: `names` keeps it there.
    functions: AddressMap<*const Function, u64>,
    locations: LocationMap<NonZeroU32>,
    /// How many bytes everything but the samples takes in the message.
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
    /// Begins a message without samples.
    pub(super) fn new(profile: &'a Profile) -> Builder<'a> {
        let mut builder = Builder {
            samples: SampleBytes::default(),
            labels: AddressMap::default(),
            profile: proto::Profile::default(),
            stacks: &profile.stacks,
            rows: &profile.rows,
            mapping_ids: Vec::new(),
            strings: Vec::new(),
            string_numbers: HashMap::new(),
            functions: AddressMap::default(),
            locations: LocationMap::new(profile.stacks.place_count()),
            other_bytes: 0,
        };
        builder.string("");
        builder.string(profile.period.unit.name());
        builder.header(profile);
        builder.mappings();
        builder.other_bytes += builder.profile.encoded_len();
        builder
    }

    fn header(&mut self, profile: &'a Profile) {
        let types = profile.types;
        self.profile.sample_type = types.iter().map(|of| self.value_type(of.name, of.unit)).collect();
        if let Some(default) = profile.default_type.and_then(|index| types.get(index)) {
            self.profile.default_sample_type_index = self.string(default.name);
        }
        self.profile.period_type = Some(self.value_type(profile.period.name, profile.period.unit));
        self.profile.period = saturating_i64(profile.period.value.into());
        // 0 would mean "no time", and would erase the time of the other profile when two are merged.
        let since_1970 = profile.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.profile.time_nanos = saturating_i64(since_1970.as_nanos()).max(1);
        // A non-zero duration tells readers that this is a difference, not a snapshot.
        self.profile.duration_nanos =
            profile.duration.map_or(0, |duration| saturating_i64(duration.as_nanos()).max(1));
        self.profile.comment_index = profile.notes.iter().map(|line| self.string(line)).collect();
    }

    /// Adds the program's mapping, which viewers expect first, and those that addresses are in. If there are none, it
    /// adds one that covers all, as Go does, since `go tool pprof` needs one.
    fn mappings(&mut self) {
        let has_names = self.stacks.symbolize() != Symbolize::None;
        let has_places = self.stacks.symbolize() == Symbolize::Full;
        let mappings = self.stacks.mappings().as_slice();
        let message = |id: u64| proto::Mapping {
            id,
            // Either every mapping has it or none: one without it would send the viewer looking for names itself.
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
        for index in self.stacks.mappings().used(self.stacks.addresses()) {
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

    /// Adds as many of `samples`, from the first on, as leave room for `[other]`. Returns how many it added.
    pub(super) fn samples_within(&mut self, samples: &[Sample<'_>], limit: SizeLimit) -> usize {
        let most = limit.samples.saturating_sub(1).min(samples.len());
        for (index, sample) in samples[..most].iter().enumerate() {
            let mark = self.mark();
            self.sample(sample.stack, sample.labels, sample.rounded());
            if self.message_bytes().saturating_add(OTHER_BYTES) > limit.message_bytes {
                self.take_back(&mark);
                return index;
            }
        }
        most
    }

    /// Adds a sample.
    pub(super) fn sample(
        &mut self,
        stack: ShownStack<'_>,
        of_sample: LabelsId,
        values: impl Iterator<Item = i64>,
    ) {
        let (mut samples, mut labels) = (std::mem::take(&mut self.samples), std::mem::take(&mut self.labels));
        let rows = self.rows;
        let messages = labels
            .entry(of_sample)
            .or_insert_with(|| rows.labels(of_sample).iter().map(|label| self.label(label)).collect());
        samples.push(stack.locations().map(|location| self.location(location)), values, messages);
        (self.samples, self.labels) = (samples, labels);
    }

    fn label(&mut self, label: &'a Label) -> proto::Label {
        let key_index = self.string(label.key);
        match &label.value {
            LabelValue::Number(num, unit) => {
                let num_unit_index = self.string(unit);
                proto::Label { key_index, num: *num, num_unit_index, ..proto::Label::default() }
            }
            LabelValue::Text(text) => {
                proto::Label { key_index, str_index: self.string(text), ..proto::Label::default() }
            }
        }
    }

    pub(super) fn comment(&mut self, text: &'a str) {
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
        // Their strings may be among those that go.
        self.labels.clear();
        self.profile.location.truncate(mark.locations);
        self.profile.function.truncate(mark.functions);
        self.strings.truncate(mark.strings);
        self.locations.retain(|id| id.get() as usize <= mark.locations);
        self.functions.retain(|_, id| *id as usize <= mark.functions);
        self.string_numbers.retain(|_, number| (*number as usize) < mark.strings);
    }

    fn location(&mut self, location: Location) -> u64 {
        match self.locations.get(location) {
            Some(&id) => id.get().into(),
            None => self.new_location(location),
        }
    }

    #[cold]
    fn new_location(&mut self, location: Location) -> u64 {
        let stacks = self.stacks;
        let address = stacks.address(location.place);
        let line = stacks.lines(location).iter().map(|line| self.line(line)).collect();
        let number = NonZeroU32::MIN.saturating_add(self.profile.location.len() as u32);
        let id = number.get().into();
        let mapping_id = match self.stacks.mappings().index_of(address) {
            Some(index) => self.mapping_ids[index],
            None => u64::from(self.stacks.mappings().as_slice().is_empty()),
        };
        let message = proto::Location { id, mapping_id, address, line, is_folded: false };
        self.other_bytes += appended_bytes(message.encoded_len());
        self.profile.location.push(message);
        self.locations.insert(location, number);
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

    fn value_type(&mut self, name: &'static str, unit: Unit) -> proto::ValueType {
        proto::ValueType { type_index: self.string(name), unit_index: self.string(unit.name()) }
    }

    fn string(&mut self, text: &'a str) -> i64 {
        *self.string_numbers.entry(text).or_insert_with(|| {
            self.other_bytes += appended_bytes(text.len());
            self.strings.push(text);
            self.strings.len() as i64 - 1
        })
    }

    /// Returns how long the message has become, in bytes.
    pub(super) fn message_bytes(&self) -> usize {
        self.samples.message.len() + self.other_bytes
    }

    pub(super) fn message(self) -> Vec<u8> {
        let mut message = self.samples.message;
        self.profile.encode_raw(&mut message);
        self.strings.iter().for_each(|text| append(STRING, text.as_bytes(), &mut message));
        message
    }
}

fn saturating_i64(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

//! Profiles in OTLP, the protocol of OpenTelemetry, whose part for profiles is in development: it may change with each version.
//! This is that of opentelemetry-proto 1.10.
//!
//! An OTLP profile has one value a sample. So a profile of pprof becomes as many as it has types of values, with one dictionary:
//! strings, functions, locations, stacks and labels ("attributes") are there once, and are referred to by their index. Entry 0 of each
//! table is empty, and means "none". That is how pprof's numbers begin, too, so they remain as they are.
//!
//! Path: *read path*. It reads the profile again, which costs about as much as to make it.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::profiles::v1development::{
    ExportProfilesServiceRequest, ExportProfilesServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development as otlp;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{LabelPair, random_bits};
use crate::writers::pprof::proto;

pub(super) const PATH: &str = "v1development/profiles";
pub(super) const HEADERS: [(&str, &str); 1] = [("Content-Type", "application/x-protobuf")];

/// The attribute that names a service, and our label of the same meaning.
const SERVICE_NAME: (&str, &str) = ("service.name", "service_name");
/// The attribute of a mapping's build id, by the semantic conventions.
const BUILD_ID: &str = "process.executable.build_id.gnu";
/// The attribute of pprof's comments, by the Collector's own translation of pprof.
const COMMENTS: &str = "pprof.profile.comment";

/// Returns the bytes of a request that carries `profile`, which is one of pprof's; `None` if it cannot be read.
pub(super) fn request(labels: &[LabelPair], profile: &[u8]) -> Option<Vec<u8>> {
    let profile = read(profile)?;
    let attribute = |label: &LabelPair| {
        let key = if label.name == SERVICE_NAME.1 { SERVICE_NAME.0 } else { &label.name };
        KeyValue { key: key.to_owned(), value: text(label.value.clone()), ..KeyValue::default() }
    };
    let resource = Resource { attributes: labels.iter().map(attribute).collect(), ..Resource::default() };
    let scope = InstrumentationScope {
        name: "pprof-server".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let (profiles, dictionary) = Dictionary::of(profile);
    let scope_profiles =
        vec![otlp::ScopeProfiles { scope: Some(scope), profiles, ..otlp::ScopeProfiles::default() }];
    let resource_profiles = vec![otlp::ResourceProfiles {
        resource: Some(resource),
        scope_profiles,
        ..otlp::ResourceProfiles::default()
    }];
    Some(ExportProfilesServiceRequest { resource_profiles, dictionary: Some(dictionary) }.encode_to_vec())
}

/// Returns what the engine says of profiles that it did not take, although it took the request.
pub(super) fn complaint(answer: &[u8]) -> Option<String> {
    let part = ExportProfilesServiceResponse::decode(answer).ok()?.partial_success?;
    let said = part.error_message.split_whitespace().collect::<Vec<_>>().join(" ");
    (part.rejected_profiles > 0).then(|| format!("{} profiles were rejected: {said}", part.rejected_profiles))
}

/// Reads a profile of our own. One that cannot be read would be a fault of ours.
fn read(bytes: &[u8]) -> Option<proto::Profile> {
    let mut plain = Vec::new();
    let bytes = match GzDecoder::new(bytes).read_to_end(&mut plain) {
        Ok(_) => &plain[..],
        // It was not compressed for want of memory.
        Err(_) => bytes,
    };
    proto::Profile::decode(bytes).ok()
}

fn text(value: String) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Value::StringValue(value)) })
}

/// Collects what all profiles refer to.
struct Dictionary {
    tables: otlp::ProfilesDictionary,
    stack_indices: HashMap<Vec<u64>, i32>,
    attribute_indices: HashMap<proto::Label, i32>,
}

impl Dictionary {
    /// Makes a profile of each type of values, and what they refer to.
    fn of(mut profile: proto::Profile) -> (Vec<otlp::Profile>, otlp::ProfilesDictionary) {
        let mut dictionary = Dictionary::without_samples(&mut profile);
        let comments = dictionary.comments(&profile.comment_index);
        let places: Vec<(i32, Vec<i32>)> =
            profile.sample.iter().map(|sample| dictionary.place(sample)).collect();
        let value_type = |of: proto::ValueType| otlp::ValueType {
            type_strindex: index(of.type_index),
            unit_strindex: index(of.unit_index),
        };
        let of_type = |(rank, sample_type): (usize, &proto::ValueType)| {
            let samples = profile.sample.iter().zip(&places).filter_map(
                |(sample, (stack_index, attribute_indices))| {
                    let value = *sample.value.get(rank).filter(|value| **value != 0)?;
                    Some(otlp::Sample {
                        stack_index: *stack_index,
                        attribute_indices: attribute_indices.clone(),
                        values: vec![value],
                        ..otlp::Sample::default()
                    })
                },
            );
            otlp::Profile {
                sample_type: Some(value_type(*sample_type)),
                samples: samples.collect(),
                time_unix_nano: u64::try_from(profile.time_nanos).unwrap_or_default(),
                duration_nano: u64::try_from(profile.duration_nanos).unwrap_or_default(),
                period_type: profile.period_type.map(value_type),
                period: profile.period,
                profile_id: random_bits().to_be_bytes().to_vec(),
                attribute_indices: comments.into_iter().collect(),
                ..otlp::Profile::default()
            }
        };
        (profile.sample_type.iter().enumerate().map(of_type).collect(), dictionary.tables)
    }

    /// Takes over what is not samples. The strings move.
    fn without_samples(profile: &mut proto::Profile) -> Dictionary {
        let string_table = std::mem::take(&mut profile.string_table);
        let mut dictionary = Dictionary {
            tables: otlp::ProfilesDictionary {
                string_table,
                mapping_table: vec![otlp::Mapping::default()],
                location_table: vec![otlp::Location::default()],
                function_table: vec![otlp::Function::default()],
                link_table: vec![otlp::Link::default()],
                attribute_table: vec![otlp::KeyValueAndUnit::default()],
                stack_table: vec![otlp::Stack::default()],
            },
            stack_indices: HashMap::new(),
            attribute_indices: HashMap::new(),
        };
        let build_id = dictionary.string(BUILD_ID);
        for mapping in &profile.mapping {
            let id = dictionary.tables.string_table.get(mapping.build_id_index as usize).cloned();
            let id = id.filter(|id| !id.is_empty());
            let attribute = id.map(|id| dictionary.attribute(build_id, text(id), 0));
            dictionary.tables.mapping_table.push(otlp::Mapping {
                memory_start: mapping.memory_start,
                memory_limit: mapping.memory_limit,
                file_offset: mapping.file_offset,
                filename_strindex: index(mapping.filename_index),
                attribute_indices: attribute.into_iter().collect(),
            });
        }
        let function = |function: &proto::Function| otlp::Function {
            name_strindex: index(function.name_index),
            system_name_strindex: index(function.system_name_index),
            filename_strindex: index(function.filename_index),
            start_line: function.start_line,
        };
        dictionary.tables.function_table.extend(profile.function.iter().map(function));
        let line = |line: &proto::Line| otlp::Line {
            function_index: index(line.function_id),
            line: line.line,
            column: line.column,
        };
        let location = |location: &proto::Location| otlp::Location {
            mapping_index: index(location.mapping_id),
            address: location.address,
            lines: location.line.iter().map(line).collect(),
            attribute_indices: Vec::new(),
        };
        dictionary.tables.location_table.extend(profile.location.iter().map(location));
        dictionary
    }

    /// Returns the index of the stack of a sample, and those of its labels.
    fn place(&mut self, sample: &proto::Sample) -> (i32, Vec<i32>) {
        let stacks = &mut self.tables.stack_table;
        let stack = self.stack_indices.get(&sample.location_id).copied().unwrap_or_else(|| {
            let location_indices = sample.location_id.iter().copied().map(index).collect();
            stacks.push(otlp::Stack { location_indices });
            let new = index(stacks.len() - 1);
            self.stack_indices.insert(sample.location_id.clone(), new);
            new
        });
        (stack, sample.label.iter().map(|label| self.label(label)).collect())
    }

    fn label(&mut self, label: &proto::Label) -> i32 {
        if let Some(&known) = self.attribute_indices.get(label) {
            return known;
        }
        let value = match self.tables.string_table.get(label.str_index as usize) {
            Some(value) if label.str_index > 0 => text(value.clone()),
            _ => Some(AnyValue { value: Some(Value::IntValue(label.num)) }),
        };
        let new = self.attribute(index(label.key_index), value, index(label.num_unit_index));
        self.attribute_indices.insert(*label, new);
        new
    }

    /// Returns the index of the attribute that has the comments, if there are any.
    fn comments(&mut self, comments: &[i64]) -> Option<i32> {
        let strings = &self.tables.string_table;
        let values = comments.iter().filter_map(|&comment| strings.get(comment as usize).cloned());
        let values: Vec<AnyValue> = values.filter_map(text).collect();
        if values.is_empty() {
            return None;
        }
        let key = self.string(COMMENTS);
        Some(self.attribute(key, Some(AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }), 0))
    }

    fn attribute(&mut self, key_strindex: i32, value: Option<AnyValue>, unit_strindex: i32) -> i32 {
        let table = &mut self.tables.attribute_table;
        table.push(otlp::KeyValueAndUnit { key_strindex, value, unit_strindex });
        index(table.len() - 1)
    }

    fn string(&mut self, text: &str) -> i32 {
        let table = &mut self.tables.string_table;
        table.push(text.to_owned());
        index(table.len() - 1)
    }
}

/// Turns a number of pprof's, or the length of a table, into an index. A profile within its limit has no larger ones.
fn index(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writers::pprof::gzip;

    /// Two samples of one stack, of which one has labels.
    fn samples() -> Vec<proto::Sample> {
        let label = vec![
            proto::Label { key_index: 2, num: 512, num_unit_index: 2, ..proto::Label::default() },
            proto::Label { key_index: 9, str_index: 10, ..proto::Label::default() },
        ];
        vec![
            proto::Sample { location_id: vec![2, 1], value: vec![30, 20], label },
            proto::Sample { location_id: vec![2, 1], value: vec![7, 0], label: Vec::new() },
        ]
    }

    fn profile() -> proto::Profile {
        let strings = [
            "",
            "inuse_space",
            "bytes",
            "alloc_space",
            "/shop",
            "ab12",
            "shop::f",
            "_f",
            "f.rs",
            "tenant",
            "a",
            "a note",
        ];
        proto::Profile {
            sample_type: vec![
                proto::ValueType { type_index: 3, unit_index: 2 },
                proto::ValueType { type_index: 1, unit_index: 2 },
            ],
            sample: samples(),
            mapping: vec![proto::Mapping {
                id: 1,
                memory_start: 0x1000,
                memory_limit: 0x9000,
                filename_index: 4,
                build_id_index: 5,
                ..proto::Mapping::default()
            }],
            location: vec![
                proto::Location { id: 1, mapping_id: 1, address: 0x2000, ..proto::Location::default() },
                proto::Location {
                    id: 2,
                    mapping_id: 1,
                    address: 0x3000,
                    line: vec![proto::Line { function_id: 1, line: 60, column: 0 }],
                    is_folded: false,
                },
            ],
            function: vec![proto::Function {
                id: 1,
                name_index: 6,
                system_name_index: 7,
                filename_index: 8,
                start_line: 0,
            }],
            string_table: strings.map(str::to_owned).to_vec(),
            time_nanos: 5,
            duration_nanos: 6,
            period_type: Some(proto::ValueType { type_index: 1, unit_index: 2 }),
            period: 524_288,
            comment_index: vec![11],
            ..proto::Profile::default()
        }
    }

    /// Looks up what an index means, as a reader does.
    fn told(tables: &otlp::ProfilesDictionary, attribute: i32) -> String {
        let string = |index: i32| &tables.string_table[index as usize];
        let attribute = &tables.attribute_table[attribute as usize];
        let value = match attribute.value.clone().unwrap().value.unwrap() {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        format!("{}={value}{}", string(attribute.key_strindex), string(attribute.unit_strindex))
    }

    #[test]
    fn a_profile_becomes_one_for_each_type_with_all_that_it_has() {
        let labels = [LabelPair::new("service_name", "shop"), LabelPair::new("pod", "p1")];
        let plain = profile().encode_to_vec();
        for bytes in [plain.clone(), gzip(plain)] {
            let request =
                ExportProfilesServiceRequest::decode(&request(&labels, &bytes).unwrap()[..]).unwrap();
            let tables = request.dictionary.unwrap();
            let string = |index: i32| &*tables.string_table[index as usize];
            let [of_resource] = &request.resource_profiles[..] else {
                panic!("{:?}", request.resource_profiles)
            };
            let keys: Vec<&str> = of_resource
                .resource
                .as_ref()
                .unwrap()
                .attributes
                .iter()
                .map(|attribute| &*attribute.key)
                .collect();
            assert_eq!(keys, ["service.name", "pod"]);
            let [alloc, inuse] = &of_resource.scope_profiles[0].profiles[..] else {
                panic!("{of_resource:?}")
            };
            assert_eq!(
                [alloc, inuse].map(|of| string(of.sample_type.unwrap().type_strindex)),
                ["alloc_space", "inuse_space"]
            );
            let values = |of: &otlp::Profile| {
                of.samples.iter().map(|sample| sample.values.clone()).collect::<Vec<_>>()
            };
            assert_eq!((values(alloc), values(inuse)), (vec![vec![30], vec![7]], vec![vec![20]]));
            assert_eq!((alloc.time_unix_nano, alloc.duration_nano, alloc.period), (5, 6, 524_288));
            assert!(alloc.profile_id.len() == 16 && alloc.profile_id != inuse.profile_id);
            assert!(told(&tables, alloc.attribute_indices[0]).contains("a note"));

            let [sample, without_labels] = &alloc.samples[..] else { panic!("{alloc:?}") };
            assert_eq!(sample.stack_index, without_labels.stack_index, "a stack is there once");
            assert!(sample.stack_index > 0 && tables.stack_table[0] == otlp::Stack::default());
            let labels: Vec<String> = sample.attribute_indices.iter().map(|&of| told(&tables, of)).collect();
            assert_eq!(labels, ["bytes=512bytes", "tenant=a"]);
            let stack = &tables.stack_table[sample.stack_index as usize].location_indices;
            let locations: Vec<&otlp::Location> =
                stack.iter().map(|&of| &tables.location_table[of as usize]).collect();
            assert_eq!(
                locations.iter().map(|location| location.address).collect::<Vec<_>>(),
                [0x3000, 0x2000]
            );
            let line = locations[0].lines[0];
            let function = tables.function_table[line.function_index as usize];
            let names = [function.name_strindex, function.system_name_strindex, function.filename_strindex]
                .map(string);
            assert_eq!((names, line.line), (["shop::f", "_f", "f.rs"], 60));
            let mapping = &tables.mapping_table[locations[1].mapping_index as usize];
            assert_eq!((string(mapping.filename_strindex), mapping.memory_start), ("/shop", 0x1000));
            assert_eq!(told(&tables, mapping.attribute_indices[0]), "process.executable.build_id.gnu=ab12");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_empty_profile() {
        assert_eq!(request(&[], b"no profile"), None);
    }

    #[test]
    fn what_was_rejected_is_told() {
        use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesPartialSuccess;
        let answer = |rejected_profiles| {
            let partial_success = Some(ExportProfilesPartialSuccess {
                rejected_profiles,
                error_message: "too\n old".to_owned(),
            });
            ExportProfilesServiceResponse { partial_success }.encode_to_vec()
        };
        assert_eq!(complaint(&answer(2)).as_deref(), Some("2 profiles were rejected: too old"));
        assert_eq!(complaint(&answer(0)), None, "a warning");
        assert_eq!(complaint(b""), None);
    }
}

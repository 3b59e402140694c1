//! What readers of profiles demand, all taken together, beyond what Go's own parser checks.
//!
//! Parca wants ids without gaps, Pyroscope UTF-8 and sample types without `-`, Alloy four values at most and
//! stacks that differ in their addresses; all of them take `duration_nanos` for the sign of a difference. We hold
//! every profile of ours against all of it.

use pprof_server::internal::proto::{Profile, Sample};
use prost::Message;
use std::collections::HashSet;
use std::io::Read;

/// Decompresses and decodes a profile.
///
/// # Panics
///
/// It panics if the bytes are not gzip, or not a profile. Strings that are not UTF-8 are no profile either.
pub fn decode(profile: &[u8]) -> Profile {
    Profile::decode(&decompress(profile)[..]).expect("the message can be decoded")
}

fn decompress(profile: &[u8]) -> Vec<u8> {
    assert!(profile.starts_with(&[0x1f, 0x8b]), "a profile is gzipped");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(profile).read_to_end(&mut bytes).expect("the gzip stream is whole");
    bytes
}

/// Decodes a profile and holds it against every rule.
///
/// # Panics
///
/// It panics if the profile breaks one.
pub fn scraper_rules(profile: &[u8]) -> Profile {
    let decoded = decode(profile);
    let mut broken = violations(&decoded);
    // A second one makes Go take the file for two that were glued together.
    let times = count_field(&decompress(profile), 9);
    if times != 1 {
        broken.push(format!("time_nanos is there {times} times"));
    }
    assert!(broken.is_empty(), "{} rules broken:\n{}", broken.len(), broken.join("\n"));
    decoded
}

/// Returns the rules that `profile` breaks, in words.
pub fn violations(profile: &Profile) -> Vec<String> {
    let mut check = Check { profile, kind: &KINDS[0], broken: Vec::new() };
    check.header();
    check.mappings();
    check.functions();
    check.locations();
    check.samples();
    check.broken
}

/// A kind of profile: what its values and its period are, as readers know it by.
struct Kind {
    types: &'static [(&'static str, &'static str)],
    period: (&'static str, &'static str),
    /// The keys of its labels in their order, and whether there is one, a number of that unit; else they are texts.
    label: (&'static [&'static str], Option<&'static str>),
    /// Values that may be negative in a difference.
    first_of_change: usize,
}

/// Labels that some programs have: those whose C allocations are counted, and the demo. They come after the others, and are texts.
const OF_PROGRAM: &[&str] = &["allocator", "tenant"];

const KINDS: &[Kind] = &[
    Kind {
        types: &[
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ],
        period: ("space", "bytes"),
        label: (&["bytes"], Some("bytes")),
        first_of_change: 2,
    },
    Kind {
        types: &[("samples", "count"), ("cpu", "nanoseconds")],
        period: ("cpu", "nanoseconds"),
        label: (&["thread"], None),
        first_of_change: 2,
    },
    Kind {
        types: &[("contentions", "count"), ("delay", "nanoseconds")],
        period: ("contentions", "count"),
        label: (&["thread"], None),
        first_of_change: 2,
    },
    Kind {
        types: &[("goroutineleak", "count")],
        period: ("goroutineleak", "count"),
        label: (&["kind", "state", "waits", "source"], None),
        first_of_change: 0,
    },
    Kind {
        types: &[("threadcreate", "count")],
        period: ("threadcreate", "count"),
        label: (&["thread"], None),
        first_of_change: 0,
    },
    Kind {
        types: &[("samples", "count"), ("time", "nanoseconds")],
        period: ("wallclock", "nanoseconds"),
        label: (&["thread", "state", "waits"], None),
        first_of_change: 2,
    },
    Kind {
        types: &[("goroutine", "count")],
        period: ("goroutine", "count"),
        label: (&["kind", "thread", "state", "waits", "source", "approximate"], None),
        first_of_change: 0,
    },
];

struct Check<'a> {
    profile: &'a Profile,
    kind: &'static Kind,
    broken: Vec<String>,
}

impl<'a> Check<'a> {
    fn that(&mut self, holds: bool, rule: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(rule());
        }
    }

    fn string(&mut self, index: i64, what: &str) -> &'a str {
        let text = usize::try_from(index).ok().and_then(|index| self.profile.string_table.get(index));
        self.that(text.is_some(), || format!("{what}: no string {index}"));
        text.map_or("", |text| text)
    }

    fn header(&mut self) {
        let profile = self.profile;
        self.that(profile.string_table.first().is_some_and(String::is_empty), || {
            "string 0 is not empty".into()
        });
        let mut types = Vec::new();
        for sample_type in &profile.sample_type {
            let name = self.string(sample_type.type_index, "sample type");
            let unit = self.string(sample_type.unit_index, "sample unit");
            self.that(!name.contains('-'), || format!("sample type {name} has a dash"));
            types.push((name, unit));
        }
        let kind = KINDS.iter().find(|kind| kind.types == types);
        self.that(kind.is_some(), || format!("sample types are {types:?}"));
        self.kind = kind.unwrap_or(self.kind);
        let period = profile.period_type.unwrap_or_default();
        let period =
            (self.string(period.type_index, "period type"), self.string(period.unit_index, "period unit"));
        self.that(period == self.kind.period, || format!("period type is {period:?}"));
        let default = self.string(profile.default_sample_type_index, "default sample type");
        self.that(matches!(default, "" | "alloc_space"), || format!("default sample type is {default}"));
        // This is within what Pyroscope accepts.
        self.that(profile.sample.len() <= 16_000, || format!("{} samples", profile.sample.len()));
        let bytes = profile.encoded_len();
        self.that(bytes <= 4 << 20, || format!("{bytes} bytes"));
        self.that(profile.time_nanos > 0, || "no time".into());
        self.that(profile.duration_nanos >= 0, || "negative duration".into());
        for &index in &profile.comment_index {
            let comment = self.string(index, "comment");
            self.that(!comment.starts_with('#'), || format!("hidden comment {comment}"));
            self.that(!comment.is_empty(), || "empty comment".into());
        }
        self.that(profile.drop_frames_index == 0 && profile.keep_frames_index == 0, || {
            "frames are dropped".into()
        });
    }

    fn mappings(&mut self) {
        let profile = self.profile;
        let flags: HashSet<[bool; 4]> = profile
            .mapping
            .iter()
            .map(|m| [m.has_functions, m.has_filenames, m.has_line_numbers, m.has_inline_frames])
            .collect();
        // A mapping has either both functions and inlined frames or neither, and either both files and lines or neither;
        // and there are no files without functions. No location may have what the flags deny.
        let is_uniform = flags.len() == 1
            && flags.iter().all(|&[functions, files, lines, inlined]| {
                functions == inlined && files == lines && (functions || !files)
            });
        self.that(is_uniform, || format!("has_* flags differ: {flags:?}"));
        let has_places = flags.iter().any(|&[_, files, _, _]| files);
        let is_place_there = profile.function.iter().any(|function| function.filename_index != 0)
            || profile.location.iter().flat_map(|location| &location.line).any(|line| line.line != 0);
        self.that(has_places || !is_place_there, || "there are places, and has_* flags deny them".into());
        for (index, mapping) in self.profile.mapping.iter().enumerate() {
            self.that(mapping.id == index as u64 + 1, || format!("mapping {index} has id {}", mapping.id));
            let path = self.string(mapping.filename_index, "mapping file");
            self.that(!path.ends_with(" (deleted)"), || format!("mapping file is {path}"));
            let build_id = self.string(mapping.build_id_index, "build id");
            let is_hex = build_id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            self.that(is_hex && build_id.len().is_multiple_of(2), || format!("build id is {build_id}"));
        }
    }

    fn functions(&mut self) {
        for (index, function) in self.profile.function.iter().enumerate() {
            self.that(function.id == index as u64 + 1, || format!("function {index} has id {}", function.id));
            let name = self.string(function.name_index, "function name");
            let system_name = self.string(function.system_name_index, "system name");
            self.string(function.filename_index, "function file");
            self.that(!name.is_empty(), || format!("function {index} has no name"));
            // Go would take the name for C++ and cut the generics out.
            let is_damaged =
                name == system_name && (name.contains("::") || name.contains(['<', '>', '[', ']']));
            self.that(!is_damaged, || format!("system name {system_name} is demangled"));
        }
    }

    fn locations(&mut self) {
        let profile = self.profile;
        let is_symbolized = profile.mapping.first().is_some_and(|mapping| mapping.has_functions);
        for (index, location) in profile.location.iter().enumerate() {
            self.that(location.id == index as u64 + 1, || format!("location {index} has id {}", location.id));
            self.that(location.address != 0, || format!("location {index} has address 0"));
            if location.mapping_id != 0 {
                let mapping = profile.mapping.get(location.mapping_id as usize - 1);
                self.that(mapping.is_some(), || {
                    format!("location {index}: no mapping {}", location.mapping_id)
                });
                let is_inside = mapping.is_none_or(|mapping| {
                    mapping.memory_limit == 0
                        || (mapping.memory_start..mapping.memory_limit).contains(&location.address)
                });
                self.that(is_inside, || format!("location {index} lies outside of its mapping"));
            }
            let has_lines = !location.line.is_empty();
            self.that(has_lines || !is_symbolized, || format!("location {index} has no name"));
            for line in &location.line {
                let is_known = (1..=profile.function.len() as u64).contains(&line.function_id);
                self.that(is_known, || format!("location {index}: no function {}", line.function_id));
                self.that(line.line >= 0, || format!("location {index}: line {}", line.line));
            }
        }
    }

    /// Whether this is what was merged for want of room.
    fn is_other(&self, sample: &Sample) -> bool {
        let profile = self.profile;
        let name = || {
            let location =
                profile.location.get(usize::try_from(sample.location_id.first()?.checked_sub(1)?).ok()?)?;
            let function = location.line.first()?.function_id.checked_sub(1)?;
            let function = profile.function.get(usize::try_from(function).ok()?)?;
            profile.string_table.get(usize::try_from(function.name_index).ok()?)
        };
        name().is_some_and(|name| name == "[other]")
    }

    fn samples(&mut self) {
        let profile = self.profile;
        let mut seen = HashSet::new();
        // Sizes are on every sample or on none; what was merged for want of room has none. A thread may have no name.
        let (label_keys, label_unit) = self.kind.label;
        let has_labels = profile.sample.iter().any(|sample| !sample.label.is_empty());
        for (index, sample) in profile.sample.iter().enumerate() {
            self.that(sample.value.len() == self.kind.types.len(), || {
                format!("sample {index} has {} values", sample.value.len())
            });
            let is_difference = profile.duration_nanos != 0;
            let no_negative =
                if is_difference { &sample.value[..self.kind.first_of_change] } else { &sample.value[..] };
            self.that(no_negative.iter().all(|v| *v >= 0), || format!("sample {index}: {:?}", sample.value));
            let is_news = !is_difference || sample.value.iter().any(|value| *value != 0);
            self.that(is_news, || format!("sample {index} tells of no change"));
            self.that(!sample.location_id.is_empty(), || format!("sample {index} has no stack"));
            let addresses: Option<Vec<u64>> = sample
                .location_id
                .iter()
                .map(|id| Some(profile.location.get(usize::try_from(id.checked_sub(1)?).ok()?)?.address))
                .collect();
            self.that(addresses.is_some(), || format!("sample {index}: no such location"));
            let mut labels = Vec::new();
            for label in &sample.label {
                self.that(label.key_index != 0, || format!("sample {index}: label without key"));
                let key = self.string(label.key_index, "label key");
                let unit = self.string(label.num_unit_index, "label unit");
                let text = self.string(label.str_index, "label string");
                labels.push((key, unit, label.num, text));
            }
            let is_given = |&(key, unit, number, text): &(&str, &str, i64, &str)| {
                OF_PROGRAM.contains(&key) && (unit, number) == ("", 0) && !text.is_empty()
            };
            let given = labels.iter().rev().take_while(|label| is_given(label)).count();
            let is_right = match (&labels[..labels.len() - given], label_unit) {
                ([], Some(_)) => !has_labels || self.is_other(sample),
                (&[(key, unit, number, "")], Some(expected)) => {
                    (key, unit) == (label_keys[0], expected) && number >= 0 && !self.is_other(sample)
                }
                (texts, None) => {
                    let mut known = label_keys.iter();
                    texts.iter().all(|&(key, unit, number, text)| {
                        (unit, number) == ("", 0) && !text.is_empty() && known.any(|known| *known == key)
                    })
                }
                _ => false,
            };
            self.that(is_right, || format!("sample {index} has labels {labels:?}"));
            // Some readers know a stack by its addresses alone.
            let is_new = seen.insert((addresses, labels));
            self.that(is_new, || format!("sample {index} has the addresses and labels of another"));
        }
    }
}

/// Returns how often field `number` is at the top level of `message`.
fn count_field(mut message: &[u8], number: u32) -> usize {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut count = 0;
    while !message.is_empty() {
        let (field, wire_type) = decode_key(&mut message).expect("a message consists of fields");
        count += usize::from(field == number);
        skip_field(wire_type, field, &mut message, DecodeContext::default()).expect("fields are whole");
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_profile_breaks_many_rules() {
        let profile = Profile {
            string_table: vec!["x-y".into(), "#hidden".into()],
            comment_index: vec![1],
            duration_nanos: -1,
            location: vec![Default::default()],
            ..Profile::default()
        };
        let broken = violations(&profile);
        for rule in
            ["string 0 is not empty", "no time", "negative duration", "address 0", "hidden comment", "has_*"]
        {
            assert!(broken.iter().any(|broken| broken.contains(rule)), "{rule} in {broken:?}");
        }
    }

    #[test]
    fn fields_are_counted() {
        let message = Profile { time_nanos: 5, string_table: vec!["".into()], ..Profile::default() };
        let bytes = message.encode_to_vec();
        assert_eq!(count_field(&bytes, 9), 1);
        assert_eq!(count_field(&[&bytes[..], &bytes[..]].concat(), 9), 2);
    }
}

//! These are the messages of pprof's `profile.proto`, written out by hand.
//!
//! Field numbers are the wire format and never change; names here are ours. Indices called `*_index` point into
//! [`Profile::string_table`], whose entry 0 is the empty string: 0 therefore also means "not given". Ids start
//! at 1 and have no gaps, which the format does not ask for but some readers do.
//!
//! Path: *read path*. `builder` fills it in, and tests decode it.

/// A set of sampled stacks with what they weigh. It is the root message of a profile file, which is gzipped.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Profile {
    /// What the values of each [`Sample`] mean, in order. A viewer shows the last one unless told otherwise.
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    /// One entry for each distinct stack and set of labels.
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    /// Executable address ranges of the process; the first is the main binary.
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    /// Code addresses that samples refer to.
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    /// Functions that locations refer to.
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    /// Holds every string of the profile, each once. Entry 0 is "".
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    /// Regular expression of functions to hide with all they call. We do not use it, since we trim exactly instead.
    #[prost(int64, tag = "7")]
    pub drop_frames_index: i64,
    /// Names the exceptions to `drop_frames_index`.
    #[prost(int64, tag = "8")]
    pub keep_frames_index: i64,
    /// When the snapshot was taken, in nanoseconds since 1970 UTC.
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    /// Counts the nanoseconds between the two snapshots of a difference. 0 says that this is no difference.
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    /// What is counted between two samples: `space` in `bytes`.
    #[prost(message, optional, tag = "11")]
    pub period_type: Option<ValueType>,
    /// Mean bytes between two samples. It is for information, since values are scaled up already.
    #[prost(int64, tag = "12")]
    pub period: i64,
    /// Free text for the reader, a line each. One that starts with `#` is hidden by `go tool pprof`.
    #[prost(int64, repeated, tag = "13")]
    pub comment_index: Vec<i64>,
    /// Name of the sample type to show first; 0 for the last one.
    #[prost(int64, tag = "14")]
    pub default_sample_type_index: i64,
    /// Link to documentation. We do not use it.
    #[prost(int64, tag = "15")]
    pub doc_url_index: i64,
}

/// Names a quantity and its unit, such as `inuse_space` in `bytes`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct ValueType {
    /// Name of the quantity.
    #[prost(int64, tag = "1")]
    pub type_index: i64,
    /// Names its unit.
    #[prost(int64, tag = "2")]
    pub unit_index: i64,
}

/// One stack and what it weighs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sample {
    /// Lists the stack, leaf first.
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    /// Holds one value for each of [`Profile::sample_type`], in its units.
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
    /// What sets it apart from other samples of the same stack.
    #[prost(message, repeated, tag = "3")]
    pub label: Vec<Label>,
}

/// Labels a sample with a key, and with either a string or a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Label {
    /// The key; it is never 0.
    #[prost(int64, tag = "1")]
    pub key_index: i64,
    /// The value, if it is a string.
    #[prost(int64, tag = "2")]
    pub str_index: i64,
    /// The value, if it is a number.
    #[prost(int64, tag = "3")]
    pub num: i64,
    /// Names the unit of `num`.
    #[prost(int64, tag = "4")]
    pub num_unit_index: i64,
}

/// One executable range of the process's address space and the file it was loaded from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Mapping {
    /// Numbers the mapping, counted from 1.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Tells the first address.
    #[prost(uint64, tag = "2")]
    pub memory_start: u64,
    /// Tells the first address after it.
    #[prost(uint64, tag = "3")]
    pub memory_limit: u64,
    /// Where in the file the range begins, in bytes.
    #[prost(uint64, tag = "4")]
    pub file_offset: u64,
    /// Names the path of the file.
    #[prost(int64, tag = "5")]
    pub filename_index: i64,
    /// What identifies this exact build of the file: the GNU build id in lower-case hexadecimal.
    #[prost(int64, tag = "6")]
    pub build_id_index: i64,
    /// True if every location in the range has its functions: viewers then do not look for them.
    #[prost(bool, tag = "7")]
    pub has_functions: bool,
    /// True if they have their source files, too.
    #[prost(bool, tag = "8")]
    pub has_filenames: bool,
    /// True if they have their line numbers, too.
    #[prost(bool, tag = "9")]
    pub has_line_numbers: bool,
    /// True if they have their inlined functions, too.
    #[prost(bool, tag = "10")]
    pub has_inline_frames: bool,
}

/// A code address and the functions that it belongs to.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Location {
    /// Numbers the location, counted from 1.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The [`Mapping`] that it lies in; 0 if it lies in none.
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    /// Tells an address within the call instruction, which is the return address minus one.
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// Holds one entry for each function. Inlined ones come first, the innermost before the others; the last is the one
    /// that was called.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
    /// True if several addresses were folded into this one. We do not use it.
    #[prost(bool, tag = "5")]
    pub is_folded: bool,
}

/// Names a function at a location, and a place in its source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Line {
    /// Refers to the [`Function`] by its number.
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    /// Holds the line in its file, counted from 1; it is 0 if unknown.
    #[prost(int64, tag = "2")]
    pub line: i64,
    /// Holds the column, counted from 1; it is 0 if unknown. We do not use it.
    #[prost(int64, tag = "3")]
    pub column: i64,
}

/// Describes a function. Viewers tell functions apart by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Function {
    /// Numbers the function, counted from 1.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The demangled name, which people read.
    #[prost(int64, tag = "2")]
    pub name_index: i64,
    /// The mangled name, which linkers use; 0 if unknown. If it were equal to a demangled Rust name, `go tool pprof`
    /// would take that for C++ and cut the generics out.
    #[prost(int64, tag = "3")]
    pub system_name_index: i64,
    /// Names the source file; it is 0 if unknown.
    #[prost(int64, tag = "4")]
    pub filename_index: i64,
    /// The line on which the function begins; 0 if unknown.
    #[prost(int64, tag = "5")]
    pub start_line: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    /// The bytes are spelled out: a wrong field number would still round-trip through our own structs.
    #[test]
    fn field_numbers_are_those_of_the_format() {
        let profile = Profile {
            sample_type: vec![ValueType { type_index: 1, unit_index: 2 }],
            sample: vec![Sample {
                location_id: vec![1, 300],
                value: vec![-1],
                label: vec![Label { key_index: 1, str_index: 0, num: 64, num_unit_index: 2 }],
            }],
            string_table: vec![String::new(), "a".into()],
            time_nanos: 5,
            duration_nanos: 6,
            period: 7,
            comment_index: vec![1],
            default_sample_type_index: 1,
            ..Profile::default()
        };
        let expected = [
            &[0x0a, 4, 0x08, 1, 0x10, 2][..],                            // 1: sample_type
            &[0x12, 25, 0x0a, 3, 1, 0xac, 0x02],                         // 2: sample, 1: location_id, packed
            &[0x12, 10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], // 2: value, packed
            &[0x1a, 6, 0x08, 1, 0x18, 64, 0x20, 2],                      // 3: label
            &[0x32, 0, 0x32, 1, b'a'],                                   // 6: string_table
            &[0x48, 5, 0x50, 6, 0x60, 7],                                // 9, 10, 12
            &[0x6a, 1, 1, 0x70, 1],                                      // 13: comment, packed; 14
        ]
        .concat();
        assert_eq!(profile.encode_to_vec(), expected);
        assert_eq!(Profile::decode(&expected[..]).unwrap(), profile);
    }

    #[test]
    fn mapping_location_and_function_survive_the_round_trip() {
        let profile = Profile {
            mapping: vec![Mapping {
                id: 1,
                memory_start: 0x1000,
                memory_limit: 0x2000,
                file_offset: 0x3000,
                filename_index: 1,
                build_id_index: 2,
                has_functions: true,
                has_filenames: true,
                has_line_numbers: true,
                has_inline_frames: true,
            }],
            location: vec![Location {
                id: 1,
                mapping_id: 1,
                address: u64::MAX,
                line: vec![Line { function_id: 1, line: 9, column: 0 }],
                is_folded: false,
            }],
            function: vec![Function { id: 1, name_index: 1, ..Function::default() }],
            ..Profile::default()
        };
        assert_eq!(Profile::decode(&profile.encode_to_vec()[..]).unwrap(), profile);
        // The fields from has_functions to has_inline_frames are 7 to 10 of the mapping.
        assert!(profile.encode_to_vec().windows(8).any(|w| w == [0x38, 1, 0x40, 1, 0x48, 1, 0x50, 1]));
    }
}

//! Profiles of made-up snapshots are encoded and read back.

use super::*;
use crate::mappings::{Mapping, Mappings};
use crate::profile::Symbolize;
use crate::sources::heap::{self, Labels, ProfileKind, ProfileOptions, SampleType};
use alloc_profiler::internal::literal;
use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
use prost::Message;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn size(size_class: u64, inuse_bytes: f64) -> SizeTotals {
    let totals = literal!(Totals { alloc_bytes: inuse_bytes.abs(), inuse_bytes, ..Totals::default() });
    literal!(SizeTotals { size_class, totals, ..SizeTotals::default() })
}

fn stack(return_addresses: &[usize], by_size: Vec<SizeTotals>) -> StackTotals {
    literal!(StackTotals {
        trace: StackTrace::of_return_addresses(return_addresses.iter().copied()),
        by_size,
        ..StackTotals::default()
    })
}

fn snapshot(stacks: Vec<StackTotals>) -> Snapshot {
    literal!(Snapshot {
        stacks,
        taken_at: UNIX_EPOCH + Duration::from_nanos(7),
        ..alloc_profiler::snapshot()
    })
}

fn profile(snapshot: &Snapshot, options: &ProfileOptions, mappings: &Mappings) -> Profile {
    let stacks = heap::stacks(snapshot, mappings.clone(), options.symbolize);
    heap::profile_of(snapshot, options, stacks)
}

fn build_with(snapshot: &Snapshot, options: &ProfileOptions, mappings: &Mappings) -> proto::Profile {
    let message = message(&profile(snapshot, options, mappings), options.limit);
    proto::Profile::decode(&message[..]).unwrap()
}

fn in_use(profile: &proto::Profile) -> Vec<i64> {
    profile.sample.iter().map(|sample| sample.value[3]).collect()
}

#[test]
fn weights_are_summed_before_they_are_rounded() {
    // Return addresses 0 and 3 are garbage that becomes the same location, so the reader sees one stack.
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
        let options = ProfileOptions { symbolize, kind: ProfileKind::Allocs, ..ProfileOptions::default() };
        let profile = build_with(&snapshot(vec![stack(&[0x11], vec![size(8, 1.0)])]), &options, &mappings);
        let mapping = &profile.mapping[0];
        let flags = [
            mapping.has_functions,
            mapping.has_filenames,
            mapping.has_line_numbers,
            mapping.has_inline_frames,
        ];
        assert_eq!(flags, [has_names, has_places, has_places, has_names]);
        assert_eq!((profile.location[0].mapping_id, profile.location[0].line.len()), (1, has_names.into()));
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

/// Makes stacks of 40 frames with nothing in common, each of which weighs less than the one before. Only the last one
/// leaks.
fn many_stacks(count: usize) -> Snapshot {
    let of = |number: usize| {
        let addresses: Vec<usize> = (0..40).map(|frame| 0x10_0000 + number * 64 + frame).collect();
        let alloc_bytes = (2 * count - number) as f64 * 1000.3;
        let inuse_bytes = if number + 1 == count { 77.7 } else { 0.0 };
        let totals = literal!(Totals { alloc_objects: 1.4, alloc_bytes, inuse_bytes, ..Totals::default() });
        stack(&addresses, vec![literal!(SizeTotals { size_class: 64, totals, ..SizeTotals::default() })])
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
        assert_eq!((profile.sample[0].value[3], profile.sample[0].label.len()), (78, usize::from(most > 1)));
    }
}

#[test]
fn the_message_keeps_within_its_bytes() {
    let snapshot = many_stacks(500);
    let profile = profile(&snapshot, &ProfileOptions::default(), &Mappings::default());
    let build = |bytes| message(&profile, limited(usize::MAX, bytes).limit);
    let whole = build(usize::MAX);
    assert_eq!(whole, build(whole.len()));
    let sums_of_whole = sums(&proto::Profile::decode(&whole[..]).unwrap());
    for bytes in [whole.len() - 1, whole.len() / 2, 10_000] {
        let message = build(bytes);
        assert!(message.len() <= bytes && message.len() + 3000 > bytes, "{} of {bytes}", message.len());
        let profile = proto::Profile::decode(&message[..]).unwrap();
        assert_eq!(sums(&profile), sums_of_whole);
        // Nothing is left of the samples that were taken back.
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
    let mut snapshot = snapshot(vec![stack(&[9], vec![size(u64::MAX, f64::NAN), size(0, f64::INFINITY)])]);
    snapshot.sampling_interval = u64::MAX;
    snapshot.taken_at = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let profile = build_with(&snapshot, &ProfileOptions::default(), &Mappings::default());
    assert_eq!((profile.period, profile.time_nanos), (i64::MAX, 1));
    assert!(in_use(&profile).contains(&i64::MAX) && in_use(&profile).contains(&0));
}

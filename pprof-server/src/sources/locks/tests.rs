use super::*;
use crate::profile::SizeLimit;
use crate::writers::pprof::{message, proto};
use prost::Message;

const OPTIONS: Options = Options { symbolize: Symbolize::None, has_labels: true, has_idle: false };

fn written(profile: &Profile) -> proto::Profile {
    proto::Profile::decode(&message(profile, SizeLimit::NONE)[..]).unwrap()
}

#[test]
fn waits_that_are_not_measured_are_a_valid_profile_with_nothing_in_it() {
    for (counted, name) in [(Counted::Block, "block"), (Counted::Mutex, "mutex")] {
        let measured =
            Measured { now: LockSamples::default(), before: None, tasks: FoundTaskWaits::default() };
        let written = written(&waits(counted, &measured, OPTIONS));
        let text = |index: i64| &written.string_table[index as usize][..];
        let types: Vec<_> =
            written.sample_type.iter().map(|of| (text(of.type_index), text(of.unit_index))).collect();
        assert_eq!(types, [("contentions", "count"), ("delay", "nanoseconds")]);
        assert!(written.sample.is_empty());
        assert!(written.comment_index.iter().any(|&note| text(note).starts_with(name)));
    }
}

/// What was there before is not in a difference, and a stack is told apart by what was waited on.
#[test]
fn a_difference_is_what_came_in_between() {
    let stack = |address: usize, word: LockWord, nanoseconds: f64, samples: u64| {
        let mut sums = LockSums::default();
        (sums.samples, sums.contentions, sums.nanoseconds) = (samples, samples as f64, nanoseconds);
        LockStack::new([alloc_profiler::CodeAddress::returning_to(address)].into(), word, sums)
    };
    let mut before = LockSamples::default();
    before.mutex = vec![stack(0x1000, LockWord::Mutex, 5.0, 1), stack(0x2000, LockWord::Mutex, 7.0, 2)];
    let mut now = LockSamples::default();
    now.was_on = true;
    now.mutex = vec![
        stack(0x1000, LockWord::Mutex, 9.0, 2),
        stack(0x1000, LockWord::One, 4.0, 1),
        stack(0x2000, LockWord::Mutex, 7.0, 2),
        stack(0x3000, LockWord::Parker, 100.0, 1),
    ];
    now.mutex_overflow.samples = 1;
    now.mutex_overflow.nanoseconds = 3.0;
    let measured =
        Measured { now, before: Some((before, Duration::from_secs(2))), tasks: FoundTaskWaits::default() };
    let profile = waits(Counted::Mutex, &measured, OPTIONS);
    let rows: Vec<(i64, usize)> = profile
        .rows
        .iter()
        .map(|row| (row.values[1].rounded(), profile.rows.labels(row.labels).len()))
        .collect();
    assert_eq!(rows, [(4, 0), (4, 1), (3, 0)]);
    assert_eq!((profile.totals[1].rounded(), profile.duration), (11, Some(Duration::from_secs(2))));
}

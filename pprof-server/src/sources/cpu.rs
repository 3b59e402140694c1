//! CPU time as a profile: what a capture found.
//!
//! Each row is a stack of the threads of one name. The two value types are Go's.
//!
//! Path: *read path*.

use super::losses::{Evidence, Extent, StackFacts, Weight, of_names, told};
use super::options::Options;
use super::plain_text::PlainText;
use crate::labels;
use crate::mappings::Mappings;
use crate::profile::{
    Amount, Estimate, Family, Frames, Label, LabelValue, Marker, Period, Profile, Rows, Stacks, Symbolize,
    Unit, ValueType, add,
};
use crate::symbols;
use alloc_profiler::StackTrace;
use capture::{CpuSamples, Stack};
use std::time::Duration;

/// The values of a row, in Go's order.
static TYPES: [ValueType; 2] = [
    ValueType { name: "samples", unit: Unit::Count, family: &BUSY },
    ValueType { name: "cpu", unit: Unit::Nanoseconds, family: &BUSY },
];

static BUSY: Family = Family {
    total: "CPU time",
    change: "CPU time",
    whole: "the CPU time",
    state: "busy",
    no_change: "no CPU time",
    events: "periods",
    samples: "signals",
    comes_and_goes: false,
};

/// Makes the profile of what a capture found. Nothing is left out at the leaf: an allocator that is busy is a finding.
///
/// Cost: it names the addresses, and takes some 100 ns for each stack.
pub(crate) fn profile(samples: CpuSamples, options: Options) -> Profile {
    let lost = [(Marker::LOST, samples.lost_periods), (Marker::OVERFLOW, samples.overflow_periods)];
    let markers = lost.map(|(marker, _)| marker);
    let (traces, found) = apart(&samples.stacks);
    let stacks = Stacks::of(traces.iter(), &markers, Mappings::of_process(), options.symbolize);
    let values = |periods: u64, signals: u64| values(samples.period, periods, signals);
    let mut rows = Rows::new(TYPES.len(), found.len());
    let mut totals = values(0, 0);
    let mut push = |stack: usize, of_stack: Option<&Stack>, values: [Estimate; 2]| {
        let labelled = of_stack.filter(|_| options.has_labels);
        let labels = rows.labels_id(labelled.map(labels_of).unwrap_or_default());
        rows.push(stack, labels, &values, []);
        add(&mut totals, &values);
    };
    for (stack, of_stack) in &found {
        push(*stack, Some(of_stack), values(of_stack.periods, of_stack.signals));
    }
    for (index, (_, periods)) in lost.into_iter().enumerate().filter(|(_, (_, periods))| *periods > 0) {
        push(traces.len() + index, None, values(periods, 0));
    }
    let notes = notes(&samples, totals, &traces, &found, &stacks);
    Profile {
        name: "profile",
        types: &TYPES,
        shown_type: 1,
        default_type: None,
        period: Period {
            name: "cpu",
            unit: Unit::Nanoseconds,
            value: nanoseconds(samples.period),
            field: "period",
        },
        time: samples.taken_at,
        duration: Some(samples.duration),
        frames: Frames::All,
        own_bytes: 0,
        legacy: PlainText::of,
        rows,
        is_known: true,
        totals: totals.to_vec(),
        notes,
        stacks,
    }
}

/// The name of the thread, and what it worked for.
fn labels_of(stack: &Stack) -> Vec<Label> {
    let name = Some(&stack.thread).filter(|name| !name.is_empty());
    let name = name.map(|name| Label { key: Label::THREAD, value: LabelValue::Text((&**name).into()) });
    name.into_iter().chain(labels::of_number(stack.label)).collect()
}

/// Looks up the names of all stacks that a capture has so far, so that they are known when it ends.
pub(crate) fn name_addresses(traces: &[StackTrace], symbolize: Symbolize) {
    drop(Stacks::of(traces.iter(), &[], Mappings::of_process(), symbolize));
}

/// Returns each stack once, and what was sampled, with the index of its stack. The rows of one stack follow one another.
fn apart(stacks: &[Stack]) -> (Vec<StackTrace>, Vec<(usize, &Stack)>) {
    let mut by_stack: Vec<&Stack> = stacks.iter().collect();
    let key = |stack: &&Stack| (stack.frames.clone(), stack.is_truncated, stack.thread.clone(), stack.label);
    by_stack.sort_by_cached_key(key);
    let mut traces: Vec<StackTrace> = Vec::new();
    let found = by_stack.into_iter().map(|stack| {
        let is_last =
            |last: &StackTrace| last.frames == stack.frames && last.is_truncated == stack.is_truncated;
        if !traces.last().is_some_and(is_last) {
            traces.push(StackTrace::new(stack.frames.clone(), stack.is_truncated));
        }
        (traces.len() - 1, stack)
    });
    let found = found.collect();
    (traces, found)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The values of what was sampled. Samples of a thread are a period apart, whatever it does, so how many fall on a stack is
/// counted as if it were by chance: the error is the root of the number.
fn values(period: Duration, periods: u64, signals: u64) -> [Estimate; 2] {
    let (count, nanoseconds) = (periods as f64, nanoseconds(period) as f64);
    let samples = i64::try_from(signals).unwrap_or(i64::MAX);
    let of = |unit: f64| Estimate { value: count * unit, samples, variance: count * unit * unit };
    [of(1.0), of(nanoseconds)]
}

/// What there is to say of the profile, a line each.
fn notes(
    samples: &CpuSamples,
    totals: [Estimate; 2],
    traces: &[StackTrace],
    found: &[(usize, &Stack)],
    stacks: &Stacks,
) -> Vec<String> {
    let mut notes = vec![format!(
        "cpu: {} of CPU time in {}, from {} signals, one for each {} of a thread's CPU time",
        Amount(totals[1].value, Unit::Nanoseconds),
        time(samples.duration),
        totals[0].samples,
        time(samples.period)
    )];
    notes.extend(losses_of_capture(samples));
    notes.extend(labels::notes());
    notes.push(format!("threads of the profiler's own used {}, and are left out", time(samples.own_time)));
    notes.extend(losses_of_names(traces, found, stacks));
    notes
}

/// What a capture lacks, a line each.
pub(super) fn losses_of_capture(samples: &CpuSamples) -> Vec<String> {
    let mut notes = Vec::new();
    let periods = |count: u64| time(samples.period.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)));
    if samples.lost_periods > 0 {
        notes.push(format!(
            "the stacks of {} of CPU time are lost, which stands under [lost samples]: the profiler's thread came too late to \
             take them over; ask for fewer samples (hz=100), or give the program's machine less to do",
            periods(samples.lost_periods)
        ));
    }
    if samples.overflow_periods > 0 {
        notes.push(format!(
            "the stacks of {} of CPU time stand under [profiler overflow], because there were more than 32768 different ones: \
             ask for a shorter time",
            periods(samples.overflow_periods)
        ));
    }
    if samples.leaf_only > 0 {
        notes.push(format!(
            "{} samples have no callers, because more than 64 threads were sampled at the same moment",
            samples.leaf_only
        ));
    }
    if samples.untimed_threads > 0 {
        notes.push(format!(
            "{} threads could have no timer of their own, and were sampled by one of the process, which is less fair: raise the \
             limit on pending signals (ulimit -i), unless there are more than 4096 threads",
            samples.untimed_threads
        ));
    }
    notes
}

fn time(time: Duration) -> String {
    Amount(nanoseconds(time) as f64, Unit::Nanoseconds).to_string()
}

/// Returns each stack with its index.
pub(super) fn with_indices(stacks: &[Stack]) -> Vec<(usize, &Stack)> {
    stacks.iter().enumerate().collect()
}

/// What stacks and names lack.
pub(super) fn losses_of_names(
    traces: &[StackTrace],
    found: &[(usize, &Stack)],
    stacks: &Stacks,
) -> Vec<String> {
    let mut evidence = Evidence::default();
    let named = stacks.gaps().map(|gaps| (stacks, gaps));
    for &(index, stack) in found {
        let weight =
            Weight { value: stack.periods as f64, samples: i64::try_from(stack.signals).unwrap_or(i64::MAX) };
        let mut extent = Extent::default();
        extent.add_row([weight, Weight::default()]);
        evidence.add_stack(index, &traces[index], extent, named);
    }
    let facts = StackFacts {
        stacks: Some(stacks),
        evidence,
        symbols: symbols::of_program(),
        wholes: [BUSY.whole, BUSY.whole],
    };
    let losses = told(of_names::ALL.iter().map(|(reason, tell)| (*reason, tell(&facts))));
    losses.into_iter().map(|loss| loss.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::SizeLimit;
    use crate::writers::pprof::message;
    use crate::writers::pprof::proto;
    use prost::Message;

    fn stack(addresses: &[usize], thread: &str, periods: u64) -> Stack {
        let leaf = alloc_profiler::CodeAddress::of_instruction(addresses[0]);
        let callers =
            addresses[1..].iter().map(|&address| alloc_profiler::CodeAddress::returning_to(address));
        capture::Stack::new(std::iter::once(leaf).chain(callers).collect(), thread, periods)
    }

    fn samples() -> CpuSamples {
        let mut samples = CpuSamples::default();
        samples.period = Duration::from_millis(10);
        samples.duration = Duration::from_secs(2);
        samples.lost_periods = 3;
        samples.stacks =
            vec![stack(&[0x1000, 0x2001], "a", 5), stack(&[0x3000], "", 1), stack(&[0x1000, 0x2001], "b", 7)];
        samples
    }

    fn written(has_labels: bool) -> proto::Profile {
        let profile = profile(samples(), Options { symbolize: Symbolize::None, has_labels });
        proto::Profile::decode(&message(&profile, SizeLimit::NONE)[..]).unwrap()
    }

    fn text(profile: &proto::Profile, index: i64) -> &str {
        &profile.string_table[index as usize]
    }

    #[test]
    fn the_profile_is_go_s() {
        let profile = written(true);
        let types: Vec<_> = profile
            .sample_type
            .iter()
            .map(|of| (text(&profile, of.type_index), text(&profile, of.unit_index)))
            .collect();
        assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds")]);
        let of = profile.period_type.as_ref().unwrap();
        assert_eq!(
            (text(&profile, of.type_index), text(&profile, of.unit_index), profile.period),
            ("cpu", "nanoseconds", 10_000_000)
        );
        assert_eq!(profile.duration_nanos, 2_000_000_000);
        let mut found: Vec<_> = profile
            .sample
            .iter()
            .map(|sample| {
                let addresses: Vec<u64> = sample
                    .location_id
                    .iter()
                    .map(|id| profile.location.iter().find(|location| location.id == *id).unwrap().address)
                    .collect();
                let label = sample
                    .label
                    .first()
                    .map(|label| (text(&profile, label.key_index), text(&profile, label.str_index)));
                (addresses, label, sample.value.clone())
            })
            .collect();
        found.sort();
        let row = |addresses: &[u64], label, periods: i64| {
            (addresses.to_vec(), label, vec![periods, periods * 10_000_000])
        };
        // The leaf is the interrupted instruction itself, and callers are calls.
        assert_eq!(
            found,
            [
                row(&[5], None, 3),
                row(&[0x1000, 0x2000], Some(("thread", "a")), 5),
                row(&[0x1000, 0x2000], Some(("thread", "b")), 7),
                row(&[0x3000], None, 1),
            ]
        );
        assert!(profile.comment_index.iter().any(|&note| text(&profile, note).contains("[lost samples]")));
    }

    #[test]
    fn without_threads_rows_of_one_stack_are_one() {
        let profile = written(false);
        let mut values: Vec<_> =
            profile.sample.iter().map(|sample| (sample.value[0], sample.label.len())).collect();
        values.sort_unstable();
        assert_eq!(values, [(1, 0), (3, 0), (12, 0)]);
    }
}

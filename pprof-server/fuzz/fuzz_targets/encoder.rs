//! Snapshots that the fuzzer thinks up, as profiles: each keeps every rule of its readers, and totals that add up.
//!
//! Nearly all of the time goes into reading the process's mappings and into names, which need debug information: so most
//! inputs go without names, and to one encoder each.
#![cfg_attr(feature = "libfuzzer", no_main)]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use alloc_profiler::internal::literal;
use alloc_profiler::{CodeAddress, SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
use arbitrary::{Arbitrary, Unstructured};
use pprof_server::{Frames, Labels, ProfileKind, ProfileOptions, SizeLimit, Symbolize};

/// A value from the fuzzer; of a snapshot only, nothing is negative.
fn totals(bytes: &mut Unstructured<'_>, is_difference: bool) -> arbitrary::Result<Totals> {
    let alloc_objects = f64::from(u32::arbitrary(bytes)?);
    let inuse_objects = f64::from(i32::arbitrary(bytes)?);
    let inuse_objects = if is_difference { inuse_objects } else { inuse_objects.abs().min(alloc_objects) };
    let size = f64::from(u16::arbitrary(bytes)?);
    Ok(literal!(Totals {
        alloc_objects,
        alloc_bytes: alloc_objects * size,
        alloc_samples: alloc_objects as i64,
        inuse_objects,
        inuse_bytes: inuse_objects * size,
        inuse_samples: inuse_objects as i64,
        alloc_bytes_variance: f64::from(u32::arbitrary(bytes)?),
        inuse_bytes_variance: f64::from(u32::arbitrary(bytes)?),
        ..Totals::default()
    }))
}

fn sizes(bytes: &mut Unstructured<'_>, is_difference: bool) -> arbitrary::Result<Vec<SizeTotals>> {
    let mut classes: Vec<u8> = Vec::arbitrary(bytes)?;
    classes.sort_unstable();
    classes.dedup();
    let size = |class| {
        Ok(literal!(SizeTotals {
            // Nobody allocates 0 bytes.
            size_class: u64::from(class) + 1,
            totals: totals(bytes, is_difference)?,
            ..SizeTotals::default()
        }))
    };
    classes.into_iter().map(size).collect()
}

/// Of a program that has no profiler.
static EMPTY: LazyLock<Snapshot> = LazyLock::new(alloc_profiler::snapshot);

fn snapshot(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Snapshot> {
    let duration = Option::<u32>::arbitrary(bytes)?.map(|millis| Duration::from_millis(millis.into()));
    let mut stacks: Vec<StackTotals> = Vec::new();
    while stacks.len() < 32 && bool::arbitrary(bytes)? {
        let words: Vec<usize> = Vec::arbitrary(bytes)?;
        let frames: Vec<CodeAddress> = words.into_iter().map(CodeAddress::from_bits).collect();
        let trace = StackTrace::new(frames, bool::arbitrary(bytes)?);
        if !stacks.iter().any(|stack| stack.trace == trace) {
            stacks.push(literal!(StackTotals {
                id: stacks.len() as u32,
                trace,
                by_size: sizes(bytes, duration.is_some())?,
                ..StackTotals::default()
            }));
        }
    }
    Ok(literal!(Snapshot {
        taken_at: UNIX_EPOCH + Duration::from_nanos(u64::arbitrary(bytes)?),
        duration,
        sampling_interval: u64::arbitrary(bytes)?,
        stacks,
        overflow: sizes(bytes, duration.is_some())?,
        ..EMPTY.clone()
    }))
}

fn encode(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let (Ok(choice), Ok(snapshot)) = (u8::arbitrary(&mut bytes), snapshot(&mut bytes)) else { return };
    let pick = |bit: u8| choice >> bit & 1 == 1;
    let options = ProfileOptions::default()
        .with_kind(if pick(0) { ProfileKind::Allocs } else { ProfileKind::Heap })
        .with_symbolize(match choice >> 4 {
            1 => Symbolize::Names,
            2 => Symbolize::Full,
            _ => Symbolize::None,
        })
        .with_frames(if pick(1) { Frames::All } else { Frames::UserFirst })
        .with_labels(if pick(2) { Labels::None } else { Labels::Size })
        .with_limit(if pick(3) { SizeLimit::default().with_samples(3) } else { SizeLimit::default() });
    match choice >> 4 {
        3 => drop(pprof_server::heap_folded(&snapshot, &options)),
        4 => drop(pprof_server::top_json(&snapshot, &options, 10)),
        _ => {
            let profile = workspace_tests::scraper_rules(&pprof_server::heap_profile(&snapshot, &options));
            let allocated: i64 = profile.sample.iter().map(|sample| sample.value[0]).sum();
            assert_eq!(allocated as f64, snapshot.totals().alloc_objects, "whole numbers add up");
        }
    }
}

pprof_server_fuzz::target!("encoder", encode);

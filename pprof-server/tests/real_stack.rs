//! A stack captured in this very process, encoded, and read back by Go.

use alloc_profiler::internal::literal;
use alloc_profiler::{Dropped, OwnMemory, SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
use pprof_server::{Frames, ProfileKind, ProfileOptions, Symbolize, heap_profile, heap_text, top_table};
use std::time::{Duration, Instant, SystemTime};
use workspace_tests::{check_valid, go_tool_pprof, scraper_rules};

mod leak {
    /// Inlined into its caller: debug information must tell the two apart.
    #[inline(always)]
    pub(crate) fn remember(depth: u32) -> Vec<usize> {
        let backtrace = backtrace::Backtrace::new_unresolved();
        // Used after the call, so that no tail call takes our frame away.
        std::hint::black_box(depth);
        backtrace.frames().iter().map(|frame| frame.ip() as usize).collect()
    }

    #[inline(never)]
    pub(crate) fn handle_connection(depth: u32) -> Vec<usize> {
        let stack = remember(depth);
        std::hint::black_box(depth);
        stack
    }

    /// A stack whose leaf is in the standard library, as that of every allocation of a collection is.
    #[inline(never)]
    pub(crate) fn fill_buffer() -> Vec<usize> {
        let mut stack = Vec::new();
        // Compiled into the standard library, so no optimisation makes it part of us.
        std::sync::Once::new().call_once(|| stack = remember(1));
        // Without the closure, which is ours, and what of the unwinder's own is on top of it.
        let is_of_once = |&address: &usize| {
            let mut is_of_once = false;
            backtrace::resolve(address as *mut _, |symbol| {
                // The two manglings spell it `std::sync::once::Once::call_once` and `<std::sync::once::Once>::call_once`.
                let name = symbol.name().map(|name| name.to_string().replace('>', ""));
                is_of_once |= name.is_some_and(|name| name.contains("::Once::call"));
            });
            is_of_once
        };
        let leaf = stack.iter().rposition(is_of_once).expect("the standard library calls us");
        stack.split_off(leaf)
    }
}

fn totals(samples: i64, size: u64, interval: u64) -> Totals {
    let weight = if interval <= 1 { 1.0 } else { 1.0 / (1.0 - (-(size as f64) / interval as f64).exp()) };
    let objects = samples as f64 * weight;
    literal!(Totals {
        alloc_objects: 2.0 * objects,
        alloc_bytes: 2.0 * objects * size as f64,
        alloc_samples: 2 * samples,
        inuse_objects: objects,
        inuse_bytes: objects * size as f64,
        inuse_samples: samples,
        alloc_objects_variance: 2.0 * objects * (weight - 1.0),
        alloc_bytes_variance: 2.0 * objects * (weight - 1.0) * (size * size) as f64,
        inuse_objects_variance: objects * (weight - 1.0),
        inuse_bytes_variance: objects * (weight - 1.0) * (size * size) as f64,
        ..Totals::default()
    })
}

fn stack(return_addresses: Vec<usize>, sizes: &[(u64, i64)], interval: u64) -> StackTotals {
    let by_size = sizes
        .iter()
        .map(|&(size, samples)| {
            literal!(SizeTotals {
                size_class: size,
                totals: totals(samples, size, interval),
                ..SizeTotals::default()
            })
        })
        .collect();
    literal!(StackTotals {
        trace: StackTrace::of_return_addresses(return_addresses),
        by_size,
        ..StackTotals::default()
    })
}

/// Makes a snapshot with a leaking connection handler of two sizes, garbage, a stack that cannot be read, a truncated one,
/// and overflow.
fn snapshot(interval: u64) -> Snapshot {
    let mut truncated = stack(leak::handle_connection(3), &[(96, 2)], interval);
    truncated.trace.is_truncated = true;
    let taken_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    literal!(Snapshot {
        number: 1,
        sampling_interval: interval,
        stacks: vec![
            stack(leak::handle_connection(1), &[(1024, 500), (65536, 20)], interval),
            stack(vec![0, 1, 7, 0x1000, usize::MAX], &[(64, 1)], interval),
            stack(Vec::new(), &[(32, 3)], interval),
            truncated,
            stack(vec![0x5000], &[(16, 0)], interval),
        ],
        overflow: vec![literal!(SizeTotals {
            size_class: 128,
            totals: totals(4, 128, interval),
            ..SizeTotals::default()
        })],
        dropped: literal!(Dropped { stacks_full: 8, truncated_stacks: 2, ..Dropped::default() }),
        own_memory: literal!(OwnMemory {
            mapped_bytes: 4 << 20,
            limit_bytes: 64 << 20,
            stacks: 5,
            live_samples: 530,
            ..OwnMemory::default()
        }),
        ..Snapshot::empty(taken_at, Instant::now())
    })
}

#[test]
fn go_and_the_scrapers_accept_every_variant() {
    let now = snapshot(512 * 1024);
    let mut before = now.clone();
    before.stacks.remove(1);
    before.stacks[0].by_size[0].totals.inuse_bytes *= 2.0;
    before.taken_at -= Duration::from_secs(30);
    for snapshot in [&now, &now.since(&before), &now.since(&now), &snapshot(1)] {
        for kind in [ProfileKind::Heap, ProfileKind::Allocs] {
            for symbolize in [Symbolize::Full, Symbolize::None] {
                for frames in [Frames::UserFirst, Frames::All] {
                    let profile = heap_profile(
                        snapshot,
                        &ProfileOptions::default()
                            .with_kind(kind)
                            .with_symbolize(symbolize)
                            .with_frames(frames),
                    );
                    scraper_rules(&profile);
                    let said = check_valid(&profile);
                    assert_eq!(said.contains("default=alloc_space"), kind == ProfileKind::Allocs, "{said}");
                    assert_eq!(said.contains("duration=0 "), snapshot.duration.is_none(), "{said}");
                }
            }
        }
    }
}

#[test]
fn equal_snapshots_make_equal_profiles() {
    let one = snapshot(512 * 1024);
    let mut other = one.clone();
    other.stacks.reverse();
    let options = ProfileOptions::default();
    assert!(heap_profile(&one, &options) == heap_profile(&other, &options));
}

#[test]
fn the_message_says_what_the_snapshot_holds() {
    let snapshot = snapshot(512 * 1024);
    let profile = scraper_rules(&heap_profile(&snapshot, &ProfileOptions::default()));
    let string = |index: i64| &profile.string_table[index as usize][..];
    assert_eq!(profile.time_nanos, 1_700_000_000_000_000_000);
    assert_eq!((profile.period, profile.duration_nanos), (524_288, 0));

    let program = &profile.mapping[0];
    assert_eq!(string(program.filename_index), std::env::current_exe().unwrap().to_str().unwrap());
    assert!(
        program.has_functions
            && program.has_filenames
            && program.has_line_numbers
            && program.has_inline_frames
    );
    // The program's, and those that some address is in.
    for mapping in &profile.mapping[1..] {
        assert!(profile.location.iter().any(|location| location.mapping_id == mapping.id), "{mapping:?}");
    }
    assert!(profile.mapping.iter().any(|mapping| string(mapping.filename_index).contains("/libc")));
    assert!(!profile.mapping.iter().any(|mapping| string(mapping.filename_index) == "[vdso]"));

    for marker in ["[profiler overflow]", "[unknown stack]", "[truncated]"] {
        assert!(profile.string_table.iter().any(|text| text == marker), "{marker}");
    }
    let comments: Vec<&str> = profile.comment_index.iter().map(|&index| string(index)).collect();
    // How sure it is, one for each loss, and what the profiler holds.
    assert_eq!(comments.len(), 6, "{comments:?}");
    for part in [
        "in use: ",
        "code that is in no file",
        "no stack could be taken for ",
        "2 samples (",
        "8 samples (",
        "profiler memory: ",
    ] {
        assert!(comments.iter().any(|comment| comment.starts_with(part)), "{part}: {comments:?}");
    }
    // All of it is there: allocated bytes are twice those in use.
    let sum = |index: usize| profile.sample.iter().map(|sample| sample.value[index]).sum::<i64>();
    assert!((sum(1) - 2 * sum(3)).abs() <= profile.sample.len() as i64);
    assert!((sum(3) as f64 - snapshot.totals().inuse_bytes).abs() <= profile.sample.len() as f64);
}

#[test]
fn the_heaviest_sample_comes_first_with_its_names() {
    let snapshot = snapshot(512 * 1024);
    let profile = scraper_rules(&heap_profile(&snapshot, &ProfileOptions::default()));
    let string = |index: i64| &profile.string_table[index as usize][..];
    // The heaviest sample comes first, and its first row is the user's.
    let heaviest = &profile.sample[0];
    assert_eq!((heaviest.label[0].num, string(heaviest.label[0].num_unit_index)), (1024, "bytes"));
    let expected = snapshot.stacks[0].by_size[0].totals;
    assert_eq!(heaviest.value[2], expected.inuse_objects.round() as i64);
    assert_eq!(heaviest.value[3], expected.inuse_bytes.round() as i64);
    let leaf = &profile.location[heaviest.location_id[0] as usize - 1];
    let functions: Vec<_> =
        leaf.line.iter().map(|line| &profile.function[line.function_id as usize - 1]).collect();
    let names: Vec<&str> = functions.iter().map(|function| string(function.name_index)).collect();
    assert_eq!(names, ["real_stack::leak::remember", "real_stack::leak::handle_connection"]);
    assert!(
        functions.iter().all(|function| string(function.filename_index).ends_with("tests/real_stack.rs"))
    );
    assert!(functions.iter().all(|function| string(function.system_name_index).starts_with('_')));
    assert!(leaf.line.iter().all(|line| line.line > 0));
    let calls = snapshot.stacks[0].trace.frames.iter().map(|frame| frame.lookup() as u64);
    assert!(calls.into_iter().any(|address| address == leaf.address));
}

#[test]
fn plumbing_is_left_out_unless_asked_for() {
    let mut snapshot = snapshot(512 * 1024);
    snapshot.stacks = vec![stack(leak::fill_buffer(), &[(1024, 1)], 512 * 1024)];
    snapshot.overflow.clear();
    let leaf = |frames| {
        let table = top_table(&snapshot, &ProfileOptions::default().with_frames(frames));
        table.rows[0].frames[0].function.clone()
    };
    assert_eq!(leaf(Frames::UserFirst), "real_stack::leak::fill_buffer");
    assert!(leaf(Frames::All).starts_with("std::"), "{}", leaf(Frames::All));
}

#[test]
fn go_tool_pprof_shows_the_users_function_first() {
    let profile = heap_profile(&snapshot(512 * 1024), &ProfileOptions::default());
    let top = go_tool_pprof(&["-top"], &profile);
    assert!(top.contains("Type: inuse_space"), "{top}");
    assert!(top.contains("real_stack::leak::remember (inline)"), "{top}");
    assert!(!top.contains("Local symbolization failed"), "{top}");
    let first_row = top.lines().skip_while(|line| !line.contains("flat%")).nth(1).unwrap();
    assert!(first_row.contains("real_stack::leak::remember"), "{top}");

    let list = go_tool_pprof(&["-list", "leak::handle_connection"], &profile);
    assert!(list.contains("let stack = remember(depth);"), "{list}");

    let raw = go_tool_pprof(&["-raw"], &profile);
    assert!(raw.contains("bytes:[1024 bytes]") && raw.contains("[FN][FL][LN][IN]"), "{raw}");
}

#[test]
fn go_tool_pprof_names_bare_addresses_by_the_mappings() {
    let options = ProfileOptions::default().with_symbolize(Symbolize::None);
    let top = go_tool_pprof(&["-top"], &heap_profile(&snapshot(512 * 1024), &options));
    assert!(top.contains("handle_connection"), "{top}");
}

#[test]
fn go_tool_pprof_subtracts_a_base() {
    let now = snapshot(512 * 1024);
    let difference = heap_profile(&now.since(&now), &ProfileOptions::default());
    assert!(check_valid(&difference).contains("samples=0"));
    let top = go_tool_pprof(&["-top", "-sample_index=alloc_objects"], &difference);
    assert!(top.contains("0% of 0 total"), "{top}");
}

#[test]
fn go_reads_the_text_and_arrives_at_our_estimates() {
    for interval in [512 * 1024, 1] {
        let snapshot = snapshot(interval);
        let text = heap_text(&snapshot, &ProfileOptions::default());
        assert!(text.contains("\treal_stack::leak::remember"), "{text}");
        // Plumbing is left out of the addresses as well as of the names.
        let rows: Vec<&str> = text.lines().filter(|line| line.contains(" @ 0x")).collect();
        assert!(!rows.is_empty());
        for row in rows {
            let leaf = row.split(" @ 0x").nth(1).and_then(|addresses| addresses.split(' ').next()).unwrap();
            let named = format!("{row}\n#\t{:#x}\t", u64::from_str_radix(leaf, 16).unwrap() - 1);
            assert!(text.contains(&named), "{named} in {text}");
        }
        let said = check_valid(text.as_bytes());
        assert!(said.contains("types=alloc_objects/count,alloc_space/bytes,inuse_objects/count"), "{said}");
        assert!(said.contains(&format!("period={interval} ")) && said.contains("samples=7 "), "{said}");
        let totals = said.split_once("totals=[").unwrap().1.trim_end_matches(']');
        let totals: Vec<f64> = totals.split(' ').map(|number| number.parse().unwrap()).collect();
        let ours = snapshot.totals();
        for (go, ours) in
            totals.iter().zip([ours.alloc_objects, ours.alloc_bytes, ours.inuse_objects, ours.inuse_bytes])
        {
            // Go truncates each row.
            assert!((go - ours).abs() <= 8.0, "{said} {ours}");
        }
        // With the memory map at its end, Go names addresses of a position-independent program by itself.
        let top = go_tool_pprof(&["-top"], text.as_bytes());
        assert!(top.contains("handle_connection"), "{top}");
    }
}

#[test]
fn the_table_names_the_leak() {
    let table = top_table(&snapshot(512 * 1024), &ProfileOptions::default());
    assert_eq!(table.rows[0].frames[0].function, "real_stack::leak::remember");
    assert!(table.rows[0].frames[0].is_inlined);
    // One of the six has freed everything.
    assert_eq!((table.rows.len(), table.idle_stacks), (5, 1));
    let samples: i64 = table.rows.iter().map(|row| row.totals.inuse_samples).sum();
    assert_eq!(samples, 530);
    println!("{table}");
}

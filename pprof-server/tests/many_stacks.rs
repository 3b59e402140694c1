//! More stacks than scrapers take: the profile keeps within their limits, totals stay exact, and the leak stays in it.

use std::hint::black_box;

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::alloc_profiler::{Limits, set_limits, set_sampling_interval, snapshot};
use pprof_server::internal::proto::Profile;
use pprof_server::serve;
use prost::Message;
use workspace_tests::client::get;
use workspace_tests::{check_valid, decode, go_tool_pprof, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Each of its 2^14 paths is a stack.
const PATH_BITS: u32 = 14;
/// Frames that all stacks have in common, so that each takes some room.
const COMMON_FRAMES: u32 = 70;

#[inline(never)]
fn left(path: u32, bits: u32, size: usize) -> Vec<u8> {
    black_box(step(path, bits, size))
}

#[inline(never)]
fn right(path: u32, bits: u32, size: usize) -> Vec<u8> {
    black_box(step(path, bits, size))
}

#[inline(never)]
fn step(path: u32, bits: u32, size: usize) -> Vec<u8> {
    let block = match bits.checked_sub(1) {
        None => common(COMMON_FRAMES, size),
        Some(bits) if path & 1 == 0 => left(path >> 1, bits, size),
        Some(bits) => right(path >> 1, bits, size),
    };
    black_box(block)
}

#[inline(never)]
fn common(frames: u32, size: usize) -> Vec<u8> {
    let block = if frames > 0 { common(frames - 1, size) } else { vec![1; size] };
    black_box(block)
}

/// Less than a millionth of all that is allocated, and nearly all that is in use.
#[inline(never)]
fn leak() -> Vec<u8> {
    black_box(vec![1; 3000])
}

fn totals(profile: &Profile) -> [i64; 4] {
    [0, 1, 2, 3].map(|index| profile.sample.iter().map(|sample| sample.value[index]).sum())
}

#[test]
fn a_profile_keeps_within_what_scrapers_take() {
    set_sampling_interval(0);
    // What the harness allocated before may have been sampled, and would be the larger leak. Then another process tries.
    if snapshot().totals().inuse_objects > 0.0 {
        let again = workspace_tests::this_program().status().unwrap();
        return assert!(again.success(), "{again}");
    }
    set_limits(Limits::DEFAULT.with_memory_bytes(256 << 20));
    let server = serve("127.0.0.1:0").unwrap();
    let fetch = |query: &str| get(server.local_addr(), &format!("/debug/pprof/heap{query}")).body;
    // The server's threads have begun, and rest: on a busy machine, two that allocate at once may lose a sample.
    fetch("?debug=1");
    set_sampling_interval(1);
    let leaked = leak();
    // Two size classes on each path: two samples.
    for path in 0..1 << PATH_BITS {
        drop(step(path, PATH_BITS, 100_000 + 10 * path as usize % 100));
        drop(step(path, PATH_BITS, 200_000));
    }
    // From here on nothing changes but by frees, and there are none.
    set_sampling_interval(0);

    let whole = decode(&fetch("?limit=none"));
    assert!(whole.sample.len() > 2 << PATH_BITS && whole.encoded_len() > 4 << 20, "{}", whole.encoded_len());
    for (query, most) in [("", 16_000), ("?limit=1000000", 1_000_000), ("?limit=2", 2)] {
        let profile = fetch(query);
        check_valid(&profile);
        let decoded = if most > 16_000 { decode(&profile) } else { scraper_rules(&profile) };
        assert!(decoded.sample.len() <= most && decoded.encoded_len() <= 4 << 20, "{query}");
        // The room that there is, is used.
        assert!(decoded.sample.len() == most || decoded.encoded_len() > (4 << 20) - 2000, "{query}");
        assert_eq!(totals(&decoded), totals(&whole), "{query}");
        let top = go_tool_pprof(&["-top"], &profile);
        let row = top.lines().skip_while(|line| !line.contains("flat%")).nth(1).unwrap();
        assert!(row.ends_with("many_stacks::leak"), "{query}: {top}");
        let allocated = go_tool_pprof(&["-top", "-sample_index=alloc_space", "-nodefraction=0"], &profile);
        assert!(
            allocated.contains("[other]") && allocated.contains("samples merged under [other]"),
            "{allocated}"
        );
    }
    // The texts are bounded as well.
    let folded = fetch("?format=folded&sample_index=alloc_space");
    assert!(folded.len() < 33 << 20, "{}", folded.len());
    let lines = String::from_utf8(folded).unwrap();
    assert!(lines.lines().count() <= 16_000 && lines.lines().last().unwrap().starts_with("[other] "));
    let sum: i64 = lines.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap()).sum();
    assert_eq!(sum, totals(&whole)[1]);
    drop(leaked);
}

//! A14, C5: the program is in a sandbox, or the system has no memory or threads to spare.

use std::collections::TryReserveError;
use std::hint::black_box;
use std::{fs, ptr, thread};

use alloc_profiler::{Totals, set_sampling_interval, size_class, snapshot, unsampled};
use pprof_server::internal::proto::Profile;
use pprof_server::{Body, Handler, ProfileOptions, Symbolize, heap_profile};
use prost::Message;
use workspace_tests::client::get;
use workspace_tests::scraper_rules;

use crate::caps;
use crate::harness::{
    ADDRESS_SPACE_BYTES, assert_consistent, isolated, limit, limit_address_space, status_bytes,
};

fn is_root() -> bool {
    // SAFETY: the call asks for a number.
    unsafe { libc::geteuid() == 0 }
}

/// Allocates blocks of its own size and compares what the profile says.
fn assert_exact() {
    let before = snapshot();
    let kept: Vec<Vec<u8>> = black_box((0..1000).map(|_| vec![1; 300]).collect());
    let growth = snapshot().since(&before).totals();
    assert_eq!(growth.inuse_objects, 1001.0);
    drop(kept);
    assert_consistent(&snapshot());
}

/// Enters an empty folder, of which nobody gets out.
fn leave_proc_behind() {
    // The folder's name is gone already, since nobody could remove it from within.
    let empty = tempfile::tempdir().expect("a folder");
    std::env::set_current_dir(&empty).expect("it is there");
    empty.close().expect("it is empty");
    std::os::unix::fs::chroot(".").expect("root may");
    std::env::set_current_dir("/").expect("it is there");
    assert!(fs::metadata("/proc").is_err());
}

/// The search for holders needs more than what is open since the start.
#[test]
fn without_proc_a_search_of_memory_says_what_it_lacks() {
    isolated(1, || {
        if !is_root() {
            return println!("skipped: only root may leave /proc behind");
        }
        set_sampling_interval(1);
        let server = pprof_server::serve("127.0.0.1:0").expect("a free port");
        leave_proc_behind();
        let refused = get(server.local_addr(), "/debug/pprof/holders?top=1");
        assert_eq!(refused.status, 503, "{}", refused.text_lossy());
        let said = refused.text_lossy();
        assert!(
            said.contains("cannot be listed") && said.contains("allow reading /proc/self/task"),
            "{said}"
        );
        let empty = get(server.local_addr(), "/debug/pprof/goroutineleak?format=text");
        assert_eq!(empty.status, 200, "{}", empty.text_lossy());
        assert_exact();
    });
}

#[test]
fn nothing_of_proc_is_needed() {
    isolated(1, || {
        if !is_root() {
            return println!("skipped: only root may leave /proc behind");
        }
        leave_proc_behind();
        set_sampling_interval(1);
        assert_exact();
        thread::spawn(assert_exact).join().expect("no panic");
        let profile = pprof_server::heap_profile(&snapshot(), &pprof_server::ProfileOptions::default());
        assert!(!scraper_rules(&profile).sample.is_empty());
        // Of the process's descriptors, none was left open.
        // SAFETY: the call returns a new descriptor, which is closed.
        let next = unsafe { libc::dup(0) };
        assert!(next < 20, "descriptor {next}");
    });
}

#[test]
fn no_thread_can_be_had() {
    isolated(1, || {
        if is_root() {
            // SAFETY: the calls give up being root, whom limits do not concern.
            unsafe {
                assert_eq!(libc::setgroups(0, ptr::null()), 0);
                assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
            }
        }
        limit(libc::RLIMIT_NPROC, 0);
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "there are threads");
        set_sampling_interval(1);
        let error = pprof_server::serve("127.0.0.1:0").expect_err("no thread to serve from");
        println!("{error}");
        assert_exact();
    });
}

/// Adds blocks until there is no more memory, which is an error, or until `blocks` is full.
fn fill(blocks: &mut Vec<Vec<u8>>) -> Result<(), TryReserveError> {
    while blocks.len() < blocks.capacity() {
        let mut block = Vec::new();
        block.try_reserve_exact(4000)?;
        block.push(1_u8);
        blocks.push(black_box(block));
    }
    Ok(())
}

/// Returns so many small blocks, which are not sampled. musl's allocator gives the room of a freed block to blocks of that size alone, as long
/// as others beside it are in use, so there every second one of these makes room. glibc's makes room of what it has.
fn spare_blocks(count: usize) -> Vec<Option<Box<[u8; 40]>>> {
    if cfg!(not(target_env = "musl")) {
        return Vec::new();
    }
    unsampled(|| {
        // The paths that are walked allocate and free one block of another size.
        drop((Box::new([0_u8; 24]), Box::new([0_u8; 24])));
        (0..count).map(|_| Some(Box::new([0; 40]))).collect()
    })
}

#[test]
fn memory_may_run_out() {
    isolated(1, || {
        const ROOM: u64 = 48 << 20;
        // They are so many that each shard's table must grow by whole pages, which nobody has.
        const SMALL_BLOCKS: usize = 100_000;
        type Small = [u8; 40];
        let mut filled = Vec::new();
        for interval in [0, 1, 4096] {
            set_sampling_interval(interval);
            let before = snapshot();
            let mut blocks = Vec::with_capacity(100_000);
            let mut small: Vec<Box<Small>> = Vec::with_capacity(SMALL_BLOCKS);
            let mut spare = spare_blocks(2 * SMALL_BLOCKS);
            limit_address_space(status_bytes("VmSize") + ROOM);
            let result = fill(&mut blocks);
            filled.push(blocks.len());
            // This makes room for the program's next blocks, and none for what the profiler would keep of them and of
            // their stacks. Only first blocks are freed: the C library got the last ones from the system one by one,
            // and gives them back.
            let (mut nth, bound) = (0.., blocks.len() / 4);
            blocks.retain(|_| nth.next().is_some_and(|n: usize| n >= bound || n.is_multiple_of(2)));
            spare.iter_mut().step_by(2).for_each(|block| drop(block.take()));
            caps::walk_paths(12, || drop(std::hint::black_box(vec![0_u8; 24])));
            small.extend((0..SMALL_BLOCKS).map(|n| black_box(Box::new([n as u8; _]))));
            limit_address_space(ADDRESS_SPACE_BYTES);
            assert!(result.is_err(), "memory did not run out");
            let wrong = small.iter().zip(0..).find(|(block, n)| ***block != [*n as u8; _]);
            assert_eq!(wrong, None, "somebody else's bytes");
            assert!(blocks.iter().all(|block| block[..] == [1]), "somebody else's bytes");
            let growth = snapshot().since(&before);
            if interval == 1 {
                assert!(growth.dropped.stacks_full > 0, "memory did not run out for stacks");
                assert!(growth.dropped.live_full > 0, "our tables grew, or did not have to");
                // What has no record was counted all the same.
                let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size).chain(&growth.overflow);
                let mut totals = Totals::default();
                let class = size_class(size_of::<Small>());
                sizes.filter(|size| size.size_class == class).for_each(|size| totals += size.totals);
                let counted = totals.alloc_objects as usize;
                assert!((SMALL_BLOCKS..SMALL_BLOCKS + 100).contains(&counted), "{totals:?}");
                let missing = totals.alloc_objects - totals.inuse_objects;
                assert!(
                    missing <= growth.dropped.live_full as f64 + 100.0,
                    "{totals:?} {:?}",
                    growth.dropped
                );
            }
            drop((blocks, small, spare));
            assert_consistent(&snapshot());
            assert_exact_if(interval);
        }
        // The profiler has taken little of the room, and the program noticed nothing else.
        assert!(filled[1] * 10 >= filled[0] * 8, "{filled:?} blocks");
    });
}

#[test]
fn a_profile_is_packed_where_there_is_memory_for_that() {
    isolated(1, || {
        let options = ProfileOptions::default().with_symbolize(Symbolize::None);
        let handler = Handler::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let status = || {
            let request = http::Request::get("/debug/pprof/heap?symbolize=none").header("host", "localhost");
            let request = request.body(Body::default()).expect("a request");
            runtime.block_on(handler.respond(request)).status().as_u16()
        };
        set_sampling_interval(1);
        let kept = black_box(vec![1_u8; 300]);
        let taken = snapshot();
        set_sampling_interval(0);
        let whole = heap_profile(&taken, &options);
        let before = status();
        let mut blocks = Vec::with_capacity(100_000);
        limit_address_space(status_bytes("VmSize") + (1 << 20));
        let filled = fill(&mut blocks);
        // The message and an answer need tens of KiB, and find 256. The compressor needs more, and finds nothing.
        // Of musl's allocator the program gets fewer blocks.
        let first = if cfg!(target_env = "musl") { blocks.len() / 2 } else { 1000 };
        drop(blocks.drain(first..first + 64));
        let plain = heap_profile(&taken, &options);
        let meanwhile = status();
        limit_address_space(ADDRESS_SPACE_BYTES);
        assert!(filled.is_err(), "memory did not run out");
        let read = scraper_rules(&whole);
        assert!(!plain.starts_with(&[0x1f, 0x8b]), "there was memory for the compressor");
        assert_eq!(Profile::decode(&plain[..]).expect("a message").sample, read.sample);
        assert_eq!((before, meanwhile, status()), (200, 503, 200));
        drop((blocks, kept));
    });
}

fn assert_exact_if(interval: u64) {
    if interval == 1 {
        assert_exact();
    }
}

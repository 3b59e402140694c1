//! A14, C5: sandboxes, and systems without memory or threads to spare.

use std::collections::TryReserveError;
use std::hint::black_box;
use std::{fs, ptr, thread};

use alloc_profiler::{set_sampling_interval, snapshot};
use workspace_tests::scraper_rules;

use crate::caps;
use crate::harness::{assert_consistent, isolated, limit, status_bytes};

fn is_root() -> bool {
    // SAFETY: asks for a number.
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

#[test]
fn nothing_of_proc_is_needed() {
    isolated(1, || {
        if !is_root() {
            return println!("skipped: only root may leave /proc behind");
        }
        let empty = std::env::temp_dir().join(format!("hazards-empty-{}", std::process::id()));
        fs::create_dir(&empty).expect("a folder");
        std::os::unix::fs::chroot(&empty).expect("root may");
        std::env::set_current_dir("/").expect("it is there");
        assert!(fs::metadata("/proc").is_err());

        set_sampling_interval(1);
        assert_exact();
        thread::spawn(assert_exact).join().expect("no panic");
        let profile = pprof_server::heap_profile(&snapshot(), &pprof_server::ProfileOptions::default());
        assert!(!scraper_rules(&profile).sample.is_empty());
        // Descriptors of the process: none was left open.
        // SAFETY: asks for a descriptor, and closes it.
        let next = unsafe { libc::dup(0) };
        assert!(next < 20, "descriptor {next}");
        fs::remove_dir("/").expect_err("cannot be removed from within");
    });
}

#[test]
fn no_thread_can_be_had() {
    isolated(1, || {
        if is_root() {
            // SAFETY: gives up being root, whom limits do not concern.
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

/// Allocates until there is no more, and tells how often that could be done.
fn fill(blocks: &mut Vec<Vec<u8>>) -> Result<(), TryReserveError> {
    while blocks.len() < blocks.capacity() {
        let mut block = Vec::new();
        block.try_reserve_exact(4000)?;
        block.push(1_u8);
        blocks.push(black_box(block));
    }
    Ok(())
}

#[test]
fn memory_may_run_out() {
    isolated(1, || {
        const ROOM: u64 = 48 << 20;
        let mut filled = Vec::new();
        for interval in [0, 1, 4096] {
            set_sampling_interval(interval);
            let mut blocks = Vec::with_capacity(100_000);
            // A soft limit, so that it can be raised again.
            let set = |bytes: u64| {
                let limits = libc::rlimit { rlim_cur: bytes, rlim_max: 16 << 30 };
                // SAFETY: reads the limits.
                assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limits) }, 0);
            };
            set(status_bytes("VmSize") + ROOM);
            let result = fill(&mut blocks);
            // Room for the program's next blocks, and none for what the profiler would keep of their stacks.
            blocks.pop();
            caps::walk_paths(12);
            set(16 << 30);
            assert!(result.is_err(), "memory did not run out");
            filled.push(blocks.len());
            drop(blocks);
            assert_consistent(&snapshot());
            assert_eq!(snapshot().dropped.stacks_full > 0, interval != 0, "memory did not run out for us");
            assert_exact_if(interval);
        }
        // What the profiler has taken of the room is little, and the program noticed nothing else.
        assert!(filled[1] * 10 >= filled[0] * 8, "{filled:?} blocks");
    });
}

fn assert_exact_if(interval: u64) {
    if interval == 1 {
        assert_exact();
    }
}

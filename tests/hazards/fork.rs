//! A4: children of `fork`, which is called while the parent's other threads may be anywhere.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{io, thread};

use alloc_profiler::{set_sampling_interval, snapshot, testing};

use crate::harness::{assert_consistent, isolated, pick};

/// Runs `body` in a child of `fork`, which must end within 20 seconds and without a panic.
fn in_child(body: impl FnOnce()) {
    // SAFETY: the test asks what may be done in the child. The child never returns from here.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", io::Error::last_os_error());
    if child == 0 {
        let is_well = catch_unwind(AssertUnwindSafe(body)).is_ok();
        // SAFETY: the call ends the process at once.
        unsafe { libc::_exit(i32::from(!is_well)) }
    }
    // What the child was given is not dropped: a lock may be held that its free would wait for.
    std::mem::forget(body);
    assert_ends_well(child);
}

/// Waits for the child, which must end within 20 seconds and without a failure.
fn assert_ends_well(child: libc::pid_t) {
    let start = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: the call fills the status in.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return assert_eq!(status, 0, "how the child ended");
        }
        if start.elapsed() > Duration::from_secs(20) {
            // SAFETY: the process is our own child, which was not waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the child hangs");
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// Runs `body` while another thread holds every lock.
fn while_others_hold_the_locks(body: impl FnOnce()) {
    let [is_held, is_over] = [Barrier::new(2), Barrier::new(2)];
    thread::scope(|scope| {
        scope.spawn(|| {
            testing::with_locks_held(|| {
                is_held.wait();
                is_over.wait();
            });
        });
        is_held.wait();
        body();
        is_over.wait();
    });
}

/// Runs `body` while three threads allocate and free.
fn while_others_allocate(body: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                for n in 0_usize.. {
                    if is_over.load(Relaxed) {
                        break;
                    }
                    kept.push(black_box(vec![1; n % 900 + 1]));
                    if kept.len() > 500 {
                        kept.clear();
                    }
                }
            });
        }
        body();
        is_over.store(true, Relaxed);
    });
}

fn mixed_operations(count: usize) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(count);
    for n in 0..count {
        let mut block = vec![0; n % 300 + 1];
        block.extend_from_slice(&[1; 100]);
        kept.push(black_box(block));
    }
    kept
}

/// Checks what a child may rely on: nothing hangs, and the profile is its own.
fn profile_oneself(of_parent: Vec<Vec<u8>>) {
    let start = Instant::now();
    let first = snapshot();
    assert!(start.elapsed() < Duration::from_millis(900), "a lock was waited for: {:?}", start.elapsed());
    let totals = first.totals();
    assert!(totals.alloc_objects < 100.0 && totals.inuse_objects < 100.0, "not one's own: {totals:?}");
    assert_eq!(first.dropped, alloc_profiler::Dropped::default());
    assert!(first.own_memory.mapped_bytes < 1 << 20, "{:?}", first.own_memory);

    drop(of_parent);
    let before = snapshot();
    let kept = mixed_operations(1000);
    let growth = snapshot().since(&before).totals();
    assert_eq!(growth.inuse_objects, 1001.0, "a thousand blocks and what holds them");
    drop(kept);
    let after = snapshot();
    assert_eq!(after.since(&before).totals().inuse_objects, 0.0);
    let thread = thread::spawn(|| drop(mixed_operations(100)));
    thread.join().expect("no panic");
    assert_consistent(&snapshot());
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
}

#[test]
fn children_begin_anew() {
    isolated(pick(2, 20), || {
        set_sampling_interval(1);
        let kept = mixed_operations(3000);
        assert!(snapshot().totals().inuse_objects > 3000.0);
        let given = kept.clone();
        while_others_hold_the_locks(|| in_child(|| profile_oneself(given)));
        // Children of children begin anew, too.
        while_others_hold_the_locks(|| {
            in_child(|| while_others_hold_the_locks(|| in_child(|| profile_oneself(Vec::new()))));
        });
        assert!(snapshot().totals().inuse_objects > 3000.0, "the parent goes on");
    });
}

/// The fork is at one place of one loop, where every stack is known by then.
#[test]
fn children_go_on_where_their_parent_was() {
    isolated(1, || {
        set_sampling_interval(1);
        let mut kept: Vec<Vec<u8>> = Vec::with_capacity(2000);
        let mut child = None;
        for n in 0..2000 {
            if n == 1000 {
                // SAFETY: no other thread is there, and the child ends below.
                child = Some(unsafe { libc::fork() });
            }
            kept.push(black_box(vec![1; 100]));
        }
        let counted = snapshot().totals();
        if child == Some(0) {
            let is_well = counted.inuse_objects == 1000.0 && counted.inuse_bytes == 100_000.0;
            // SAFETY: the call ends the process at once.
            unsafe { libc::_exit(i32::from(!is_well)) }
        }
        assert_ends_well(child.expect("forked on the way"));
        assert!(counted.inuse_objects >= 2000.0);
    });
}

/// What children free was allocated by their parent, so they do not count it.
#[test]
fn fork_storm() {
    isolated(pick(2, 100), || {
        set_sampling_interval(1);
        while_others_allocate(|| {
            for _ in 0..pick(5, 50) {
                let kept = mixed_operations(50);
                in_child(move || profile_oneself(kept));
            }
        });
        // On a busy machine a lock's owner may be away for so long that a removal is missed. Then it is counted.
        let missed = snapshot().dropped.missed_removals;
        assert!(testing::duplicate_inserts() <= missed, "{} of {missed}", testing::duplicate_inserts());
    });
}

#[test]
fn a_command_may_run_code_of_ours_first() {
    isolated(pick(1, 20), || {
        set_sampling_interval(1);
        let run = |runs_code: bool| {
            let mut command = Command::new("/bin/true");
            if runs_code {
                // SAFETY: the test asks what may be done in the child.
                unsafe {
                    command.pre_exec(|| {
                        black_box(mixed_operations(1000));
                        Ok(())
                    })
                };
            }
            assert!(command.status().expect("it is there").success());
        };
        while_others_hold_the_locks(|| [true, false].into_iter().for_each(run));
        while_others_allocate(|| (0..pick(10, 100)).for_each(|n| run(n % 2 == 0)));
    });
}

/// Tells how many of each 64 allocations are sampled.
fn pattern() -> Vec<u8> {
    let count = || snapshot().totals().alloc_samples;
    let run = |_| {
        let before = count();
        (0..64).for_each(|_| drop(black_box(vec![1_u8; 512])));
        (count() - before) as u8
    };
    (0..32).map(run).collect()
}

#[test]
fn each_child_samples_by_a_seed_of_its_own() {
    isolated(1, || {
        set_sampling_interval(4096);
        let (mut reader, writer) = io::pipe().expect("a pipe");
        for _ in 0..3 {
            in_child(|| (&writer).write_all(&pattern()).expect("read by the parent"));
        }
        drop(writer);
        let mut patterns = pattern();
        reader.read_to_end(&mut patterns).expect("written by children");
        let mut patterns: Vec<_> = patterns.chunks(32).collect();
        assert_eq!(patterns.len(), 4);
        patterns.sort_unstable();
        patterns.dedup();
        assert_eq!(patterns.len(), 4, "two of them chose alike");
        assert!(patterns.concat().iter().any(|&samples| samples > 0), "nothing was sampled");
    });
}

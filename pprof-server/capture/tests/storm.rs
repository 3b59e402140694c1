//! Everything that a handler may interrupt, all at once, while captures follow one another without a break: the sampling of
//! every allocation, the loader, panics with backtraces, threads that begin and end, and `fork`.
#![cfg(by_signals)]

mod common;

use std::backtrace::Backtrace;
use std::hint::black_box;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{array, env, thread};

use alloc_profiler::SamplingAllocator;
use capture::{CpuCapture, leave_out};
use common::Ends;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// How long it goes on; `STORM_SECONDS` says otherwise.
const USUAL_SECONDS: u64 = 3;

fn allocate() {
    for n in 0..200 {
        black_box(vec![0_u8; n * 7 % 2000 + 1]);
    }
}

fn open_and_close() {
    // SAFETY: a library of the system, of which nothing is used.
    unsafe {
        let library = libc::dlopen(c"libresolv.so.2".as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null());
        libc::dlclose(library);
    }
}

fn panic() {
    let _ = black_box(Backtrace::force_capture());
    let _ = catch_unwind(|| resume_unwind(Box::new(())));
}

fn fork() {
    // SAFETY: the child ends at once.
    unsafe {
        match libc::fork() {
            0 => libc::_exit(0),
            child => {
                let mut status = -1;
                assert!(child > 0 && libc::waitpid(child, &mut status, 0) == child);
                assert_eq!(status, 0);
            }
        }
    }
}

fn begin_a_thread() {
    thread::spawn(allocate).join().expect("it ends");
}

#[test]
fn captures_without_a_break_harm_nobody() {
    // Whatever hangs may hang for no longer than this.
    // SAFETY: it sets the process's alarm, which nobody else uses.
    unsafe { libc::alarm(600) };
    alloc_profiler::set_sampling_interval(1);
    let seconds =
        env::var("STORM_SECONDS").map_or(USUAL_SECONDS, |seconds| seconds.parse().expect("a number"));
    let kinds: [fn(); 6] = [allocate, allocate, open_and_close, panic, fork, begin_a_thread];
    let counts: [AtomicU64; 6] = array::from_fn(|_| AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let (mut captures, mut signals, mut lost) = (0, 0, 0);
    thread::scope(|scope| {
        for (work, count) in kinds.into_iter().zip(&counts) {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    work();
                    count.fetch_add(1, Relaxed);
                }
            });
        }
        let _own = leave_out();
        let _ends = Ends(&is_over, None);
        let start = Instant::now();
        let all_have_worked = || counts.iter().all(|count| count.load(Relaxed) > 1);
        while start.elapsed() < Duration::from_secs(seconds) || !all_have_worked() {
            let mut capture = CpuCapture::start(1000).expect("nobody else captures");
            for _ in 0..3 {
                thread::sleep(Duration::from_millis(30));
                capture.look();
            }
            let samples = capture.finish();
            captures += 1;
            signals += samples.stacks.iter().map(|stack| stack.signals).sum::<u64>();
            lost += samples.lost_periods + samples.leaf_only;
            assert!(samples.stacks.iter().all(|stack| !stack.frames.is_empty()));
        }
    });
    println!("{captures} captures, {signals} signals, {lost} lost; {counts:?}");
    assert!(captures > 1 && signals > 10, "{captures} captures, {signals} signals");
    assert_eq!(lost, 0);
}

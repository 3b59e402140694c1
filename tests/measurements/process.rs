//! Measurements of the process, each in a process of its own, where nobody else allocates.

use std::any::type_name;
use std::env;
use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::thread;

use alloc_profiler::{CannotMeasure, Measurement, measure, measure_process, set_sampling_interval, snapshot};

use crate::truth::{PROCESS_BYTES, PROCESS_OBJECTS};
use crate::{any_work, exactly, stacks_add_up};

/// Names the test that a process was made for.
const CHOSEN: &str = "MEASUREMENT";

/// Runs `body`, which is all of a test, in a process of its own.
fn apart<F: FnOnce()>(body: F) {
    let name = type_name::<F>().trim_end_matches("::{{closure}}").trim_end_matches("::{closure#0}");
    let (_, name) = name.split_once("::").expect("a path");
    if env::var(CHOSEN).is_ok_and(|chosen| chosen == name) {
        return body();
    }
    let output = workspace_tests::this_program()
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHOSEN, name)
        .output()
        .expect("it can be run again");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn counts() -> (u64, u64) {
    (PROCESS_OBJECTS.load(Relaxed), PROCESS_BYTES.load(Relaxed))
}

#[test]
fn threads_that_begin_meanwhile_are_exact() {
    apart(|| {
        for _ in 0..3 {
            let measurement = Measurement::of_process().unwrap();
            let before = counts();
            thread::scope(|scope| {
                for seed in 0..8 {
                    // Some measure what they do themselves.
                    scope.spawn(move || match seed % 2 {
                        0 => drop(any_work(seed, 3000)),
                        _ => drop(exactly(|| any_work(seed, 3000).len())),
                    });
                }
            });
            let after = counts();
            let refused = Measurement::of_process().unwrap_err();
            let measured = measurement.end().unwrap();
            assert_eq!(refused, CannotMeasure::OfProcessRuns);
            assert!(measured.alloc_objects > 5000, "{measured}");
            let (objects, bytes) = (after.0 - before.0, after.1 - before.1);
            // What a measurement tells is made of memory that does not count, and the truth sees it.
            assert!(measured.alloc_objects <= objects && measured.alloc_bytes <= bytes, "{measured}");
            stacks_add_up(&measured);
        }
    });
}

#[test]
fn a_thread_with_another_interval_is_late_and_one_that_samples_all_is_not() {
    apart(|| {
        for (interval, expected_late) in [(1, 0), (1 << 20, 1)] {
            set_sampling_interval(interval);
            let (to_other, work) = channel::<u64>();
            let (done, is_done) = channel();
            let other = thread::spawn(move || {
                drop(black_box(vec![0_u8; 1]));
                done.send(0).unwrap();
                for seed in work {
                    let ((), truth) = crate::truth::Truth::of(|| drop(any_work(seed, 20_000)));
                    done.send(truth.alloc_bytes).unwrap();
                }
            });
            is_done.recv().unwrap();
            let measurement = Measurement::of_process().unwrap();
            to_other.send(5).unwrap();
            let of_other = is_done.recv().unwrap();
            let measured = measurement.end().unwrap();
            assert_eq!(measured.late_threads, expected_late, "{measured}");
            assert!(of_other > 10 << 20, "{of_other}");
            if expected_late == 0 {
                stacks_add_up(&measured);
                assert!(measured.alloc_bytes >= of_other, "{measured}");
            } else {
                assert!(measured.alloc_bytes > of_other - (2 << 20), "{measured}");
                assert!(
                    !measured.is_exact() && measured.to_string().contains("1 threads ran before"),
                    "{measured}"
                );
            }
            drop(to_other);
            other.join().unwrap();
        }
    });
}

#[test]
fn the_whole_process_is_exact() {
    apart(|| {
        let measurement = Measurement::of_process().unwrap();
        let before = counts();
        let threads: Vec<_> = (0..8).map(|seed| thread::spawn(move || drop(any_work(seed, 3000)))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let after = counts();
        let measured = measurement.end().unwrap();
        assert_eq!((measured.alloc_objects, measured.alloc_bytes), (after.0 - before.0, after.1 - before.1));
        stacks_add_up(&measured);
        // All of them notice that it is over.
        let ((), measured) = measure_process(|| ()).unwrap();
        assert_eq!(measured.alloc_objects, 0, "{measured}");
    });
}

#[test]
fn estimates_stay_right_beside_measurements() {
    apart(|| {
        alloc_profiler::testing::seed(11);
        set_sampling_interval(4096);
        let before = snapshot();
        for round in 0..20_000 {
            for size in [16, 100, 700] {
                drop(black_box(vec![0_u8; size]));
            }
            if round % 10 == 0 {
                let ((), measured) = measure(|| drop(black_box(vec![0_u8; 3000]))).unwrap();
                assert_eq!(measured.alloc_bytes, 3000);
            }
        }
        let truth = 20_000.0 * 816.0 + 2000.0 * 3000.0;
        let totals = snapshot().since(&before).totals();
        // Six standard errors: a false alarm in 5 * 10^8 runs, and the seed makes the outcome repeatable.
        let error = totals.alloc_bytes_standard_error().unwrap();
        let off = (totals.alloc_bytes - truth).abs();
        assert!(off < 6.0 * error, "{off} bytes off, with a standard error of {error}");
        assert!(error < truth * 0.05 && totals.alloc_samples > 4000, "{totals:?}");
    });
}

#[test]
fn a_child_has_no_figures_of_its_parent() {
    apart(|| {
        let measurement = Measurement::of_thread().unwrap();
        let of_process = Measurement::of_process().unwrap();
        let block = black_box(vec![0_u8; 123]);
        // SAFETY: no other thread runs but the harness's, which waits; the child ends by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                let are_none = measurement.end().is_err() && of_process.end().is_err();
                let ((), measured) = measure(|| drop(black_box(vec![0_u8; 55]))).unwrap();
                let (_, process) = measure_process(|| drop(black_box(vec![0_u8; 66]))).unwrap();
                let is_right = are_none && measured.alloc_bytes == 55 && process.alloc_bytes == 66;
                // SAFETY: the process is over.
                unsafe { libc::_exit(i32::from(!is_right)) };
            }
            child => {
                let mut status = 0;
                // SAFETY: the call fills `status` in.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            }
        }
        drop(block);
        assert_eq!(of_process.end().unwrap().freed_bytes, 123);
        assert_eq!(measurement.end().unwrap().freed_bytes, 123);
    });
}

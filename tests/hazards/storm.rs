//! A1: threads that hold the loader's locks and allocate run beside threads that are sampled.

use std::backtrace::Backtrace;
use std::ffi::{CStr, c_int, c_void};
use std::hint::black_box;
use std::panic::{catch_unwind, panic_any, resume_unwind, set_hook};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{array, ptr, thread};

use alloc_profiler::{set_sampling_interval, snapshot};
use workspace_tests::client::get;

use crate::harness::{assert_consistent, isolated, pick};

/// These are small, belong to the C library, and are not loaded otherwise. At least one of them is there.
const LIBRARIES: [&CStr; 4] = [c"libanl.so.1", c"libutil.so.1", c"libresolv.so.2", c"libnss_compat.so.2"];

/// The message of panics that are part of the storm.
const EXPECTED: &str = "as it should";

fn allocate_and_free(count: usize) {
    for n in 0..count {
        let mut block = vec![0_u8; n * 7 % 2000 + 1];
        block.reserve(100);
        black_box(block);
    }
}

/// Ends the storm when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The loader calls this with its lock held.
extern "C" fn look_at(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    allocate_and_free(10);
    0
}

#[test]
fn the_loaders_locks_are_not_waited_for() {
    isolated(pick(1, 3), || {
        set_sampling_interval(1);
        let server = pprof_server::serve("127.0.0.1:0").expect("a port");
        let address = server.local_addr();
        set_hook(Box::new(|panic| {
            let backtrace = black_box(Backtrace::force_capture().to_string());
            if panic.payload().downcast_ref() != Some(&EXPECTED) {
                eprintln!("{panic}\n{backtrace}");
            }
        }));
        // These count for the threads that are sampled, which must never stand still.
        let sampled: [AtomicU64; 4] = array::from_fn(|_| AtomicU64::new(0));
        let others: [AtomicU64; 4] = array::from_fn(|_| AtomicU64::new(0));
        let is_over = AtomicBool::new(false);
        let again = |count: &AtomicU64| {
            count.fetch_add(1, Relaxed);
            !is_over.load(Relaxed)
        };
        // The loader's locks are not fair: a thread that takes one again at once may keep all others out for seconds.
        let rest = || thread::sleep(Duration::from_micros(100));
        thread::scope(|scope| {
            // However the storm ends, the threads do.
            let _over = Over(&is_over);
            for count in &sampled {
                scope.spawn(move || {
                    while again(count) {
                        allocate_and_free(100)
                    }
                });
            }
            // A thread needs the loader's locks to begin: the standard library and the C library take them.
            while sampled.iter().any(|count| count.load(Relaxed) < 2) {
                thread::sleep(Duration::from_millis(1));
            }
            let [iterations, openings, panics, requests] = &others;
            scope.spawn(move || {
                while again(iterations) {
                    // SAFETY: the callback looks at nothing.
                    unsafe { libc::dl_iterate_phdr(Some(look_at), ptr::null_mut()) };
                    rest();
                }
            });
            scope.spawn(move || {
                while again(openings) {
                    // SAFETY: these are libraries of the system, of which nothing is used.
                    let opened = LIBRARIES.map(|name| unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) });
                    // A static program opens none.
                    assert!(cfg!(not(target_env = "gnu")) || opened.iter().any(|library| !library.is_null()));
                    for library in opened.into_iter().filter(|library| !library.is_null()) {
                        // SAFETY: the library was opened above.
                        unsafe { libc::dlclose(library) };
                    }
                    rest();
                }
            });
            scope.spawn(move || {
                while again(panics) {
                    let _ = catch_unwind(|| match again(panics) {
                        true => panic_any(EXPECTED),
                        false => resume_unwind(Box::new(())),
                    });
                }
            });
            scope.spawn(move || {
                while again(requests) {
                    assert_eq!(get(address, "/debug/pprof/heap").status, 200);
                }
            });

            let start = Instant::now();
            let mut moved = [start; 4];
            let mut last = [0; 4];
            let goes_on = || others.iter().all(|count| count.load(Relaxed) > 2);
            while start.elapsed() < Duration::from_secs(pick(3, 60))
                || !goes_on() && start.elapsed() < Duration::from_secs(45)
            {
                thread::sleep(Duration::from_millis(50));
                for ((count, last), moved) in sampled.iter().zip(&mut last).zip(&mut moved) {
                    let now = count.load(Relaxed);
                    if now != *last {
                        (*last, *moved) = (now, Instant::now());
                    }
                    assert!(
                        moved.elapsed() < Duration::from_secs(2),
                        "stands at {now}: {sampled:?} {others:?}"
                    );
                }
            }
        });
        println!("{sampled:?}; callbacks, openings, panics, requests: {others:?}");
        assert!(others.iter().all(|count| count.load(Relaxed) > 1), "{others:?}");
        assert_consistent(&snapshot());
        server.shutdown();
    });
}

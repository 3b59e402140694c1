//! A1: threads that hold the loader's locks and allocate run beside threads that are sampled.

use std::backtrace::Backtrace;
use std::ffi::{CStr, c_int, c_void};
use std::hint::black_box;
use std::net::SocketAddr;
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

/// What the threads of the storm have done so far, and whether it is over.
struct Storm {
    /// How often each thread that is sampled has allocated. These must never stand still.
    sampled: [AtomicU64; 4],
    /// Callbacks of the loader, openings of libraries, panics, and requests.
    others: [AtomicU64; 4],
    is_over: AtomicBool,
}

impl Storm {
    /// Counts, and says whether the storm goes on.
    fn again(&self, count: &AtomicU64) -> bool {
        count.fetch_add(1, Relaxed);
        !self.is_over.load(Relaxed)
    }

    fn iterate(&self) {
        while self.again(&self.others[0]) {
            // SAFETY: the callback looks at nothing.
            unsafe { libc::dl_iterate_phdr(Some(look_at), ptr::null_mut()) };
            rest();
        }
    }

    fn open(&self) {
        while self.again(&self.others[1]) {
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
    }

    fn panic(&self) {
        while self.again(&self.others[2]) {
            let _ = catch_unwind(|| match self.again(&self.others[2]) {
                true => panic_any(EXPECTED),
                false => resume_unwind(Box::new(())),
            });
        }
    }

    fn request(&self, address: SocketAddr) {
        while self.again(&self.others[3]) {
            assert_eq!(get(address, "/debug/pprof/heap").status, 200);
        }
    }

    /// Watches until the storm has lasted long enough and all threads have been at work.
    fn watch(&self) {
        let start = Instant::now();
        let mut moved = [start; 4];
        let mut last = [0; 4];
        let goes_on = || self.others.iter().all(|count| count.load(Relaxed) > 2);
        while start.elapsed() < Duration::from_secs(pick(3, 60))
            || !goes_on() && start.elapsed() < Duration::from_secs(45)
        {
            thread::sleep(Duration::from_millis(50));
            for ((count, last), moved) in self.sampled.iter().zip(&mut last).zip(&mut moved) {
                let now = count.load(Relaxed);
                if now != *last {
                    (*last, *moved) = (now, Instant::now());
                }
                assert!(
                    moved.elapsed() < Duration::from_secs(2),
                    "stands at {now}: {:?} {:?}",
                    self.sampled,
                    self.others
                );
            }
        }
    }
}

/// The loader's locks are not fair: a thread that takes one again at once may keep all others out for seconds.
fn rest() {
    thread::sleep(Duration::from_micros(100));
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
        let counts = || array::from_fn(|_| AtomicU64::new(0));
        let storm = Storm { sampled: counts(), others: counts(), is_over: AtomicBool::new(false) };
        let Storm { sampled, others, is_over } = &storm;
        thread::scope(|scope| {
            // However the storm ends, the threads do.
            let _over = Over(is_over);
            for count in sampled {
                scope.spawn(|| {
                    while storm.again(count) {
                        allocate_and_free(100)
                    }
                });
            }
            // A thread needs the loader's locks to begin: the standard library and the C library take them.
            while sampled.iter().any(|count| count.load(Relaxed) < 2) {
                thread::sleep(Duration::from_millis(1));
            }
            scope.spawn(|| storm.iterate());
            scope.spawn(|| storm.open());
            scope.spawn(|| storm.panic());
            scope.spawn(|| storm.request(address));
            storm.watch();
        });
        println!("{sampled:?}; callbacks, openings, panics, requests: {others:?}");
        assert!(others.iter().all(|count| count.load(Relaxed) > 1), "{others:?}");
        assert_consistent(&snapshot());
        server.shutdown();
    });
}

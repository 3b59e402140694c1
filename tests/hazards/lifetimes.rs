//! A11: the program allocates before `main` and after it.

use std::ffi::{CStr, c_char, c_int};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{env, process, thread};

use alloc_profiler::{set_sampling_interval, snapshot};

use crate::harness::{pick, run};

/// The variable that says how the process shall end. It is set for those that are to run a scenario.
const ENDING: &CStr = c"HAZARD_ENDING";

static EARLY: AtomicU64 = AtomicU64::new(0);

fn allocate_and_free(count: u64) {
    for n in 0..count {
        drop(black_box(vec![1_u8; n as usize % 1000 + 1]));
    }
}

/// It stands among the program's constructors, so it runs with whatever is ready by then.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = before_main;

extern "C" fn before_main(_: c_int, _: *const *const c_char, _: *const *const c_char) {
    // SAFETY: the name is terminated, and no other thread is there to change the environment.
    if unsafe { !libc::getenv(ENDING.as_ptr()).is_null() } {
        set_sampling_interval(1);
        allocate_and_free(10_000);
        EARLY.store(snapshot().totals().alloc_objects as u64, Relaxed);
    }
}

extern "C" fn after_main() {
    allocate_and_free(10_000);
    assert!(snapshot().totals().alloc_objects > 10_000.0);
}

#[test]
fn a_process_may_begin_and_end_in_any_way() {
    if let Ok(ending) = env::var(ENDING.to_str().expect("ASCII")) {
        return end(&ending);
    }
    let name = "lifetimes::a_process_may_begin_and_end_in_any_way";
    for _ in 0..pick(1, 60) {
        let endings = [("return", 0), ("exit", 7), ("process::exit", 8), ("_exit", 9), ("panic", 101)];
        for (ending, code) in endings {
            let ended = run(name, &[("HAZARD_ENDING", ending), ("RUST_BACKTRACE", "0")]);
            assert_eq!(ended.status.code(), Some(code), "{ending}: {ended}");
        }
        let ended = run(name, &[("HAZARD_ENDING", "abort")]);
        assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "abort: {ended}");
    }
}

fn end(ending: &str) {
    assert!(EARLY.load(Relaxed) >= 10_000, "what was allocated before main is counted");
    // SAFETY: the handler is there for as long as the program.
    assert_eq!(unsafe { libc::atexit(after_main) }, 0);
    for _ in 0..3 {
        // Nobody waits for these threads.
        thread::spawn(|| allocate_and_free(u64::MAX));
    }
    allocate_and_free(1000);
    match ending {
        "return" => {}
        // SAFETY: the call ends the process; other threads do nothing that this could disturb.
        "exit" => unsafe { libc::exit(7) },
        "process::exit" => process::exit(8),
        // SAFETY: the call ends the process at once.
        "_exit" => unsafe { libc::_exit(9) },
        "abort" => process::abort(),
        _ => panic!("as it should"),
    }
}

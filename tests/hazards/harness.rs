//! Each test runs in processes of its own, several times: what can go wrong once in a process's life can go wrong
//! each time. A process that hangs is killed, and one that needs too much memory fails.

use std::any::type_name;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use alloc_profiler::Snapshot;

/// Names the test that a process was made for.
const CHOSEN: &str = "HAZARD";
/// More address space than any test should want, and less than the machine would mind.
const ADDRESS_SPACE_BYTES: u64 = 16 << 30;
/// More memory than any test should touch.
const RESIDENT_BYTES: u64 = 1 << 30;

/// `short`, or `long` where time does not matter.
pub(crate) fn pick<T>(short: T, long: T) -> T {
    if env::var_os("TORTURE").is_some() { long } else { short }
}

/// Under a sanitizer (`SANITIZER=1`), which needs address space and memory of its own.
fn is_sanitized() -> bool {
    env::var_os("SANITIZER").is_some()
}

/// Runs `body` in `repeats` processes, one after the other. It must be the body of a test, and all of it.
pub(crate) fn isolated<F: FnOnce()>(repeats: u32, body: F) {
    // `hazards::module::test::{{closure}}`
    let name = type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, rest)| rest);
    let name = name.split_once("::{{").map_or(name, |(test, _)| test);
    if env::var(CHOSEN).is_ok_and(|chosen| chosen == name) {
        if is_sanitized() {
            return body();
        }
        limit(libc::RLIMIT_AS, ADDRESS_SPACE_BYTES);
        body();
        let peak = peak_resident_bytes();
        return assert!(peak < RESIDENT_BYTES, "{peak} bytes were in memory");
    }
    for repeat in 0..repeats {
        let status = run(name, &[]);
        assert!(status.success(), "process {repeat}: {status}");
    }
}

/// How a process ends that runs the test `name` with some variables set.
pub(crate) fn run(name: &str, variables: &[(&str, &str)]) -> ExitStatus {
    let mut child = Command::new(env::current_exe().expect("it runs"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHOSEN, name)
        .envs(variables.iter().copied())
        .spawn()
        .expect("it can be run again");
    // Only what hangs takes so long, whatever else the machine is busy with.
    wait(&mut child, Duration::from_secs(pick(120, 600)))
}

fn wait(child: &mut Child, limit: Duration) -> ExitStatus {
    let start = Instant::now();
    let mut nap = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        if start.elapsed() > limit {
            child.kill().expect("it runs");
            panic!("killed after {limit:?}");
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(50));
    }
}

/// Lowers a limit of this process.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limits = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: reads the limits.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limits) }, 0);
}

/// The most that this process ever had in memory; asked of the system, since a test may have left `/proc` behind.
fn peak_resident_bytes() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: fills the structure in, if it returns 0.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    usage.ru_maxrss as u64 * 1024
}

/// A line of `/proc/self/status`, in bytes.
pub(crate) fn status_bytes(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kibibytes: u64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).expect(key);
    kibibytes * 1024
}

/// Nothing was missed, and nothing recorded twice.
pub(crate) fn assert_consistent(snapshot: &Snapshot) {
    assert_eq!(alloc_profiler::testing::duplicate_inserts(), 0);
    assert_eq!(snapshot.dropped.missed_removals, 0);
}

/// A small generator: tests choose, they do not need to surprise.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * bound as u128) >> 64) as usize
    }
}

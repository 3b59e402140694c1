//! Each test runs several times, in processes of its own: what can go wrong once in a process's life can go wrong each
//! time. A process that hangs is killed, and one that needs too much memory fails.

use std::any::type_name;
use std::fmt;
use std::io::{Read, Seek};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use alloc_profiler::Snapshot;

/// The variable that names the test that a process was made for.
const CHOSEN: &str = "HAZARD";
/// This is more address space than any test should want, and less than the machine would mind.
pub(crate) const ADDRESS_SPACE_BYTES: u64 = 16 << 30;
/// This is more memory than any test should touch.
const RESIDENT_BYTES: u64 = 1 << 30;

/// Returns `short`, or `long` in a long run, where time does not matter.
pub(crate) fn pick<T>(short: T, long: T) -> T {
    if env::var_os("TORTURE").is_some() { long } else { short }
}

/// Whether the program runs under a sanitizer (`SANITIZER=1`), which needs address space and memory of its own.
fn is_sanitized() -> bool {
    env::var_os("SANITIZER").is_some()
}

/// Returns the name of the test that the body is of.
fn name_of<F>() -> &'static str {
    // The name of the type is like `hazards::module::test::{{closure}}`.
    let name = type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, rest)| rest);
    name.split_once("::{{").map_or(name, |(test, _)| test)
}

/// Whether this process was made for this test.
fn is_chosen(name: &str) -> bool {
    env::var(CHOSEN).is_ok_and(|chosen| chosen == name)
}

/// Runs `body` in `repeats` processes, one after the other. It must be the body of a test, and all of it.
pub(crate) fn isolated<F: FnOnce()>(repeats: u32, body: F) {
    let name = name_of::<F>();
    if is_chosen(name) {
        if is_sanitized() {
            return body();
        }
        limit(libc::RLIMIT_AS, ADDRESS_SPACE_BYTES);
        body();
        let peak = peak_resident_bytes();
        return assert!(peak < RESIDENT_BYTES, "{peak} bytes were in memory");
    }
    for repeat in 0..repeats {
        let ended = run(name, &[]);
        assert!(ended.status.success(), "process {repeat}: {ended}");
        ended.measured().for_each(|line| println!("{line}"));
    }
}

/// The status by which a process ends that was too slow, and in which all else was as it must be.
const TOO_SLOW: i32 = 75;

/// Ends the process of an [`isolated_timed`] test, because it was too slow.
pub(crate) fn too_slow(what: &str) -> ! {
    println!("too slow: {what}");
    std::process::exit(TOO_SLOW)
}

/// Runs `body` in a process, and up to twice again if it ends by [`too_slow`]. What the profiler does takes as long each time
/// that the same work is done. What a host does to a virtual machine, which counts as time of whatever thread ran, does not
/// come again.
pub(crate) fn isolated_timed<F: FnOnce()>(body: F) {
    let name = name_of::<F>();
    if is_chosen(name) {
        return isolated(1, body);
    }
    for attempt in 1..=3 {
        let ended = run(name, &[]);
        ended.measured().for_each(|line| println!("{line}"));
        if ended.status.success() {
            return;
        }
        assert!(ended.status.code() == Some(TOO_SLOW) && attempt < 3, "process {attempt}: {ended}");
    }
}

/// How a process ended, and what it had printed on both streams by then.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    said: String,
}

impl Ended {
    /// Yields the figures that a test printed, without what the test harness of its process printed around them. A
    /// child that must fail prints `FAILED`, which nobody should find in the log of a run that passed.
    fn measured(&self) -> impl Iterator<Item = &str> {
        let lines =
            self.said.lines().map(|line| line.rsplit_once(" ... ").map_or(line, |(_, printed)| printed));
        lines.filter(|line| {
            !["", "ok"].contains(line) && !line.starts_with("running ") && !line.starts_with("test ")
        })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; it printed:\n{}", self.status, self.said)
    }
}

/// Runs the test `name` in a process with some variables set, and tells how the process ended.
pub(crate) fn run(name: &str, variables: &[(&str, &str)]) -> Ended {
    // Output goes to a file, since somebody would have to empty a pipe meanwhile.
    let mut said = tempfile::tempfile().expect("a temporary file");
    let stream = || said.try_clone().expect("another descriptor of it");
    let mut child = workspace_tests::this_program()
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHOSEN, name)
        .envs(variables.iter().copied())
        .stdout(stream())
        .stderr(stream())
        .spawn()
        .expect("it can be run again");
    // Only a process that hangs takes so long. Where fifty others want the processor, one that works takes minutes.
    let limit = Duration::from_secs(pick(900, 1800));
    let status = wait(&mut child, limit);
    said.rewind().expect("a file can be read again");
    let mut bytes = Vec::new();
    said.read_to_end(&mut bytes).expect("a file can be read");
    let said = String::from_utf8_lossy(&bytes).into_owned();
    match status {
        Some(status) => Ended { status, said },
        None => panic!("killed after {limit:?}; it printed:\n{said}"),
    }
}

/// Waits for the child. The result is `None` if it was killed because it took longer than `limit`.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut nap = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if start.elapsed() > limit {
            child.kill().expect("it runs");
            let _ = child.wait();
            return None;
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(50));
    }
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Lowers a limit of this process.
pub(crate) fn limit(resource: Resource, value: u64) {
    let limits = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the call reads the limits.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limits) }, 0);
}

/// Limits the address space of this process to `bytes`, until the next call. [`ADDRESS_SPACE_BYTES`] is the most.
pub(crate) fn limit_address_space(bytes: u64) {
    let limits = libc::rlimit { rlim_cur: bytes, rlim_max: ADDRESS_SPACE_BYTES };
    // SAFETY: the call reads the limits.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limits) }, 0);
}

/// Returns the most memory that this process ever had. The system is asked, since a test may have left `/proc` behind.
fn peak_resident_bytes() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the call fills the structure in, if it returns 0.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    usage.ru_maxrss as u64 * 1024
}

/// Reads a line of `/proc/self/status`, and returns its value in bytes.
pub(crate) fn status_bytes(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kibibytes: u64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).expect(key);
    kibibytes * 1024
}

/// Checks that nothing was missed, and nothing recorded twice.
pub(crate) fn assert_consistent(snapshot: &Snapshot) {
    assert_eq!(alloc_profiler::testing::duplicate_inserts(), 0);
    assert_eq!(snapshot.dropped.missed_removals, 0);
}

/// A small generator of numbers: tests need to choose, not to surprise.
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

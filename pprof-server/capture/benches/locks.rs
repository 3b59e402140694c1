//! What it costs to measure waits for locks, each figure beside its budget: `cargo bench -p capture --bench locks`.
//!
//! Times are the shortest of many, so that other programs on the machine matter little. They are of the system call `futex`, which a
//! lock makes only if it is contended.

fn main() {
    #[cfg(by_signals)]
    by_signals::main();
    #[cfg(not(by_signals))]
    println!("skipped: waits are not measured on this platform");
}

#[cfg(by_signals)]
mod by_signals {
    use std::hint::black_box;
    use std::ptr;
    use std::sync::atomic::AtomicU32;
    use std::thread;
    use std::time::{Duration, Instant};

    use capture::{LockTrace, sees_locks, set_block_rate};

    capture::define_syscall!();

    /// How often a call is made for one time, and how many times are taken.
    const CALLS: u32 = 1000;
    const TIMES: u32 = 300;
    /// Waits are measured, and none is long enough to be sampled.
    const NEVER: Option<Duration> = Some(Duration::from_secs(1 << 32));
    const ALWAYS: Option<Duration> = Some(Duration::from_nanos(1));

    static WORD: AtomicU32 = AtomicU32::new(1);
    /// A waiter of this set is woken by no wake of the other.
    const WAITER: u32 = 1;
    const NOBODY: u32 = 2;

    /// Calls the system. A wait returns at once if the word has another value.
    fn futex(operation: libc::c_int, value: u32, set: u32) {
        let (operation, none) = (operation | libc::FUTEX_PRIVATE_FLAG, ptr::null::<libc::timespec>());
        // SAFETY: the word is there as long as the process.
        black_box(unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, value, none, 0, set) });
    }

    fn refused_wait() {
        futex(libc::FUTEX_WAIT_BITSET, 2, WAITER);
    }

    /// If somebody waits, this looks like the end of that wait, and wakes nobody.
    fn wake() {
        futex(libc::FUTEX_WAKE_BITSET, 1, NOBODY);
    }

    /// Returns how long a call takes at a rate, in nanoseconds: the shortest mean of a thousand.
    fn nanoseconds(rate: Option<Duration>, call: fn()) -> f64 {
        set_block_rate(rate).expect("it is allowed");
        let mut shortest = Duration::MAX;
        for _ in 0..TIMES {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            shortest = shortest.min(start.elapsed() / CALLS);
        }
        shortest.as_nanos() as f64
    }

    fn verdict(what: &str, [before, after]: [f64; 2], budget: f64) {
        let more = after - before;
        let word = if more <= budget { "within" } else { "ABOVE" };
        println!("{what:<56} {before:>7.0} {after:>7.0}  {more:>+7.0} ns  {word} +{budget} ns");
    }

    pub(super) fn main() {
        assert!(sees_locks());
        println!("{:<56} {:>7} {:>7}  {:>10}", "", "without", "with", "more");
        let both = |call| [None, NEVER].map(|rate| nanoseconds(rate, call));
        verdict("a wake that nobody waits for", both(wake), 150.0);
        verdict("a wait that is refused", both(refused_wait), 150.0);
        set_block_rate(NEVER).expect("it is allowed");
        let waiter = thread::spawn(|| futex(libc::FUTEX_WAIT_BITSET, 1, WAITER));
        thread::sleep(Duration::from_millis(200));
        let never = nanoseconds(NEVER, wake);
        let always = nanoseconds(ALWAYS, wake);
        let trace = LockTrace::start().expect("nobody else traces");
        let traced = nanoseconds(ALWAYS, wake);
        drop(trace);
        let off = nanoseconds(None, wake);
        futex(libc::FUTEX_WAKE_BITSET, 1, WAITER);
        waiter.join().expect("it was woken");
        verdict("a wake that somebody waits for", [off, never], 150.0);
        verdict("the same, sampled, beside not sampled", [never, always], 500.0);
        verdict("the same, kept for a trace", [never, traced], 500.0);
    }
}

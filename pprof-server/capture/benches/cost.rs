//! What a capture costs, each figure beside its budget: `cargo bench -p capture --bench cost`.
//!
//! Times are the shortest of many, so that other programs on the machine matter little. Shares are of CPU time.

fn main() {
    #[cfg(by_signals)]
    by_signals::main();
    #[cfg(not(by_signals))]
    println!("skipped: there is no capture machine on this platform");
}

#[cfg(by_signals)]
mod by_signals {
    use std::hint::black_box;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
    use std::sync::{Arc, Barrier};
    use std::thread;
    use std::time::{Duration, Instant};

    use capture::internal::Handling;
    use capture::{CpuCapture, Found, LOOK_EVERY, leave_out, thread_dump};

    /// The frames that the budget speaks of.
    const FRAMES: usize = 46;
    const THREADS: usize = 1000;
    /// More than can have timers.
    const MANY_THREADS: usize = 10_000;

    pub(super) fn main() {
        // Rust's own alternate stack and guard page are those of a thread.
        let handler = thread::spawn(handler).join().expect("it is measured");
        let signal = signal();
        off();
        timers();
        many_threads();
        dump();
        share(handler + signal);
    }

    fn verdict(what: &str, value: f64, budget: f64, unit: &str) {
        let word = if value <= budget { "within" } else { "ABOVE" };
        println!("{what:<64} {value:>9.3} {unit:<5} {word} {budget} {unit}");
    }

    fn microseconds(time: Duration) -> f64 {
        time.as_secs_f64() * 1e6
    }

    #[inline(never)]
    fn deep<T>(depth: usize, work: &mut dyn FnMut() -> T) -> T {
        let result = if depth == 0 { work() } else { deep(depth - 1, work) };
        black_box(depth);
        result
    }

    /// The handler in a thread with as many frames as the budget has.
    fn handler() -> Duration {
        let handling = Handling::start().expect("nobody else captures");
        let first = deep(0, &mut || handling.time(1)).1;
        let (time, frames) = deep(FRAMES.saturating_sub(first), &mut || handling.time(300));
        verdict(&format!("handler, {frames} frames, warm"), microseconds(time), 0.5, "µs");
        let bytes = handling.used_stack_bytes();
        verdict("handler, bytes of the interrupted stack", bytes as f64, 512.0, "bytes");
        time
    }

    /// What the kernel takes to deliver a signal, and to return from it.
    fn signal() -> Duration {
        extern "C" fn nothing(_: libc::c_int) {}
        let mut shortest = Duration::MAX;
        // SAFETY: the handler does nothing, and the signal goes to this thread.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
            let (process, thread) = (libc::getpid(), libc::gettid());
            for _ in 0..300 {
                let start = Instant::now();
                for _ in 0..1000 {
                    black_box(libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1));
                }
                shortest = shortest.min(start.elapsed() / 1000);
            }
        }
        println!("{:<64} {:>9.3} µs", "a signal to oneself, with an empty handler", microseconds(shortest));
        shortest
    }

    /// What there is while nobody captures.
    fn off() {
        let read = |path: &str| std::fs::read_to_string(path).expect("it can be read");
        let left = || {
            let threads = std::fs::read_dir("/proc/self/task").expect("it can be read").count();
            (read("/proc/self/timers").matches("ID:").count(), threads)
        };
        drop(CpuCapture::start(100).expect("nobody else captures"));
        let (timers, threads) = left();
        verdict("off: timers", timers as f64, 0.0, "");
        verdict("off: threads beside this one", threads as f64 - 1.0, 0.0, "");
        println!("off: nothing of the capture is called by the program, so it takes no instructions");
    }

    /// Measures how long a dump of many waiting threads takes, and how long it stops a thread that runs.
    fn dump() {
        let _own = leave_out();
        let threads = Parked::start(THREADS);
        let mut shortest = Duration::MAX;
        let (mut walked, mut signals) = (0, 0);
        for _ in 0..20 {
            let dump = thread_dump().expect("it is allowed");
            shortest = shortest.min(dump.duration);
            walked = dump.threads.iter().filter(|thread| thread.found == Found::FromOutside).count();
            signals = dump.signalled_threads;
        }
        let what = format!("a dump of {THREADS} threads that wait: {walked} walked, {signals} signals");
        verdict(&what, microseconds(shortest) / 1000.0, 100.0, "ms");
        threads.end();
        let (is_over, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let runner = {
            let (is_over, longest) = (is_over.clone(), longest.clone());
            thread::spawn(move || {
                // The time that is missing is the handler's, the kernel's, or that of other programs.
                let mut last = Instant::now();
                while !is_over.load(Relaxed) {
                    let now = Instant::now();
                    longest.fetch_max((now - last).as_nanos() as u64, Relaxed);
                    last = now;
                }
            })
        };
        let mut delays: Vec<u64> = Vec::new();
        for _ in 0..200 {
            longest.store(0, Relaxed);
            let dump = thread_dump().expect("it is allowed");
            let is_found = dump.threads.iter().any(|thread| thread.found == Found::BySignal);
            delays.extend(is_found.then(|| longest.load(Relaxed)));
        }
        is_over.store(true, Relaxed);
        runner.join().expect("it ends");
        delays.sort_unstable();
        let at =
            |part: usize| delays.get(delays.len() * part / 100).map_or(f64::NAN, |&delay| delay as f64 / 1e6);
        verdict("the longest gap in a thread that runs, in half of the dumps", at(50), 1.0, "ms");
        println!(
            "{:<64} {:>9.3} ms    (other programs' time is in it)",
            "the same, in nine of ten dumps",
            at(90)
        );
    }

    /// Threads that are parked.
    struct Parked(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);

    impl Parked {
        fn start(threads: usize) -> Parked {
            let (is_over, at_start) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(threads + 1)));
            let start = |_| {
                let (is_over, at_start) = (is_over.clone(), at_start.clone());
                let builder = thread::Builder::new().stack_size(64 << 10);
                let wait = move || {
                    at_start.wait();
                    while !is_over.load(Relaxed) {
                        thread::park();
                    }
                };
                builder.spawn(wait).expect("a thread")
            };
            let threads = (0..threads).map(start).collect();
            at_start.wait();
            Parked(is_over, threads)
        }

        fn end(self) {
            self.0.store(true, Relaxed);
            self.1.into_iter().for_each(|thread| {
                thread.thread().unpark();
                thread.join().expect("it ends");
            });
        }
    }

    /// Returns the shortest times that it took to begin a capture, and to end it.
    fn begin_and_end() -> [Duration; 2] {
        let _own = leave_out();
        let mut shortest = [Duration::MAX; 2];
        for _ in 0..10 {
            let start = Instant::now();
            let capture = CpuCapture::start(100).expect("nobody else captures");
            let begun = Instant::now();
            drop(capture);
            let times = [begun - start, begun.elapsed()];
            shortest = [shortest[0].min(times[0]), shortest[1].min(times[1])];
        }
        shortest
    }

    /// Measures how long a capture takes to begin and to end, with many threads that all have timers.
    fn timers() {
        let threads = Parked::start(THREADS);
        let [begin, end] = begin_and_end().map(|time| microseconds(time) / THREADS as f64);
        verdict("a timer, and where the stack ends, for each thread at the start", begin, 20.0, "µs");
        verdict("a thread's timer, at the end", end, 5.0, "µs");
        threads.end();
    }

    /// The same with more threads than can have timers, and whether it is told how many have none.
    fn many_threads() {
        let threads = Parked::start(MANY_THREADS);
        let [begin, end] = begin_and_end().map(|time| microseconds(time) / 1000.0);
        verdict(&format!("{MANY_THREADS} threads: to begin"), begin, 200.0, "ms");
        println!("{:<64} {end:>9.3} ms", format!("{MANY_THREADS} threads: to end"));
        let own = leave_out();
        let samples = CpuCapture::start(100).expect("nobody else captures").finish();
        drop(own);
        let [timed, untimed] = [samples.timed_threads, samples.untimed_threads];
        println!("{MANY_THREADS} threads: {timed} have a timer, and {untimed} are told to have none");
        assert!(timed + untimed >= MANY_THREADS, "some threads are not told of");
        threads.end();
    }

    /// The part of the CPU time of two busy threads that a capture takes: its own thread, and what each signal costs.
    fn share(signal: Duration) {
        let is_over = Arc::new(AtomicBool::new(false));
        let burn = || {
            let is_over = is_over.clone();
            thread::spawn(move || {
                while !is_over.load(Relaxed) {
                    black_box((0..10_000).sum::<u64>());
                }
            })
        };
        let burners = [burn(), burn()];
        let capture = thread::spawn(|| {
            let _own = leave_out();
            let mut capture = CpuCapture::start(100).expect("nobody else captures");
            for _ in 0..50 {
                thread::sleep(LOOK_EVERY);
                capture.look();
            }
            capture.finish()
        });
        let samples = capture.join().expect("it captures");
        is_over.store(true, Relaxed);
        burners.into_iter().for_each(|burner| burner.join().expect("it ends"));
        let periods: u64 = samples.stacks.iter().map(|stack| stack.periods).sum();
        println!("{:<64} {:>9} of 10 ms", "two busy threads, 5 s: periods sampled", periods);
        let of_thread = 100.0 * signal.as_secs_f64() / samples.period.as_secs_f64();
        println!("{:<64} {of_thread:>9.3} %", "signals and handlers, of a busy thread's time");
        let of_capture = 100.0 * samples.own_time.as_secs_f64() / samples.duration.as_secs_f64();
        println!("{:<64} {of_capture:>9.3} %", "the capture's thread, of one processor");
        verdict("both, of 16 busy processors", of_thread + of_capture / 16.0, 0.1, "%");
    }
}

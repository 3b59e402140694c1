//! Threads that burn CPU time, and know how much.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::argument;

/// Threads burn CPU time for so long.
const TIME: Duration = Duration::from_secs(8);

/// A tool tells stacks: the names of each, joined by `;`, and the CPU time that was spent there.
pub type Told = Vec<(String, Duration)>;

/// Samples CPU time.
pub trait Sampler {
    /// Begins to sample, so often in a second of CPU time. It ends after this time, or by [`end`](Self::end).
    fn begin(&mut self, hz: u32, time: Duration);

    /// Ends it, and returns each stack's time under the names of all its functions, joined by `;`.
    fn end(&mut self) -> Told;
}

/// This stands in the place of a tool where nothing samples.
pub struct Nothing;

impl Sampler for Nothing {
    fn begin(&mut self, _hz: u32, _time: Duration) {}

    fn end(&mut self) -> Told {
        Told::new()
    }
}

fn time_of(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it fills in the time.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn spin(rounds: u64) -> u64 {
    (0..rounds).fold(0, |sum, number| black_box(sum ^ number.wrapping_mul(number)))
}

#[inline(always)]
fn burn(time: Duration) -> u64 {
    let start = time_of(libc::CLOCK_THREAD_CPUTIME_ID);
    loop {
        black_box(spin(2000));
        let used = time_of(libc::CLOCK_THREAD_CPUTIME_ID) - start;
        if used >= time {
            return used.as_nanos() as u64;
        }
    }
}

static IN_THREE: AtomicU64 = AtomicU64::new(0);
static IN_ONE: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn burns_three() {
    IN_THREE.fetch_add(burn(Duration::from_micros(2400)), Relaxed);
}

#[inline(never)]
fn burns_one() {
    IN_ONE.fetch_add(burn(Duration::from_micros(800)), Relaxed);
}

fn print(what: &str, told: &Told) {
    let seconds = |nanoseconds: &AtomicU64| nanoseconds.load(Relaxed) as f64 / 1e9;
    let (three, one) = (seconds(&IN_THREE), seconds(&IN_ONE));
    let of = |name: &str| -> f64 {
        told.iter().filter(|(stack, _)| stack.contains(name)).map(|(_, time)| time.as_secs_f64()).sum()
    };
    let (told_three, told_one) = (of("burns_three"), of("burns_one"));
    let truth = three + one;
    print!("{what}\t{truth:.2} s, {:.1} % in the first", 100.0 * three / truth);
    if told.is_empty() {
        println!("\t-");
    } else {
        let all = told_three + told_one;
        println!("\t{:.1} % of it, {:.1} % in the first", 100.0 * all / truth, 100.0 * told_three / all);
    }
}

fn burns(threads: usize) {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < TIME {
                    burns_three();
                    burns_one();
                }
            });
        }
    });
}

/// Threads that live for 5 ms of CPU time, two at a time.
fn burns_shortly() {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while start.elapsed() < TIME {
                    let short = thread::spawn(|| {
                        burns_three();
                        burns_one();
                        burns_one();
                        burns_one();
                    });
                    short.join().expect("no panic");
                }
            });
        }
    });
}

#[inline(never)]
fn at_depth(depth: usize, rounds: u64) -> u64 {
    if depth == 0 { spin(rounds) } else { black_box(at_depth(depth - 1, rounds)) }
}

/// Does a fixed amount of work on two threads.
fn works() {
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..2000).for_each(|_| _ = black_box(at_depth(40, 1_000_000))));
        }
    });
}

/// Does what the arguments say, while the tool samples.
pub fn main(mut tool: impl Sampler) {
    let what = argument(1).unwrap_or_default();
    let number = argument(2).map_or(1, |number| number.parse().expect("a number"));
    match what.as_str() {
        "cpu" | "short" => {
            tool.begin(100, TIME + Duration::from_secs(3));
            if what == "cpu" {
                burns(number as usize)
            } else {
                burns_shortly()
            }
            print(&format!("{what} {number}"), &tool.end());
        }
        "work" => {
            tool.begin(number, Duration::from_secs(60));
            let before = time_of(libc::CLOCK_PROCESS_CPUTIME_ID);
            works();
            println!("work\t{:.4}", (time_of(libc::CLOCK_PROCESS_CPUTIME_ID) - before).as_secs_f64());
        }
        other => panic!("unknown argument {other:?}; known are cpu, short, work and tasks"),
    }
}

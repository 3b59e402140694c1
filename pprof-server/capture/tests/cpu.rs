//! What a CPU capture says, held against what the kernel says of the same time. Nothing here depends on how busy the machine
//! is, since CPU time is compared with CPU time.
#![cfg(by_signals)]

mod common;

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use capture::Stack;
use common::{Looking, burn, periods_in, stacks_in, used_by_process};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The kernel looks at timers of CPU time at its ticks, mostly 250 or 1000 a second. At this rate each sample comes from a tick of
/// its own, so samples are independent.
const HZ: u32 = 200;

#[inline(never)]
fn burn_three_parts(unit: Duration) -> Duration {
    black_box(burn(3 * unit))
}

#[inline(never)]
fn burn_one_part(unit: Duration) -> Duration {
    black_box(burn(unit))
}

/// Burns CPU time in two functions, 3 : 1, until the thread has used `total`. Returns how much was used in each.
///
/// The bursts are shorter than the time between two samples, so that no two samples are of one burst, and they are of random
/// length: the kernel's ticks would meet bursts of one length always at the same place.
fn burn_by_parts(total: Duration, seed: u64) -> [Duration; 2] {
    let mut generator = SmallRng::seed_from_u64(seed);
    let mut used = [Duration::ZERO; 2];
    while used.iter().sum::<Duration>() < total {
        let unit = Duration::from_micros(generator.random_range(200..800));
        used[0] += burn_three_parts(unit);
        used[1] += burn_one_part(unit);
    }
    used
}

/// Shares are within four standard errors of the truth, which chance misses in one of 5000 runs of three, and the total is that of
/// the kernel within 2 %.
fn shares_are_right_on(threads: u32) {
    let looking = Looking::start(HZ);
    let before = used_by_process();
    let total = Duration::from_secs(6) / threads;
    let by_function = thread::scope(|scope| {
        let burning = |seed| scope.spawn(move || burn_by_parts(total, seed));
        let threads: Vec<_> = (0..threads).map(|thread| burning(thread.into())).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold([0.0; 2], |[three, one], used| [three + used[0].as_secs_f64(), one + used[1].as_secs_f64()])
    });
    let used = used_by_process() - before;
    let samples = looking.finish();
    let three = periods_in(&samples, "burn_three_parts");
    let one = periods_in(&samples, "burn_one_part");
    let all: u64 = samples.stacks.iter().map(|stack| stack.periods).sum();
    let n = (three + one) as f64;
    assert!(n > 1000.0, "{three} + {one} of {all}");
    let truth = by_function[0] / (by_function[0] + by_function[1]);
    let (share, error) = (three as f64 / n, (truth * (1.0 - truth) / n).sqrt());
    assert!(
        (share - truth).abs() < 4.0 * error,
        "{threads} threads: {share:.4} ± {error:.4}, not {truth:.4}"
    );
    let sampled = samples.period.as_secs_f64() * all as f64 + samples.own_time.as_secs_f64();
    let ratio = sampled / used.as_secs_f64();
    assert!((ratio - 1.0).abs() < 0.02, "{threads} threads: {sampled:.3} s of {used:?}: {ratio:.4}");
    assert_eq!((samples.lost_periods, samples.overflow_periods, samples.leaf_only), (0, 0, 0));
    assert_eq!(samples.untimed_threads, 0);
    eprintln!("{threads} threads: {share:.4} ± {error:.4}, truth {truth:.4}; in all {ratio:.4}");
}

#[test]
fn shares_and_totals_are_those_of_the_kernel() {
    [1, 2, 4].into_iter().for_each(shares_are_right_on);
}

/// What was busy before a moment has samples before it, and what was busy after it, after it.
#[test]
fn samples_tell_when_they_were_taken() {
    let looking = Looking::start_timed(HZ);
    let start = capture::monotonic_time();
    black_box(burn_three_parts(Duration::from_millis(100)));
    let middle = capture::monotonic_time();
    black_box(burn_one_part(Duration::from_millis(300)));
    let end = capture::monotonic_time();
    let samples = looking.finish();
    let periods: u64 = samples.stacks.iter().map(|stack| stack.periods).sum();
    let told: u64 = samples.timed.iter().map(|sample| sample.periods).sum();
    assert_eq!((told, samples.untold_periods), (periods, 0));
    for (function, from, to) in [("burn_three_parts", start, middle), ("burn_one_part", middle, end)] {
        let stacks = stacks_in(&samples, function);
        // Other tests use the same functions, on other threads.
        let is_here = |stack: &&&Stack| stack.thread_id == thread_id();
        let stacks: Vec<&Stack> = stacks.into_iter().filter(|stack| is_here(&stack)).collect();
        let is_of_function = |stack: usize| stacks.contains(&&samples.stacks[stack]);
        let times: Vec<_> = samples.timed.iter().filter(|sample| is_of_function(sample.stack)).collect();
        assert!(times.len() > 10, "{function}: {}", times.len());
        assert!(
            times.iter().all(|sample| (from..=to).contains(&sample.at)),
            "{function}: {from:?}..{to:?} {times:?}"
        );
    }
}

fn thread_id() -> u32 {
    // SAFETY: it asks for a number.
    unsafe { libc::gettid() as u32 }
}

/// Threads that live 5 ms each have no timer of their own most of the time, and are sampled all the same.
#[test]
fn threads_that_live_shortly_are_sampled() {
    let looking = Looking::start(HZ);
    let mut used = Duration::ZERO;
    let mut generator = SmallRng::seed_from_u64(1);
    for _ in 0..800 {
        let time = Duration::from_micros(generator.random_range(4000..6000));
        let thread = thread::Builder::new().name("short".into());
        used += thread.spawn(move || burn_one_part(time)).unwrap().join().unwrap();
    }
    let samples = looking.finish();
    let seen = samples.period.as_secs_f64() * periods_in(&samples, "burn_one_part") as f64;
    let ratio = seen / used.as_secs_f64();
    eprintln!("{ratio:.3} of {used:?}");
    // 800 samples have a standard error of 3.5 % at most; chance misses four of them in one of 16 000 runs.
    assert!((0.9 - 4.0 * 0.035..1.0 + 4.0 * 0.035).contains(&ratio), "{seen} s of {used:?}");
    // A thread that was met by the list has its own timer, and may have ended before its name was read.
    let burning = stacks_in(&samples, "burn_one_part");
    let named: u64 =
        burning.iter().filter(|stack| &*stack.thread == "short").map(|stack| stack.periods).sum();
    let all: u64 = burning.iter().map(|stack| stack.periods).sum();
    assert!(named * 10 >= all * 9, "{named} of {all} periods have the thread's name");
}

/// Samples of one function are told apart by what the thread worked for, 3 : 1, in both of two threads. The labels change every
/// half millisecond, as those of tasks do.
#[test]
fn cpu_time_is_of_the_label_that_it_was_used_under() {
    use unwinder::label;

    let looking = Looking::start(HZ);
    let total = Duration::from_secs(1);
    let used = thread::scope(|scope| {
        let burning = |seed: u64| {
            move || {
                let mut generator = SmallRng::seed_from_u64(seed);
                let mut used = [Duration::ZERO; 2];
                while used.iter().sum::<Duration>() < total {
                    let unit = Duration::from_micros(generator.random_range(200..800));
                    for (index, parts) in [(0, 3), (1, 1)] {
                        let before = label::replace(51 + index as u32);
                        used[index] += burn_one_part(parts * unit);
                        label::restore(before);
                    }
                }
                used
            }
        };
        let threads: Vec<_> = (0..2).map(|seed| scope.spawn(burning(seed))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold([0.0; 2], |sum, used| [sum[0] + used[0].as_secs_f64(), sum[1] + used[1].as_secs_f64()])
    });
    let samples = looking.finish();
    let stacks = stacks_in(&samples, "burn_one_part");
    let periods = |label| {
        let of_label = stacks.iter().filter(|stack| stack.label == label);
        of_label.map(|stack| stack.periods).sum::<u64>() as f64
    };
    let (three, one, none) = (periods(51), periods(52), periods(0));
    let (count, share) = (three + one, used[0] / (used[0] + used[1]));
    assert!(count > 200.0 && none == 0.0, "{three} and {one}, {none} without a label");
    // Four standard errors of a share, which chance misses in one of 16 000 runs.
    let error = (share * (1.0 - share) / count).sqrt();
    assert!((three / count - share).abs() < 4.0 * error, "{three} and {one} for {share}");
}

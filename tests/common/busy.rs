//! How busy the machine is: what else runs makes everything take longer, and no limit on a time means that.

use std::time::{Duration, Instant};

/// Returns how long `limit`, a time on a machine that does nothing else, is on this machine now.
///
/// It is the wall time of some work over the processor time that it took: 1 where nothing else wants the processor, 2
/// where this thread gets half of it. Ask before and after what is timed, and take the longer of the two.
///
/// Cost: 20 ms of processor time.
#[must_use]
pub fn busy(limit: Duration) -> Duration {
    const WORK: Duration = Duration::from_millis(20);
    let (started, run_before) = (Instant::now(), time_on_processor());
    let run = loop {
        let run = time_on_processor() - run_before;
        if run >= WORK {
            break run;
        }
    };
    limit.mul_f64((started.elapsed().as_secs_f64() / run.as_secs_f64()).max(1.0))
}

/// Does `work`, and demands that it takes less than `limit` on a machine that does nothing else.
///
/// # Panics
///
/// It panics if the work takes longer, even considering how busy the machine is: see [`busy`].
pub fn within<T>(limit: Duration, what: &str, work: impl FnOnce() -> T) -> T {
    let before = busy(limit);
    let started = Instant::now();
    let done = work();
    let took = started.elapsed();
    // Most often it took less, and then nothing need be known of the machine.
    if took >= limit {
        let limit = before.max(busy(limit));
        assert!(
            took < limit,
            "{what}: it took {took:?}, and on a machine as busy as this may take {limit:?}"
        );
    }
    done
}

/// Returns how long this thread has run, so that whoever else wants the processor does not count.
///
/// # Panics
///
/// It panics if the kernel does not know.
#[must_use]
pub fn time_on_processor() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills in `time`, which lives as long as the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "asleep: it took ")]
    fn who_sleeps_is_late_on_any_machine() {
        // What sleeps a hundred times its limit is late unless this thread has less than a hundredth of a processor.
        within(Duration::from_millis(20), "asleep", || std::thread::sleep(Duration::from_secs(2)));
    }

    #[test]
    fn a_busy_machine_only_makes_limits_longer() {
        assert!(busy(Duration::from_secs(1)) >= Duration::from_secs(1));
        assert_eq!(within(Duration::from_secs(60), "work", || 7), 7);
    }
}

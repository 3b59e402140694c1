//! These functions call the C library from within an allocator. `errno` stays as it was, because the program may look
//! at it after it has allocated, for what it did before. The time is asked for in a way that cannot panic.
//!
//! Path: *allocation path*, around calls into the C library.

/// Runs a call and undoes what it did to `errno`.
#[cfg(unix)]
pub(crate) use unwinder::keeping_errno;

/// Nanoseconds since some moment; always 0 if there is no clock.
#[cfg(unix)]
pub(crate) fn nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills `time` in, or leaves it alone.
    keeping_errno(|| unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) });
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Nanoseconds since some moment; always 0 if there is no clock.
#[cfg(not(unix))]
pub(crate) fn nanos() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

/// How many ticks a second has.
pub(crate) const TICKS_PER_SECOND: u32 = 16;

/// Returns the time in sixteenths of a second since some moment, modulo 2^32, so that differences are right up to four
/// years. It is read from the clock that is cheapest to read, and so up to 10 ms late.
#[cfg(target_os = "linux")]
pub(crate) fn ticks() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills `time` in, or leaves it alone.
    keeping_errno(|| unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) });
    const NANOS_PER_TICK: u32 = 1_000_000_000 / TICKS_PER_SECOND;
    (time.tv_sec as u32).wrapping_mul(TICKS_PER_SECOND).wrapping_add(time.tv_nsec as u32 / NANOS_PER_TICK)
}

/// Returns the time in sixteenths of a second since some moment, modulo 2^32, so that differences are right up to four
/// years.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ticks() -> u32 {
    const NANOS_PER_TICK: u64 = 1_000_000_000 / TICKS_PER_SECOND as u64;
    (nanos() / NANOS_PER_TICK) as u32
}

/// Sleeps for a millisecond or less. The standard library's way has a panic in it.
#[cfg(unix)]
pub(crate) fn nap() {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // SAFETY: the call reads `time` and writes nothing.
    let _ = keeping_errno(|| unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) });
}

/// Sleeps for a millisecond.
#[cfg(not(unix))]
pub(crate) fn nap() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

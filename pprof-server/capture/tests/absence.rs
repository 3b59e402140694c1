//! What is left of a capture that is over. This test has a process to itself: memory of other tests would come and go meanwhile.
#![cfg(by_signals)]

use capture::CpuCapture;

/// The least memory that a capture takes: its ring.
const RING_BYTES: usize = 4 << 20;

/// What there is of a capture: its timers, and the bytes of memory that no file backs and that can be written. Whole mappings are
/// not counted, since the kernel merges neighbours.
fn left() -> (usize, usize) {
    let timers = std::fs::read_to_string("/proc/self/timers").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let anonymous = maps.lines().filter(|line| line.contains(" rw-p 00000000 00:00 0")).map(|line| {
        let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        usize::from_str_radix(end, 16).unwrap() - usize::from_str_radix(start, 16).unwrap()
    });
    (timers.matches("ID:").count(), anonymous.sum())
}

#[test]
fn what_is_over_leaves_nothing_but_the_handler() {
    // The first capture leaves what the C library keeps for the next one.
    drop(CpuCapture::start(1000).unwrap());
    let (timers, bytes_before) = left();
    assert_eq!(timers, 0);
    // A capture that is dropped ends too.
    let ends: [fn(CpuCapture); 2] = [|capture| drop(capture.finish()), drop];
    for end in ends {
        let capture = CpuCapture::start(1000).unwrap();
        let (timers, bytes) = left();
        assert!(
            timers >= 2 && bytes >= bytes_before + RING_BYTES,
            "{timers} timers, {bytes_before} and {bytes} bytes"
        );
        end(capture);
        let (timers, bytes) = left();
        assert!(
            timers == 0 && bytes < bytes_before + RING_BYTES / 4,
            "{timers} timers, {bytes_before} and {bytes} bytes"
        );
    }
    // SAFETY: this only asks.
    let is_handled = |signal| unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal, std::ptr::null(), &mut action), 0);
        action.sa_sigaction != libc::SIG_DFL
    };
    assert!([libc::SIGPROF, libc::SIGVTALRM, libc::SIGSTKFLT, libc::SIGPWR].into_iter().any(is_handled));
}

//! A program that leaks at a rate, and ends or is killed. `tests/dump_files.rs` and `scripts/check-kill.sh` run it.
//!
//! Its arguments are the rate in MiB a second (0: as fast as it can), how many MiB it leaks, and what it does then:
//! `exit`, `abort`, `wait` (until its standard input ends) or `forever`. With `handler` before them, it first takes
//! SIGUSR2 itself. With `file-limit`, the system refuses files of more than 100 bytes.

use std::hint::black_box;
use std::io::Read;
use std::time::{Duration, Instant};

/// A block is so small that a fast leak is not one step, and so large that the rate is kept.
const BLOCK_BYTES: usize = 64 << 10;

#[inline(never)]
fn leak_here() {
    // Each page is written, so that it is resident.
    black_box(Box::leak(vec![1_u8; black_box(BLOCK_BYTES)].into_boxed_slice()));
}

extern "C" fn of_the_program(_: libc::c_int) {}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("handler").is_some() {
        let handler = of_the_program as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler does nothing.
        assert_ne!(unsafe { libc::signal(libc::SIGUSR2, handler) }, libc::SIG_ERR);
    }
    if arguments.next_if_eq("file-limit").is_some() {
        let limits = libc::rlimit { rlim_cur: 100, rlim_max: 100 };
        // SAFETY: the limits are read, and a signal is ignored. Without that, a file that is too large ends the program.
        unsafe {
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limits), 0);
            assert_ne!(libc::signal(libc::SIGXFSZ, libc::SIG_IGN), libc::SIG_ERR);
        }
    }
    pprof_server::install!("127.0.0.1:0");
    let mut number = || arguments.next().and_then(|text| text.parse::<u32>().ok()).expect("a number");
    let (rate_mib, leak_mib) = (number(), number());
    let started = Instant::now();
    let blocks = (leak_mib as usize) << 20 >> BLOCK_BYTES.trailing_zeros();
    for block in 0..blocks {
        leak_here();
        if rate_mib > 0 {
            let leaked_mib = (block + 1) as f64 * BLOCK_BYTES as f64 / f64::from(1 << 20);
            let due = Duration::from_secs_f64(leaked_mib / f64::from(rate_mib));
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    println!("leaked");
    match arguments.next().as_deref() {
        Some("exit") => std::process::exit(0),
        Some("abort") => std::process::abort(),
        Some("wait") => drop(std::io::stdin().read_to_end(&mut Vec::new())),
        _ => loop {
            std::thread::park();
        },
    }
    println!("went on");
}

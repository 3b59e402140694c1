//! Dumps while threads make all kinds of calls that a signal cuts short: none of them returns early.
#![cfg(by_signals)]

mod common;

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use capture::internal::thread_dump_by_signals;
use capture::{Found, thread_dump};

const DUMPS: usize = 1000;
/// The time limit of calls that have one. They begin again and again, so a dump meets them as they wait and as they begin.
const LIMIT: Duration = Duration::from_millis(3);
const LIMIT_MS: libc::c_int = 3;

fn timespec() -> libc::timespec {
    libc::timespec { tv_sec: 0, tv_nsec: LIMIT.as_nanos() as libc::c_long }
}

/// The end of a call that begins now, by a clock.
fn deadline(clock: libc::clockid_t) -> libc::timespec {
    let mut now = timespec();
    // SAFETY: it fills in the time.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_nsec += LIMIT.as_nanos() as libc::c_long;
    now.tv_sec += now.tv_nsec / 1_000_000_000;
    now.tv_nsec %= 1_000_000_000;
    now
}

/// A call of the program's, with what it returned: -1 and `errno` if it failed.
type Call = Box<dyn FnMut() -> i64 + Send>;

fn with_limit(descriptor: libc::c_int) {
    let limit = libc::timeval { tv_sec: 0, tv_usec: LIMIT.as_micros() as libc::suseconds_t };
    let (place, bytes) = ((&raw const limit).cast(), size_of::<libc::timeval>() as libc::socklen_t);
    // SAFETY: it reads the limit.
    let answer = unsafe { libc::setsockopt(descriptor, libc::SOL_SOCKET, libc::SO_RCVTIMEO, place, bytes) };
    assert_eq!(answer, 0);
}

/// A pair of sockets, one of which nobody writes to.
fn silent() -> (OwnedFd, OwnedFd) {
    let (one, other) = UnixStream::pair().unwrap();
    (one.into(), other.into())
}

fn sleeps() -> Vec<(&'static str, Call)> {
    // SAFETY: all arguments are there while the calls go on.
    unsafe {
        vec![
            ("nanosleep", Box::new(|| libc::nanosleep(&timespec(), null_mut()).into()) as Call),
            ("usleep", Box::new(|| libc::usleep(3000).into())),
            ("sleep", Box::new(|| if libc::sleep(1) == 0 { 0 } else { interrupted() })),
            (
                "clock_nanosleep",
                Box::new(|| {
                    errno_of(libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, &timespec(), null_mut()))
                }),
            ),
            (
                "clock_nanosleep until",
                Box::new(|| {
                    let until = deadline(libc::CLOCK_MONOTONIC);
                    errno_of(libc::clock_nanosleep(
                        libc::CLOCK_MONOTONIC,
                        libc::TIMER_ABSTIME,
                        &until,
                        null_mut(),
                    ))
                }),
            ),
            (
                "thread::sleep",
                Box::new(|| {
                    thread::sleep(LIMIT);
                    0
                }),
            ),
        ]
    }
}

fn interrupted() -> i64 {
    errno_of(libc::EINTR)
}

fn errno_of(error: libc::c_int) -> i64 {
    if error == 0 {
        return 0;
    }
    // SAFETY: the place is this thread's own.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn polls() -> Vec<(&'static str, Call)> {
    let (one, other) = silent();
    let fd = one.as_raw_fd();
    std::mem::forget((one, other));
    let polled = move || libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: all arguments are there while the calls go on.
    unsafe {
        let epoll = libc::epoll_create1(0);
        vec![
            ("poll", Box::new(move || libc::poll(&mut polled(), 1, LIMIT_MS).into()) as Call),
            ("ppoll", Box::new(move || libc::ppoll(&mut polled(), 1, &timespec(), null()).into())),
            (
                "select",
                Box::new(|| {
                    let mut limit =
                        libc::timeval { tv_sec: 0, tv_usec: LIMIT.as_micros() as libc::suseconds_t };
                    libc::select(0, null_mut(), null_mut(), null_mut(), &mut limit).into()
                }),
            ),
            (
                "pselect",
                Box::new(|| libc::pselect(0, null_mut(), null_mut(), null_mut(), &timespec(), null()).into()),
            ),
            (
                "epoll_wait",
                Box::new(move || {
                    let mut events = [libc::epoll_event { events: 0, u64: 0 }];
                    libc::epoll_wait(epoll, events.as_mut_ptr(), 1, LIMIT_MS).into()
                }),
            ),
            (
                "epoll_pwait",
                Box::new(move || {
                    let mut events = [libc::epoll_event { events: 0, u64: 0 }];
                    libc::epoll_pwait(epoll, events.as_mut_ptr(), 1, LIMIT_MS, null()).into()
                }),
            ),
        ]
    }
}

fn sockets() -> Vec<(&'static str, Call)> {
    let (limited, other) = silent();
    with_limit(limited.as_raw_fd());
    let path = std::env::temp_dir().join(format!("dump-calls-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    with_limit(listener.as_raw_fd());
    let (reader, writer) = io::pipe().unwrap();
    let (fd, listening, pipe) = (limited.as_raw_fd(), listener.as_raw_fd(), reader.as_raw_fd());
    let to_pipe = writer.as_raw_fd();
    std::mem::forget((limited, other, listener, reader, writer));
    let mut byte = [0_u8; 1];
    let mut other_byte = [0_u8; 1];
    let timed_out = |answer: i64| match io::Error::last_os_error().kind() {
        io::ErrorKind::WouldBlock if answer < 0 => 0,
        _ => answer,
    };
    // SAFETY: the descriptors stay open, and the buffers are there while the calls go on.
    unsafe {
        vec![
            (
                "recv with a limit",
                Box::new(move || timed_out(libc::recv(fd, byte.as_mut_ptr().cast(), 1, 0) as i64)) as Call,
            ),
            (
                "accept with a limit",
                Box::new(move || timed_out(libc::accept(listening, null_mut(), null_mut()).into())),
            ),
            // One that writes wakes the other, which waits without a limit.
            ("read", Box::new(move || libc::read(pipe, other_byte.as_mut_ptr().cast(), 1) as i64)),
            (
                "write",
                Box::new(move || {
                    thread::sleep(LIMIT);
                    libc::write(to_pipe, [0_u8; 1].as_ptr().cast(), 1) as i64
                }),
            ),
        ]
    }
}

unsafe extern "C" {
    fn semtimedop(
        set: libc::c_int,
        operations: *mut libc::sembuf,
        count: usize,
        limit: *const libc::timespec,
    ) -> libc::c_int;
}

/// A semaphore that nobody posts, and a set of them.
fn locks() -> Vec<(&'static str, Call)> {
    // SAFETY: the semaphore is initialised and never freed; other arguments are there while the calls go on.
    unsafe {
        let semaphore: &'static mut MaybeUninit<libc::sem_t> = Box::leak(Box::new(MaybeUninit::uninit()));
        libc::sem_init(semaphore.as_mut_ptr(), 0, 0);
        let semaphore = semaphore.as_mut_ptr().expose_provenance();
        let timed_out = |answer: i64| match io::Error::last_os_error().raw_os_error() {
            Some(libc::ETIMEDOUT | libc::EAGAIN) if answer < 0 => 0,
            _ => answer,
        };
        let set = libc::semget(libc::IPC_PRIVATE, 1, 0o600);
        assert!(set >= 0);
        vec![
            (
                "sem_timedwait",
                Box::new(move || {
                    let until = deadline(libc::CLOCK_REALTIME);
                    let semaphore = std::ptr::with_exposed_provenance_mut(semaphore);
                    timed_out(libc::sem_timedwait(semaphore, &until).into())
                }) as Call,
            ),
            (
                "semtimedop",
                Box::new(move || {
                    let mut take = libc::sembuf { sem_num: 0, sem_op: -1, sem_flg: 0 };
                    let limit = timespec();
                    timed_out(semtimedop(set, &raw mut take, 1, &raw const limit).into())
                }),
            ),
            (
                "sigtimedwait",
                Box::new(move || {
                    let mut signals = MaybeUninit::uninit();
                    libc::sigemptyset(signals.as_mut_ptr());
                    libc::sigaddset(signals.as_mut_ptr(), libc::SIGUSR2);
                    timed_out(libc::sigtimedwait(signals.as_ptr(), null_mut(), &timespec()).into())
                }),
            ),
        ]
    }
}

/// Waits of the standard library, and for a child.
fn others() -> Vec<(&'static str, Call)> {
    let condvar = || {
        let mutex = Mutex::new(());
        drop(Condvar::new().wait_timeout(mutex.lock().unwrap(), LIMIT));
        0
    };
    let park = || {
        thread::park_timeout(LIMIT);
        0
    };
    let waitpid = || {
        // SAFETY: the child calls nothing but what it may between `fork` and its end; the status is not asked for.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::usleep(3000);
                libc::_exit(0);
            }
            libc::waitpid(child, null_mut(), 0).into()
        }
    };
    vec![
        ("Condvar::wait_timeout", Box::new(condvar)),
        ("park_timeout", Box::new(park)),
        ("waitpid", Box::new(waitpid)),
    ]
}

/// Makes all calls, each in a thread of its own, until `dump` is done. Returns how often each was made, and how often it returned
/// early.
fn made_during(dump: impl FnOnce()) -> Vec<(&'static str, usize, usize)> {
    let calls: Vec<_> = [sleeps(), polls(), sockets(), locks(), others()].into_iter().flatten().collect();
    assert_eq!(calls.len(), 22);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = |(name, mut call): (&'static str, Call)| {
            let is_over = &is_over;
            let work = move || {
                let (mut count, mut early) = (0, 0);
                while !is_over.load(Relaxed) {
                    let is_early =
                        call() < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
                    (count, early) = (count + 1, early + usize::from(is_early));
                }
                // What reads from the pipe waits for more.
                if name == "write" {
                    call();
                }
                (name, count, early)
            };
            thread::Builder::new().name(name.into()).spawn_scoped(scope, work).unwrap()
        };
        let threads: Vec<_> = calls.into_iter().map(start).collect();
        let ends = common::Ends(&is_over, None);
        dump();
        drop(ends);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn no_call_returns_early() {
    let _turn = common::turn();
    let mut found = BTreeMap::new();
    let made = made_during(|| {
        for _ in 0..DUMPS {
            for thread in thread_dump().unwrap().threads {
                *found.entry(thread.found).or_insert(0) += 1;
            }
        }
    });
    println!("{made:?}\n{found:?}");
    assert!(made.iter().all(|(_, count, early)| *count > 0 && *early == 0), "{made:?}");
    assert!(found[&Found::BySignal] > 0 && found[&Found::FromOutside] > 10 * DUMPS, "{found:?}");
}

/// A dump may take a thread for one that runs, and it begins to wait at that moment. So here all are asked, which they never are
/// otherwise, and begin again what was cut short.
#[test]
fn a_wait_that_a_dump_cuts_short_begins_again() {
    let _turn = common::turn();
    let mut signalled = 0;
    let made = made_during(|| {
        for _ in 0..30 {
            // The first dump may come before all threads have begun.
            signalled += thread_dump_by_signals().unwrap().signalled_threads;
            // Calls with a limit come to their end in between.
            thread::sleep(10 * LIMIT);
        }
    });
    println!("{signalled} {made:?}");
    assert!(signalled > 10 * 30, "{signalled}");
    assert!(made.iter().all(|(_, count, early)| *count > 0 && *early == 0), "{made:?}");
}

//! Dumps of threads: where each one is, and that it does not notice.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

mod common;

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use capture::internal::thread_dump_by_signals;
use capture::{Found, Thread, ThreadState, thread_dump};
use common::{Ends, is_of, named, within_reason};

const LONG: Duration = Duration::from_secs(1000);

/// Has a thread of that name wait for ever.
fn wait_in(name: &str, wait: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(move || waits_for_the_test(wait)).unwrap();
}

#[inline(never)]
fn waits_for_the_test(wait: impl FnOnce()) {
    wait();
    std::hint::black_box(());
}

type Wait = Box<dyn FnOnce() + Send>;

/// Starts a thread in each kind of wait, and returns their names with what they wait in.
fn start_waits() -> HashMap<&'static str, &'static str> {
    let kinds = || waits_for_threads().into_iter().chain(waits_for_others());
    let names = kinds().map(|(name, call, _)| (name, call)).collect();
    kinds().for_each(|(name, _, wait)| wait_in(name, wait));
    names
}

/// Waits that another thread of the program would end, or the clock.
fn waits_for_threads() -> Vec<(&'static str, &'static str, Wait)> {
    let mutex = || {
        static HELD: Mutex<()> = Mutex::new(());
        let _held = HELD.lock();
        thread::scope(|scope| drop(scope.spawn(|| drop(HELD.lock())).join()));
    };
    let condvar = || {
        let mutex = Mutex::new(());
        drop(Condvar::new().wait_while(mutex.lock().unwrap(), |()| true));
    };
    let wait_timeout = || {
        let mutex = Mutex::new(());
        drop(Condvar::new().wait_timeout_while(mutex.lock().unwrap(), LONG, |()| true));
    };
    let recv = || {
        let (_sender, receiver) = mpsc::channel::<()>();
        let _ = receiver.recv();
    };
    let recv_timeout = || {
        let (_sender, receiver) = mpsc::channel::<()>();
        let _ = receiver.recv_timeout(LONG);
    };
    let rwlock = || {
        static LOCK: RwLock<()> = RwLock::new(());
        let _held = LOCK.write();
        thread::scope(|scope| drop(scope.spawn(|| drop(LOCK.read())).join()));
    };
    vec![
        ("park", "futex", Box::new(thread::park)),
        ("park_timeout", "futex", Box::new(|| thread::park_timeout(LONG))),
        ("sleep", "clock_nanosleep", Box::new(|| thread::sleep(LONG))),
        ("mutex", "futex", Box::new(mutex)),
        ("condvar", "futex", Box::new(condvar)),
        ("wait_timeout", "futex", Box::new(wait_timeout)),
        ("recv", "futex", Box::new(recv)),
        ("recv_timeout", "futex", Box::new(recv_timeout)),
        ("barrier", "futex", Box::new(|| _ = Barrier::new(2).wait())),
        ("rwlock", "futex", Box::new(rwlock)),
    ]
}

/// Waits that another program would end.
fn waits_for_others() -> Vec<(&'static str, &'static str, Wait)> {
    let accept = || drop(TcpListener::bind("127.0.0.1:0").unwrap().accept());
    let read = || {
        let (mut one, _other) = UnixStream::pair().unwrap();
        let _ = one.read(&mut [0; 8]);
    };
    let poll = || {
        let (one, _other) = UnixStream::pair().unwrap();
        let mut polled = libc::pollfd { fd: one.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: there is one.
        unsafe { libc::poll(&raw mut polled, 1, -1) };
    };
    let epoll = || {
        let mut events: [libc::epoll_event; 1] = [libc::epoll_event { events: 0, u64: 0 }];
        // SAFETY: there is room for one.
        unsafe { libc::epoll_wait(libc::epoll_create1(0), events.as_mut_ptr(), 1, -1) };
    };
    vec![
        ("accept", "accept4", Box::new(accept)),
        ("read", "recvfrom", Box::new(read)),
        ("poll", "poll", Box::new(poll)),
        ("epoll", "epoll_wait", Box::new(epoll)),
    ]
}

fn is_in(thread: &Thread, function: &str) -> bool {
    thread.frames.iter().any(|frame| is_of(frame.lookup(), function))
}

/// Each wait is walked without a signal, and what is found is what the thread itself finds when it is asked after all. Where a frame
/// pointer had to be guessed, it says so.
#[test]
fn a_walk_from_outside_is_that_of_the_thread_itself() {
    let _turn = common::turn();
    let waits = start_waits();
    let dump = within_reason(|| {
        let dump = thread_dump().unwrap();
        let waits_in = |(name, call): (&&str, &&str)| {
            named(&dump, name).is_some_and(|thread| thread.waits.as_deref() == Some(call))
        };
        waits.iter().all(waits_in).then_some(dump)
    });
    let mut exact = 0;
    let by_signals = thread_dump_by_signals().unwrap();
    for (name, call) in waits {
        let (found, truth) = (named(&dump, name).unwrap(), named(&by_signals, name).unwrap());
        assert_eq!((truth.found, truth.state), (Found::BySignal, ThreadState::Sleeping), "{name}");
        assert!(is_in(found, "waits_for_the_test"), "{name}, {call}: {:?}", found.found);
        let callers = |thread: &Thread| thread.frames[1..].to_vec();
        match found.found {
            Found::FromOutside | Found::BySignal => {
                assert_eq!(callers(found), callers(truth), "{name}: {:?}", found.found);
                // The kernel has set the thread back to the call, or has had it return.
                let distance = truth.frames[0].lookup() - found.frames[0].lookup();
                assert!(
                    found.found == Found::BySignal || distance == 0 || distance == 2,
                    "{name}: {distance}"
                );
                exact += usize::from(found.found == Found::FromOutside);
            }
            Found::Approximately => eprintln!("{name} is approximate"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(exact >= 9, "{exact} are exact");
}

#[test]
fn threads_that_run_answer_to_a_signal() {
    let _turn = common::turn();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            let thread = thread::Builder::new().name("runs".into());
            thread.spawn_scoped(scope, || runs_for_the_test(&is_over)).unwrap();
        }
        let _ends = Ends(&is_over, None);
        within_reason(|| {
            let dump = thread_dump().unwrap();
            let running = dump.threads.iter().filter(|thread| &*thread.name == "runs");
            let answered = running.filter(|thread| {
                thread.found == Found::BySignal
                    && thread.state == ThreadState::Running
                    && is_in(thread, "runs_for_the_test")
            });
            (answered.count() == 3 && dump.signalled_threads >= 3).then_some(())
        });
    });
}

#[inline(never)]
fn runs_for_the_test(is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        std::hint::spin_loop();
    }
}

/// A label is the thread's own, whether the thread is asked by a signal or looked at from outside, and it is gone with its scope.
#[test]
fn threads_are_found_with_their_labels() {
    use unwinder::label;

    let (told, ends) = (Arc::new(Barrier::new(4)), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = [("labelled wait", 71), ("labelled run", 72), ("label is over", 0)]
        .into_iter()
        .map(|(name, number)| {
            let (told, ends) = (told.clone(), ends.clone());
            let thread = thread::Builder::new().name(name.into());
            thread.spawn(move || {
                let before = label::replace(if number == 0 { 73 } else { number });
                if number == 0 {
                    label::restore(before);
                }
                told.wait();
                while !ends.load(Relaxed) {
                    if number == 72 {
                        std::hint::spin_loop();
                    } else {
                        thread::park();
                    }
                }
            })
        })
        .collect::<Result<_, _>>()
        .unwrap();
    told.wait();
    within_reason(|| {
        let dump = thread_dump().unwrap();
        let wait = named(&dump, "labelled wait").filter(|thread| thread.state == ThreadState::Sleeping)?;
        let run = named(&dump, "labelled run").filter(|thread| thread.found == Found::BySignal)?;
        assert_eq!((wait.label, run.label, named(&dump, "label is over")?.label), (71, 72, 0));
        Some(())
    });
    ends.store(true, Relaxed);
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

/// A thread of the profiler's own is known by its name where it has just begun, and has not said yet that it is to be left out.
#[test]
fn a_thread_of_the_profiler_s_own_that_has_just_begun_is_left_out() {
    let _turn = common::turn();
    let (begun, has_begun) = mpsc::channel();
    for name in ["pprof-begins", "begins"] {
        let begun = begun.clone();
        wait_in(name, move || {
            begun.send(()).unwrap();
            thread::park();
        });
    }
    // They have their names.
    (0..2).for_each(|_| has_begun.recv().unwrap());
    let looks = capture::thread_looks().unwrap();
    assert!(looks.iter().any(|look| &*look.name == "begins"), "{looks:?}");
    assert!(!looks.iter().any(|look| look.name.starts_with("pprof-")), "{looks:?}");
    let dump = thread_dump().unwrap();
    assert!(named(&dump, "begins").is_some() && named(&dump, "pprof-begins").is_none(), "{dump:?}");
    assert_eq!(dump.own_threads, 1);
}

/// Threads that take their names while a dump is taken have them, and those of the profiler's own are left out by them.
#[test]
fn who_takes_its_name_during_a_dump_has_it() {
    let _turn = common::turn();
    let mut late = 0;
    let start = Instant::now();
    while late < 50 {
        assert!(start.elapsed() < Duration::from_secs(100), "{late} of 50 were seen");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            // There are more of them than processors, so that some are not seen to run before they wait.
            for number in 0..8 {
                let is_over = &is_over;
                scope.spawn(move || {
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_millis(5) {
                        std::hint::spin_loop();
                    }
                    let name = if number == 0 { c"pprof-late" } else { c"named-late" };
                    // SAFETY: the text ends with a zero, and the call only reads it.
                    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
                    waits_for_the_test(|| {
                        while !is_over.load(Relaxed) {
                            thread::sleep(Duration::from_millis(20));
                        }
                    });
                });
            }
            let dump = thread_dump();
            is_over.store(true, Relaxed);
            let of_them = |thread: &&Thread| {
                // Threads of other tests have names before they come there.
                let is_there = |name| thread.frames.iter().any(|frame| is_of(frame.lookup(), name));
                is_there("who_takes_its_name_during_a_dump") && is_there("waits_for_the_test")
            };
            for thread in dump.unwrap().threads.iter().filter(of_them) {
                assert_eq!(&*thread.name, "named-late");
                late += 1;
            }
        });
    }
}

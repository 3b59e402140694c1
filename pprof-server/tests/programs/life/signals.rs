//! Programs that take signals in each of the ways there are, beside the profiler's threads.

use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};
use std::thread;

use crate::{ask, install};

/// So many signals are sent in all. They are of a real-time signal, of which each one is delivered.
const SIGNALS: u32 = 10_000;

pub(crate) fn take(how: &str) {
    let address = install().expect("installed");
    // A thread asks for profiles meanwhile, so that all threads of ours are there, and busy.
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    // A thread starts with those signals blocked that its creator blocks, so this one blocks all of them meanwhile.
    block(&all());
    let asking = thread::spawn(move || {
        while !IS_OVER.load(Relaxed) {
            assert_eq!(ask(address, "/debug/pprof/heap"), Some(200));
        }
    });
    unblock(&all());
    match how {
        "signalfd" => by_signalfd(),
        "sigwait" => by_sigwait(),
        "handlers" => by_handlers(),
        "tokio" => by_tokio(),
        // The program waits for the signals of whoever runs it, as its manual says: no thread lets one through.
        "wait" => wait_for_one(),
        _ => panic!("{how}"),
    }
    IS_OVER.store(true, Relaxed);
    asking.join().unwrap();
    println!("went on");
}

fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is emptied first, and is then a valid one.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        signals.iter().for_each(|signal| assert_eq!(libc::sigaddset(set.as_mut_ptr(), *signal), 0));
        set.assume_init()
    }
}

fn all() -> libc::sigset_t {
    set_of(&(1..32).chain(libc::SIGRTMIN()..libc::SIGRTMAX()).collect::<Vec<_>>())
}

fn block(set: &libc::sigset_t) {
    // SAFETY: the call reads the set.
    assert_eq!(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set, null_mut()) }, 0);
}

fn unblock(set: &libc::sigset_t) {
    // SAFETY: the call reads the set.
    assert_eq!(unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set, null_mut()) }, 0);
}

fn signal_file(set: &libc::sigset_t) -> libc::c_int {
    // SAFETY: the call reads the set.
    let file = unsafe { libc::signalfd(-1, set, libc::SFD_CLOEXEC) };
    assert!(file >= 0);
    file
}

/// Reads the number of the next signal.
fn read_signal(file: libc::c_int) -> u32 {
    let mut signal = MaybeUninit::<libc::signalfd_siginfo>::uninit();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the call reads as many bytes as there is room for, and what was read is a signal's description.
    unsafe {
        assert_eq!(libc::read(file, signal.as_mut_ptr().cast(), size), size as isize);
        signal.assume_init().ssi_signo
    }
}

fn send(signal: libc::c_int) {
    // SAFETY: the call sends a signal to this process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0);
}

static MAIN: AtomicI32 = AtomicI32::new(0);
static ON_MAIN: AtomicU32 = AtomicU32::new(0);
static ELSEWHERE: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    // SAFETY: the call asks for the thread's number.
    let is_main = unsafe { libc::gettid() } == MAIN.load(Relaxed);
    if is_main { &ON_MAIN } else { &ELSEWHERE }.fetch_add(1, Relaxed);
}

fn handle(signals: &[libc::c_int]) {
    // SAFETY: the call asks for the thread's number; the handler does nothing but count.
    unsafe {
        MAIN.store(libc::gettid(), Relaxed);
        for signal in signals {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(*signal, &raw const action, null_mut()), 0);
        }
    }
}

/// All signals that are sent are read, and no handler runs elsewhere.
fn by_signalfd() {
    let signal = libc::SIGRTMIN();
    handle(&[signal]);
    block(&set_of(&[signal]));
    let file = signal_file(&set_of(&[signal]));
    // No more are sent at once than may be pending.
    for _ in 0..SIGNALS / 100 {
        (0..100).for_each(|_| send(signal));
        (0..100).for_each(|_| assert_eq!(read_signal(file), signal as u32));
    }
    assert_eq!((ON_MAIN.load(Relaxed), ELSEWHERE.load(Relaxed)), (0, 0));
}

/// All signals are read by `sigwait`, which the main thread is not in while they are sent.
fn by_sigwait() {
    let signals = [libc::SIGRTMIN(), libc::SIGHUP, libc::SIGTERM];
    let set = set_of(&signals);
    block(&set);
    for n in 0..SIGNALS {
        let signal = signals[n as usize % signals.len()];
        send(signal);
        let mut got = 0;
        // SAFETY: the call reads the set, and writes the number.
        assert_eq!(unsafe { libc::sigwait(&raw const set, &raw mut got) }, 0);
        assert_eq!(got, signal);
    }
}

/// Handlers run on the program's own thread, as soon as it lets signals through.
fn by_handlers() {
    let signals = [libc::SIGHUP, libc::SIGUSR1, libc::SIGCHLD, libc::SIGALRM, libc::SIGPROF];
    handle(&signals);
    let set = set_of(&signals);
    for n in 0..SIGNALS {
        block(&set);
        send(signals[n as usize % signals.len()]);
        unblock(&set);
    }
    assert_eq!((ON_MAIN.load(Relaxed), ELSEWHERE.load(Relaxed)), (SIGNALS, 0));
}

/// The program reloads at SIGHUP and ends at SIGTERM, in a runtime whose threads are the only ones that let them
/// through.
fn by_tokio() {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut reload = signal(SignalKind::hangup()).unwrap();
        let mut end = signal(SignalKind::terminate()).unwrap();
        for _ in 0..200 {
            send(libc::SIGHUP);
            reload.recv().await.unwrap();
        }
        send(libc::SIGTERM);
        end.recv().await.unwrap();
    });
}

fn wait_for_one() {
    let set =
        set_of(&[libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2]);
    block(&set);
    let file = signal_file(&set);
    println!("waiting");
    println!("{}", read_signal(file));
}

//! Calls that wait, interrupted by signals of ours a thousand times a second until what they wait for comes.

use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::super::purpose::Purpose;
use super::super::sender::Senders;
use super::super::signals;
use super::super::system_call;
use super::super::timers::Timer;

/// How long a call waits until what it waits for comes.
const WAIT: Duration = Duration::from_millis(60);

/// Holds what a call returned, with `errno`.
type Answer = (i64, i32);

/// What `call` answers on a thread that has a signal each millisecond, while `wake` has it end after [`WAIT`].
fn interrupted(call: impl FnOnce() -> i64 + Send, wake: impl FnOnce(libc::pthread_t)) -> Answer {
    let signal = signals::take(Purpose::Cpu).unwrap();
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = scope.spawn(move || {
            let sender = Senders::draw(Purpose::Cpu).of_thread(system_call::thread_id());
            let often = Duration::from_millis(1);
            let timer = Timer::of_clock(libc::CLOCK_MONOTONIC, signal, sender, often, often).unwrap();
            // SAFETY: it asks for a handle.
            tell.send(unsafe { libc::pthread_self() }).unwrap();
            let start = Instant::now();
            let result = call();
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            let took = start.elapsed();
            drop(timer);
            (result, errno, took)
        });
        let handle = told.recv().unwrap();
        thread::sleep(WAIT);
        wake(handle);
        let (result, errno, took) = thread.join().unwrap();
        assert!(result < 0 || took >= WAIT / 2, "it did not wait: {took:?}");
        (result, errno)
    })
}

fn assert_unseen(name: &str, (result, errno): Answer) {
    assert!(result >= 0, "{name}: {}", io::Error::from_raw_os_error(errno));
}

/// A pipe that can be read from when something was written.
fn pipe() -> (OwnedFd, File) {
    let (reader, writer) = io::pipe().unwrap();
    (reader.into(), File::from(OwnedFd::from(writer)))
}

/// Has `call` wait for a pipe to become readable.
fn on_pipe(name: &str, call: impl FnOnce(RawFd) -> i64 + Send) {
    let (reader, mut writer) = pipe();
    let answer = interrupted(|| call(reader.as_raw_fd()), |_| writer.write_all(b"x").unwrap());
    assert_unseen(name, answer);
    assert!(answer.0 >= 1, "{name}: {answer:?}");
}

fn polled(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

fn set_of(fd: RawFd) -> libc::fd_set {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is cleared, and then has one member.
    unsafe {
        libc::FD_ZERO(set.as_mut_ptr());
        libc::FD_SET(fd, set.as_mut_ptr());
        set.assume_init()
    }
}

fn epoll_of(fd: RawFd) -> RawFd {
    // SAFETY: a descriptor of this test, which stays open until the process ends.
    unsafe {
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        assert_eq!(libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event), 0);
        epoll
    }
}

#[test]
fn waits_for_descriptors_go_on() {
    // SAFETY: the calls get valid descriptors, and room for what they fill in.
    unsafe {
        on_pipe("read", |fd| libc::read(fd, [0_u8; 1].as_mut_ptr().cast(), 1) as i64);
        on_pipe("poll", |fd| libc::poll(&mut polled(fd), 1, -1).into());
        on_pipe("ppoll", |fd| libc::ppoll(&mut polled(fd), 1, null(), null()).into());
        on_pipe("select", |fd| {
            libc::select(fd + 1, &mut set_of(fd), null_mut(), null_mut(), null_mut()).into()
        });
        on_pipe("pselect", |fd| {
            libc::pselect(fd + 1, &mut set_of(fd), null_mut(), null_mut(), null(), null()).into()
        });
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        on_pipe("epoll_wait", |fd| libc::epoll_wait(epoll_of(fd), &mut event, 1, -1).into());
        on_pipe("epoll_pwait", |fd| libc::epoll_pwait(epoll_of(fd), &mut event, 1, -1, null()).into());
    }
}

#[test]
fn waits_for_connections_go_on() {
    let (here, mut there) = UnixStream::pair().unwrap();
    // SAFETY: the descriptor is this test's own, and there is room for a byte.
    let recv = || unsafe { libc::recv(here.as_raw_fd(), [0_u8; 1].as_mut_ptr().cast(), 1, 0) as i64 };
    assert_unseen("recv", interrupted(recv, |_| there.write_all(b"x").unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // SAFETY: the descriptor is this test's own.
    let accept = || unsafe { libc::accept(listener.as_raw_fd(), null_mut(), null_mut()).into() };
    assert_unseen("accept", interrupted(accept, |_| drop(TcpStream::connect(address).unwrap())));
    let (reader, writer) = pipe();
    let mut room = vec![0_u8; 1 << 20];
    let place = room.as_mut_ptr().expose_provenance();
    let at = || std::ptr::with_exposed_provenance_mut::<libc::c_void>(place);
    // SAFETY: descriptors of this test, and bytes that live on. The pipe has room for less than there is to write, and takes
    // nothing more.
    unsafe {
        let (fd, other) = (writer.as_raw_fd(), reader.as_raw_fd());
        libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
        assert!(libc::write(fd, at(), 1 << 20) < 1 << 20);
        libc::fcntl(fd, libc::F_SETFL, 0);
        let write = || libc::write(fd, at(), 1) as i64;
        let answer = interrupted(write, |_| assert!(libc::read(other, at(), 1 << 20) > 0));
        assert_eq!(answer.0, 1, "write");
    }
}

#[test]
#[allow(clippy::zombie_processes, reason = "the child is waited for by its number")]
fn waits_for_locks_and_processes_go_on() {
    let mutex = Mutex::new(());
    let held = mutex.lock().unwrap();
    assert_unseen("Mutex", interrupted(|| drop_of(mutex.lock()), |_| drop(held)));
    let (is_over, condition) = (Mutex::new(false), Condvar::new());
    let wait = || drop_of(condition.wait_while(is_over.lock().unwrap(), |is_over| !*is_over));
    let wake = |_| {
        *is_over.lock().unwrap() = true;
        condition.notify_all();
    };
    assert_unseen("Condvar", interrupted(wait, wake));
    let mut semaphore = MaybeUninit::<libc::sem_t>::uninit();
    // SAFETY: the semaphore is there until the end of this test.
    unsafe { libc::sem_init(semaphore.as_mut_ptr(), 0, 0) };
    let semaphore = semaphore.as_mut_ptr().expose_provenance();
    let at = || std::ptr::with_exposed_provenance_mut::<libc::sem_t>(semaphore);
    // SAFETY: the semaphore is initialised, and there until the end of this test.
    let answer = interrupted(
        || unsafe { libc::sem_wait(at()).into() },
        |_| unsafe {
            libc::sem_post(at());
        },
    );
    assert_unseen("sem_wait", answer);
    let child = Command::new("sleep").arg("0.1").spawn().unwrap();
    // SAFETY: it waits for a child of this test.
    let wait = || unsafe { libc::waitpid(child.id() as i32, null_mut(), 0).into() };
    assert_unseen("waitpid", interrupted(wait, |_| ()));
    let file = tempfile();
    let other = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    // SAFETY: the descriptors are this test's own.
    unsafe {
        assert_eq!(libc::flock(file.as_raw_fd(), libc::LOCK_EX), 0);
        let lock = || libc::flock(other.as_raw_fd(), libc::LOCK_EX).into();
        let unlock = |_| assert_eq!(libc::flock(file.as_raw_fd(), libc::LOCK_UN), 0);
        assert_unseen("flock", interrupted(lock, unlock));
    }
}

/// Drops a value, and says that all went well.
fn drop_of<T>(value: T) -> i64 {
    drop(value);
    0
}

/// Opens a file without a name.
fn tempfile() -> File {
    // SAFETY: the name is terminated.
    let fd = unsafe { libc::memfd_create(c"test".as_ptr(), 0) };
    // SAFETY: the descriptor is new.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
}

extern "C" fn nothing(_: libc::c_int) {}

#[test]
fn waits_for_signals_end_by_the_program_s_alone() {
    // SAFETY: the handler does nothing, and the set is filled in before it is read.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &action, null_mut());
        let kill = |signal| move |thread| assert_eq!(libc::pthread_kill(thread, signal), 0);
        // It returns at the program's own signal, and only then.
        let start = Instant::now();
        let answer = interrupted(|| libc::pause().into(), kill(libc::SIGUSR1));
        assert_eq!(answer, (-1, libc::EINTR), "pause");
        assert!(start.elapsed() >= WAIT);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR2);
        let wait = || {
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, null_mut());
            libc::sigwaitinfo(&set, null_mut()).into()
        };
        let answer = interrupted(wait, kill(libc::SIGUSR2));
        assert_eq!(answer.0, libc::SIGUSR2.into(), "sigwaitinfo");
    }
}

#[test]
fn waits_of_system_v_go_on() {
    // SAFETY: what is made here is removed here; the calls get room for what they fill in.
    unsafe {
        let semaphores = libc::semget(libc::IPC_PRIVATE, 1, 0o600);
        let change = |by| libc::sembuf { sem_num: 0, sem_op: by, sem_flg: 0 };
        let up = |_| assert_eq!(libc::semop(semaphores, &mut change(1), 1), 0);
        assert_unseen("semop", interrupted(|| libc::semop(semaphores, &mut change(-1), 1).into(), up));
        libc::semctl(semaphores, 0, libc::IPC_RMID);
        let queue = libc::msgget(libc::IPC_PRIVATE, 0o600);
        let message = || [1_u64; 1000];
        let bytes = 999 * size_of::<u64>();
        let send = |flags| libc::msgsnd(queue, message().as_ptr().cast(), bytes, flags);
        let receive = || libc::msgrcv(queue, message().as_mut_ptr().cast(), bytes, 0, 0);
        assert_unseen("msgrcv", interrupted(|| receive() as i64, |_| assert_eq!(send(0), 0)));
        while send(libc::IPC_NOWAIT) == 0 {}
        assert_unseen("msgsnd", interrupted(|| send(0).into(), |_| assert!(receive() > 0)));
        libc::msgctl(queue, libc::IPC_RMID, null_mut());
    }
}

#[test]
fn time_limits_that_the_kernel_keeps_are_kept_and_others_end_the_wait() {
    let long = Duration::from_millis(120);
    let time = libc::timespec { tv_sec: 0, tv_nsec: 120_000_000 };
    let (reader, _writer) = pipe();
    let fd = reader.as_raw_fd();
    let start = Instant::now();
    // SAFETY: the calls get valid descriptors, and room for what they fill in.
    unsafe {
        let answer = interrupted(|| libc::ppoll(&mut polled(fd), 1, &time, null()).into(), |_| ());
        assert_eq!(answer.0, 0, "ppoll");
        let mut limit = libc::timeval { tv_sec: 0, tv_usec: 120_000 };
        let select = || libc::select(fd + 1, &mut set_of(fd), null_mut(), null_mut(), &mut limit).into();
        assert_eq!(interrupted(select, |_| ()).0, 0, "select");
        assert!(start.elapsed() >= 2 * long && start.elapsed() < 60 * long, "{:?}", start.elapsed());
        // This is how we know that the signals came at all.
        let answer = interrupted(|| libc::nanosleep(&time, null_mut()).into(), |_| ());
        assert_eq!(answer, (-1, libc::EINTR), "nanosleep");
        let answer = interrupted(|| libc::poll(&mut polled(fd), 1, 120).into(), |_| ());
        assert_eq!(answer, (-1, libc::EINTR), "poll with a limit");
    }
    let start = Instant::now();
    let sleep = || {
        thread::sleep(long);
        0
    };
    assert_unseen("std::thread::sleep", interrupted(sleep, |_| ()));
    assert!(start.elapsed() >= long);
}

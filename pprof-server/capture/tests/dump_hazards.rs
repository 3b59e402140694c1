//! What goes on beside a dump: threads that wake, begin and end, forks, and systems that refuse things.
#![cfg(by_signals)]

mod common;

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::time::Duration;
use std::{env, thread};

use capture::{Found, Thread, ThreadDump, thread_dump};
use common::{Ends, named, within_reason};
use unwinder::CodeAddress;

/// How many walks there are of threads that wake at random; `DUMP_WALKS` says otherwise.
const USUAL_WALKS: usize = 3000;

/// Waits as deep as this.
#[inline(never)]
fn wait_at(depth: usize, wait: &dyn Fn()) {
    let frame = black_box([depth; 8]);
    if depth == 0 {
        wait()
    } else {
        wait_at(depth - 1, wait)
    }
    black_box(frame);
}

const DEPTHS: usize = 8;

/// A thread that waits at a depth, and what others tell it.
struct Sleeper {
    depth: AtomicUsize,
    /// It waits wherever it likes.
    is_free: AtomicBool,
    is_over: AtomicBool,
}

impl Sleeper {
    /// Waits at one depth after another until it is over.
    fn sleep(&self) {
        let Self { depth, is_free, is_over } = self;
        let mut random = 7_usize;
        while !is_over.load(Relaxed) {
            random = next(random);
            let now = depth.load(Relaxed);
            let at = if is_free.load(Relaxed) { (random >> 33) % DEPTHS } else { now };
            let wait = || {
                while !is_over.load(Relaxed) && !is_free.load(Relaxed) && depth.load(Relaxed) == now {
                    thread::park();
                }
                if is_free.load(Relaxed) {
                    thread::park();
                }
            };
            wait_at(at, &wait);
        }
    }

    /// Returns the stacks that the thread has while it sleeps at each depth.
    fn stacks(&self, thread: &thread::Thread) -> HashSet<Vec<CodeAddress>> {
        let mut known = HashSet::new();
        for at in 0..DEPTHS {
            self.depth.store(at, Relaxed);
            thread.unpark();
            within_reason(|| {
                let dump = thread_dump().unwrap();
                let thread = named(&dump, "sleeper").filter(|thread| is_asleep(thread))?;
                assert_eq!(thread.found, Found::FromOutside);
                known.insert(thread.frames.to_vec()).then_some(())
            });
        }
        known
    }

    /// Wakes it at random until it is over.
    fn wake(&self, thread: &thread::Thread) {
        let mut random = 1_usize;
        while !self.is_over.load(Relaxed) {
            thread.unpark();
            random = next(random);
            (0..random >> 52).for_each(|_| std::hint::spin_loop());
        }
    }
}

fn next(random: usize) -> usize {
    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)
}

fn is_asleep(thread: &Thread) -> bool {
    thread.waits.as_deref() == Some("futex")
}

/// A thread waits at one depth after another, and is woken at random. Whatever is walked from outside is one of the stacks that
/// there can be, as they were found while the thread slept at each depth.
#[test]
fn a_sleeper_that_wakes_is_walked_right_or_not_at_all() {
    let _turn = common::turn();
    let walks = env::var("DUMP_WALKS").map_or(USUAL_WALKS, |number| number.parse().expect("a number"));
    let sleeper = Sleeper { depth: 0.into(), is_free: false.into(), is_over: false.into() };
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("sleeper".into());
        let started = builder.spawn_scoped(scope, || sleeper.sleep()).unwrap();
        let thread = started.thread().clone();
        let _ends = Ends(&sleeper.is_over, Some(thread.clone()));
        let known = sleeper.stacks(&thread);
        // It begins to park at a second place too.
        sleeper.is_free.store(true, Relaxed);
        thread.unpark();
        let waker = scope.spawn({
            let (sleeper, thread) = (&sleeper, thread.clone());
            move || sleeper.wake(&thread)
        });
        let (mut right, mut from_outside) = (0, 0);
        for _ in 0..walks {
            let dump = thread_dump().unwrap();
            let thread = named(&dump, "sleeper").unwrap();
            let is_walked = matches!(thread.found, Found::FromOutside | Found::Approximately);
            if is_walked && is_asleep(thread) {
                from_outside += 1;
                // Of the two places in `wait`, only that differs.
                let callers = |frames: &[CodeAddress]| -> Vec<CodeAddress> {
                    frames.iter().copied().skip_while(|frame| !is_wait_at(*frame)).collect()
                };
                let outer = callers(&thread.frames);
                let is_known = known.iter().any(|known| callers(known) == outer);
                assert!(is_known && outer.len() > 3, "{thread:?}");
                right += 1;
            }
        }
        println!("{walks} dumps, {from_outside} from outside, {right} right");
        sleeper.is_over.store(true, Relaxed);
        waker.join().unwrap();
        assert!(from_outside > walks / 100, "{from_outside} of {walks}");
    });
}

fn is_wait_at(frame: CodeAddress) -> bool {
    let start = wait_at as fn(usize, &dyn Fn()) as usize;
    (start..start + 512).contains(&frame.lookup()) && common::is_of(frame.lookup(), "wait_at")
}

/// Threads begin and end all the time, and another one takes the number of one that has ended.
#[test]
fn threads_that_come_and_go_disturb_nobody() {
    let _turn = common::turn();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let begin_threads = || {
            while !is_over.load(Relaxed) {
                thread::scope(|scope| {
                    let burn = || (0..2000_u64).fold(0, |sum, number| black_box(sum ^ number));
                    let burners: Vec<_> = (0..4).map(|_| scope.spawn(burn)).collect();
                    burners.into_iter().for_each(|burner| _ = burner.join().unwrap());
                });
            }
        };
        (0..2).for_each(|_| drop(scope.spawn(begin_threads)));
        let stays = thread::Builder::new().name("stays".into());
        let stays = stays
            .spawn_scoped(scope, || {
                while !is_over.load(Relaxed) {
                    thread::park()
                }
            })
            .unwrap();
        let _ends = Ends(&is_over, Some(stays.thread().clone()));
        within_reason(|| named(&thread_dump().unwrap(), "stays").map(drop));
        for _ in 0..300 {
            let dump = thread_dump().unwrap();
            let thread = named(&dump, "stays").expect("it is there all the time");
            assert!(thread.found.has_frames() && thread.frames.len() > 3, "{thread:?}");
        }
    });
}

/// While one thread dumps, others fork, and the children take dumps of their own.
#[test]
fn children_of_fork_take_their_own_dumps() {
    let _turn = common::turn();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let runs = scope.spawn(|| {
            while !is_over.load(Relaxed) {
                std::hint::spin_loop()
            }
        });
        let dumps = scope.spawn(|| {
            let mut dumps = 0;
            while !is_over.load(Relaxed) {
                dumps += usize::from(thread_dump().unwrap().threads.len() >= 3);
            }
            dumps
        });
        let ends = Ends(&is_over, None);
        for _ in 0..50 {
            // SAFETY: the child calls what is made for that, and ends.
            match unsafe { libc::fork() } {
                0 => {
                    let is_right = thread_dump().is_ok_and(|dump| {
                        dump.threads.len() == 1 && dump.threads[0].found == Found::BySignal
                    });
                    // SAFETY: the child ends.
                    unsafe { libc::_exit(i32::from(!is_right)) };
                }
                child => {
                    let mut status = -1;
                    // SAFETY: it fills in the status.
                    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                    assert_eq!(status, 0);
                }
            }
        }
        drop(ends);
        runs.join().unwrap();
        assert!(dumps.join().unwrap() > 0);
    });
}

/// Has the kernel refuse these system calls to the calling thread from now on.
fn refuse(calls: &[libc::c_long]) {
    let statement = |code: u32, jt, k| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    let load_number = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0);
    let answer = |with| statement(libc::BPF_RET | libc::BPF_K, 0, with);
    let mut filter = vec![load_number];
    for (index, call) in calls.iter().enumerate() {
        let to_end = (calls.len() - index) as u8;
        filter.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, to_end, *call as u32));
    }
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    filter.push(answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is there during the call, which is for this thread alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// A dump by a thread that the kernel refuses these calls.
fn dump_without(calls: &'static [libc::c_long]) -> Result<ThreadDump, capture::StartError> {
    thread::spawn(move || {
        refuse(calls);
        thread_dump()
    })
    .join()
    .unwrap()
}

/// What a sandbox refuses is made up for, or said of each thread.
#[test]
fn what_a_sandbox_refuses_is_said() {
    let _turn = common::turn();
    for (name, wait) in
        [("parks", thread::park as fn()), ("sleeps", || thread::sleep(Duration::from_secs(1000)))]
    {
        thread::Builder::new().name(name.into()).spawn(wait).unwrap();
    }
    within_reason(|| {
        let dump = thread_dump().unwrap();
        let is_outside = |name| named(&dump, name).is_some_and(|thread| thread.found == Found::FromOutside);
        (is_outside("parks") && is_outside("sleeps")).then_some(())
    });
    let found = |calls, name| named(&dump_without(calls).unwrap(), name).unwrap().found;
    // There is another way.
    assert_eq!(found(&[libc::SYS_process_vm_readv], "sleeps"), Found::FromOutside);
    // There is none, but a thread that may be interrupted answers.
    const NO_COPIES: &[libc::c_long] = &[libc::SYS_process_vm_readv, libc::SYS_pread64];
    assert_eq!((found(NO_COPIES, "sleeps"), found(NO_COPIES, "parks")), (Found::Unreadable, Found::BySignal));
    const NO_SIGNALS: &[libc::c_long] =
        &[libc::SYS_process_vm_readv, libc::SYS_pread64, libc::SYS_rt_tgsigqueueinfo];
    assert_eq!(found(NO_SIGNALS, "parks"), Found::Unreadable);
    let error = dump_without(&[libc::SYS_openat]).unwrap_err();
    assert!(error.to_string().contains("/proc/self/task"), "{error}");
}

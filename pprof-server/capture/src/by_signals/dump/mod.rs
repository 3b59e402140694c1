//! Where all threads are, at one moment.
//!
//! ```text
//! list of threads ─▶ task ─▶ asleep: sleeper copies the stack, and the copy is walked
//!                       └──▶ runs: when it is seen to, requests sends a signal ─▶ handler walks ─▶ ring ─▶ answers
//! ```
//!
//! A signal that comes to a thread which waits ends the wait early, for most system calls. So a thread that waits is walked from
//! outside. Where that has to guess, and the kernel restarts the call as if there had been no signal, the thread is asked by a
//! signal after all.

mod calls;
mod requests;
pub(super) mod sleeper;
pub(super) mod task;

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::purpose::Purpose;
use super::timers::used_time;
use super::turn::Turn;
use super::{fork, own_threads, system_call};
use crate::threads;
use crate::{Found, StartError, Thread, ThreadDump, ThreadState};
use requests::{Answer, Requests};
use sleeper::Copier;
use task::{Asleep, Task, Whereabouts, kernel_function, task, whereabouts};

/// How long threads have to answer to a signal.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How long a dump waits until another one is done.
const LONGEST_QUEUE: Duration = Duration::from_secs(5);
/// A thread that has run within this time is taken to run still. What it may have begun to wait for since goes on after a signal,
/// and takes longer by no more than this.
const JUST_NOW: Duration = Duration::from_millis(1);
/// How often a thread is looked at that goes on while it is looked at.
const TRIES: usize = 4;

/// Takes the stacks of all threads of this process but those that are left out: see [`leave_out`](crate::leave_out).
///
/// Threads that wait are not disturbed, and their system calls do not return early. Threads that run take a signal and walk
/// their own stacks, which takes them some microseconds; those that do not answer within 100 ms are named without a stack.
///
/// Cost: it takes some 30 µs for each thread. If another dump is under way, this waits for its end.
///
/// # Errors
///
/// See [`StartError`]. That a thread could not be walked is no error: [`Thread::found`] says so.
pub fn thread_dump() -> Result<ThreadDump, StartError> {
    Ok(dump(Whom::WhoRuns)?.0)
}

/// As [`thread_dump`], with where each thread slept whose stack was walked there.
pub(super) fn thread_dump_and_sleepers() -> Result<(ThreadDump, HashMap<u32, Asleep>), StartError> {
    dump(Whom::WhoRuns)
}

/// As [`thread_dump`], but every thread takes a signal, whatever that does to it: to compare the two.
///
/// # Errors
///
/// The errors are those of [`thread_dump`].
pub fn thread_dump_by_signals() -> Result<ThreadDump, StartError> {
    Ok(dump(Whom::All)?.0)
}

/// Who is asked by a signal.
#[derive(Clone, Copy, PartialEq)]
enum Whom {
    /// Those of whom nothing is known otherwise.
    WhoRuns,
    All,
}

fn dump(whom: Whom) -> Result<(ThreadDump, HashMap<u32, Asleep>), StartError> {
    let _turn = wait_for_turn()?;
    unwinder::prepare();
    if !unwinder::is_ready() {
        return Err(StartError::NotOnThisPlatform);
    }
    fork::prepare();
    let start = Instant::now();
    let refused = |source| StartError::Refused { what: "the list of threads in /proc/self/task", source };
    let mut listed = threads::list().map_err(refused)?;
    listed.sort_unstable();
    let own: HashSet<u32> = own_threads::all().into_iter().collect();
    let mut dump = Dump {
        whom,
        copier: Copier::default(),
        requests: Requests::default(),
        threads: Vec::new(),
        sleepers: HashMap::new(),
    };
    let mut own_threads = 0;
    let mut runners = Vec::new();
    for thread_id in listed {
        let Some(task) = task(thread_id) else { continue };
        if own.contains(&thread_id) || own_threads::is_named_so(&task.name) {
            own_threads += 1;
        } else {
            runners.extend(dump.meet(thread_id, task));
        }
    }
    dump.ask_runners(runners, start + LONGEST_WAIT);
    dump.wait_for_answers();
    let Dump { requests, mut threads, sleepers, .. } = dump;
    let ran = |thread: &&mut Thread| !matches!(thread.found, Found::FromOutside | Found::Approximately);
    threads.iter_mut().filter(ran).for_each(note_name);
    let known = threads.len();
    threads.retain(|thread| !own_threads::is_named_so(&thread.name));
    own_threads += known - threads.len();
    let of_threads = ThreadDump {
        taken_at: SystemTime::now(),
        duration: start.elapsed(),
        signalled_threads: requests.count(),
        threads,
        own_threads,
    };
    Ok((of_threads, sleepers))
}

fn wait_for_turn() -> Result<Turn, StartError> {
    let start = Instant::now();
    loop {
        match Turn::take(Purpose::Dump) {
            Err(StartError::InUse) if start.elapsed() < LONGEST_QUEUE => {
                thread::sleep(Duration::from_millis(1))
            }
            taken => return taken,
        }
    }
}

/// A dump that is being taken.
struct Dump {
    whom: Whom,
    copier: Copier,
    requests: Requests,
    /// Lists the threads by their numbers.
    threads: Vec<Thread>,
    /// Where those slept that were walked from outside.
    sleepers: HashMap<u32, Asleep>,
}

/// A thread that runs, or is about to. It may still be in a system call that it has just been woken from, until it gets a processor:
/// then a signal would have the call fail. So it is asked when it is seen to run.
struct Runner {
    task: Task,
    thread_id: u32,
    /// The CPU time that it had used, and when that was.
    used: (Duration, Instant),
}

/// Tells what a look at a thread has led to.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    /// All is known, or was asked for.
    Done,
    Runs,
    HasEnded,
}

impl Dump {
    /// Looks at a thread for the first time. It is returned if it runs.
    fn meet(&mut self, thread_id: u32, task: Task) -> Option<Runner> {
        let mut thread = Thread::new(thread_id, &task.name, task.state?, Box::default());
        let used = (used_time(thread_id)?, Instant::now());
        let is_this_one = thread_id == system_call::thread_id();
        // Of itself, the kernel says that it is in the call that asks for that.
        let look = if is_this_one { Look::Runs } else { self.look(&mut thread, &task) };
        if look == Look::HasEnded {
            return None;
        }
        if look == Look::Runs {
            (thread.state, thread.found) = (ThreadState::Running, Found::NoAnswer);
        }
        self.threads.push(thread);
        (look == Look::Runs).then_some(Runner { task, thread_id, used })
    }

    /// Looks where a thread is, and walks its stack if it waits.
    fn look(&mut self, thread: &mut Thread, task: &Task) -> Look {
        for _ in 0..TRIES {
            match whereabouts(thread.id) {
                Ok(Whereabouts::Running) => return Look::Runs,
                Ok(Whereabouts::Asleep(asleep)) => {
                    if self.walk_sleeper(thread, task, &asleep) {
                        return Look::Done;
                    }
                }
                Err(_) if task::task(thread.id).is_none_or(|task| task.state.is_none()) => {
                    return Look::HasEnded;
                }
                Err(_) => {
                    (thread.waits, thread.found) = (kernel_function(thread.id), Found::Hidden);
                    return Look::Done;
                }
            }
        }
        thread.found = Found::Moved;
        Look::Done
    }

    /// Walks the stack of a thread that waits. False: it has gone on.
    fn walk_sleeper(&mut self, thread: &mut Thread, task: &Task, asleep: &Asleep) -> bool {
        let ran = thread.state == ThreadState::Running;
        if !self.copier.note_stack(thread, asleep) {
            return false;
        }
        if ran {
            note_name(thread);
        }
        self.sleepers.insert(thread.id, asleep.clone());
        let is_restarted = || asleep.call.is_some_and(|call| call.is_restarted());
        if self.whom == Whom::All || thread.found != Found::FromOutside && is_restarted() {
            // What was found is kept if there is no answer.
            self.requests.ask(thread.id, task);
        }
        true
    }

    /// Asks each of these threads as soon as it is seen to run, or walks it when it waits.
    fn ask_runners(&mut self, mut runners: Vec<Runner>, end: Instant) {
        loop {
            runners.retain_mut(|runner| self.ask_runner(runner, end));
            self.take_answers();
            if runners.is_empty() || Instant::now() >= end {
                return;
            }
            thread::sleep(requests::LOOK_EVERY);
        }
    }

    /// True: it was not seen to run yet.
    fn ask_runner(&mut self, runner: &mut Runner, end: Instant) -> bool {
        let thread_id = runner.thread_id;
        let Ok(index) = self.threads.binary_search_by_key(&thread_id, |thread| thread.id) else {
            return false;
        };
        let mut thread = self.threads[index].clone();
        let used = used_time(thread_id);
        let is_this_one = thread_id == system_call::thread_id();
        let look = if is_this_one { Look::Runs } else { self.look(&mut thread, &runner.task) };
        let (Some(used), Look::Runs | Look::Done) = (used, look) else {
            self.threads.remove(index);
            return false;
        };
        if look == Look::Runs {
            let now = Instant::now();
            // On a busy machine, somebody else may run all the while.
            let limit =
                if end.saturating_duration_since(now) < LONGEST_WAIT / 2 { JUST_NOW * 10 } else { JUST_NOW };
            let has_run = used > runner.used.0 && now - runner.used.1 <= limit;
            let runs = is_this_one || has_run || used_time(thread_id).is_some_and(|later| later > used);
            if !runs {
                runner.used = (used, now);
                return true;
            }
            thread.found = self.requests.ask(thread_id, &runner.task);
        }
        self.threads[index] = thread;
        false
    }

    /// Puts the answers that there are in their places.
    fn take_answers(&mut self) {
        let Dump { requests, threads, .. } = self;
        requests.take(|Answer { thread_id, label, frames, is_truncated }| {
            if let Ok(index) = threads.binary_search_by_key(&thread_id, |thread| thread.id) {
                let thread = &mut threads[index];
                (thread.frames, thread.is_truncated, thread.found) = (frames, is_truncated, Found::BySignal);
                thread.label = label;
            }
        });
    }

    /// Waits until all who were asked have answered, or the time is over.
    fn wait_for_answers(&mut self) {
        let end = Instant::now() + LONGEST_WAIT;
        while self.requests.are_open() && Instant::now() < end {
            thread::sleep(requests::LOOK_EVERY);
            self.take_answers();
        }
    }
}

/// Notes the name that a thread has now. A thread that has just begun has the name of the one that began it, until it takes its own:
/// so a name that was read before the stack may be another thread's.
fn note_name(thread: &mut Thread) {
    // mutant: E13 a thread that takes its name while it is looked at keeps that of another
    if let Some(name) = threads::name(thread.id) {
        thread.name = name;
    }
}

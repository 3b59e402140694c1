//! Which threads wait on a word of memory, what they wait for, and who has pointers to that.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, SystemTime};

use super::dump::sleeper::Copier;
use super::dump::task::{Asleep, Whereabouts, whereabouts};
use super::dump::thread_dump_and_sleepers;
use super::maps::{self, StackRange};
use super::timers::used_time;
use crate::locks::waiting_on;
use crate::threads;
use crate::{CurrentWait, CurrentWaits, LockWord, StartError, Thread};

const WORD_BYTES: usize = size_of::<usize>();
/// So many words of a stack are searched: all of nearly every one.
const MAX_WORDS: usize = 1 << 17;
/// So many where it is not known how far a stack goes, as that of a fiber.
const FEW_WORDS: usize = 1 << 11;
/// How often a thread is looked at until it waits: one that was asked by a signal goes back to its wait.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// Looks which threads wait on a word of memory, as for a lock, and whose stacks have pointers to the words of locks.
///
/// # Errors
///
/// See [`StartError`].
///
/// # Cost
///
/// It takes as long as a [`thread_dump`](crate::thread_dump), and where somebody waits for a lock, a millisecond for each MiB of stack
/// that threads use. Threads that run are given 20 ms to come to a wait; if there are some even then, a MiB is searched of each stack that no
/// thread sleeps on.
pub fn current_waits() -> Result<CurrentWaits, StartError> {
    let (dump, sleepers) = thread_dump_and_sleepers()?;
    let asleep = settled(&dump.threads);
    let mut copier = Copier::default();
    let mut wait = |thread: &Thread| {
        let asleep = asleep.get(&thread.id)?;
        wait_of(thread, asleep, sleepers.get(&thread.id), &mut copier)
    };
    let mut waits: Vec<CurrentWait> = dump.threads.iter().filter_map(&mut wait).collect();
    note_times(&mut waits);
    let mut pointed_to_by: BTreeMap<usize, Vec<u32>> =
        waits.iter().filter(|wait| is_lock(wait)).map(|wait| (wait.address, Vec::new())).collect();
    if !pointed_to_by.is_empty() {
        let running: Vec<u32> =
            dump.threads.iter().map(|thread| thread.id).filter(|id| !asleep.contains_key(id)).collect();
        note_pointers(&asleep, &running, &mut pointed_to_by);
    }
    for wait in waits.iter().filter(|wait| is_lock(wait)) {
        pointed_to_by.get_mut(&wait.address).into_iter().for_each(|threads| {
            threads.retain(|&id| id != wait.thread.id);
        });
    }
    Ok(CurrentWaits { taken_at: SystemTime::now(), waits, pointed_to_by, threads: dump.threads.len() })
}

/// Notes which stacks have a pointer to which words.
fn note_pointers(
    asleep: &BTreeMap<u32, Asleep>,
    running: &[u32],
    pointed_to_by: &mut BTreeMap<usize, Vec<u32>>,
) {
    let (main, others) = maps::stacks().unwrap_or_default();
    let mut stacks: Vec<StackRange> = main.into_iter().chain(others).collect();
    let mut copier = Copier::default();
    let mut search = |start: usize, words: usize, threads: &[u32]| {
        for word in copier.words(start, words) {
            if let Some(pointing) = pointed_to_by.get_mut(word)
                && !threads.iter().all(|id| pointing.contains(id))
            {
                pointing.extend(threads);
            }
        }
    };
    for (&id, asleep) in asleep {
        let pointer = asleep.stack_pointer & !(WORD_BYTES - 1);
        let own = stacks.iter().position(|stack| (stack.start..stack.end).contains(&pointer));
        let words = own
            .map_or(FEW_WORDS, |own| ((stacks.swap_remove(own).end - pointer) / WORD_BYTES).min(MAX_WORDS));
        search(pointer, words, &[id]);
    }
    // Nobody tells where the stack pointer of a thread is that runs, or would run if it had a processor. Its stack is among those that
    // no thread sleeps on, where stacks of ended threads are too. So whatever these point to, each of the threads that run may have.
    // mutant: E97 who runs has no lock
    if !running.is_empty() {
        for stack in stacks {
            let words = ((stack.end - stack.start) / WORD_BYTES).min(MAX_WORDS);
            search(stack.end - words * WORD_BYTES, words, running);
        }
    }
}

impl CurrentWaits {
    /// Leaves out the threads that have gone on since the look: what is left has waited all the while, for the same thing.
    pub fn keep_lasting(&mut self) {
        // Who was woken and has had no processor yet has used no time either, but no longer sleeps.
        let sleeps_there = |wait: &CurrentWait| match whereabouts(wait.thread.id) {
            Ok(Whereabouts::Asleep(now)) => {
                now.futex_wait().is_some_and(|futex| futex.address == wait.address)
            }
            _ => false,
        };
        // mutant: E97 who has gone on waits still
        self.waits.retain(|wait| sleeps_there(wait) && used_time(wait.thread.id) == Some(wait.used));
    }
}

fn is_lock(wait: &CurrentWait) -> bool {
    matches!(wait.word, LockWord::Mutex | LockWord::RwLock) && wait.joins.is_none()
}

/// Where the threads are that wait, by their numbers. Those that do not wait by now get a little time to do so.
fn settled(threads: &[Thread]) -> BTreeMap<u32, Asleep> {
    let mut found = BTreeMap::new();
    let mut open: Vec<u32> = threads.iter().map(|thread| thread.id).collect();
    for _ in 0..TRIES {
        open.retain(|&id| match whereabouts(id) {
            Ok(Whereabouts::Asleep(asleep)) => {
                found.insert(id, asleep);
                false
            }
            Ok(Whereabouts::Running) => true,
            Err(_) => false,
        });
        if open.is_empty() {
            break;
        }
        thread::sleep(PAUSE);
    }
    found
}

/// The wait of a thread, if it waits on a word. `walked` tells where it slept when the dump walked its stack, if it did.
fn wait_of(
    thread: &Thread,
    asleep: &Asleep,
    walked: Option<&Asleep>,
    copier: &mut Copier,
) -> Option<CurrentWait> {
    let used = used_time(thread.id)?;
    let futex = asleep.futex_wait()?;
    let mut thread = thread.clone();
    if walked != Some(asleep) {
        // It has gone on since the dump, so the stack in there is not that of this wait.
        // mutant: E97 a wait has the stack from before it
        if !copier.note_stack(&mut thread, asleep) {
            return None;
        }
    }
    // It may have taken its name since.
    // mutant: E97 a wait has the name from before it
    thread.name = threads::name(thread.id)?;
    // What it wants to see there is the number of a thread: that one's end is waited for.
    let joins = (futex.value != thread.id && threads::name(futex.value).is_some()).then_some(futex.value);
    let mut wait = CurrentWait::new(thread, futex.address, LockWord::of_value(futex.value));
    (wait.has_end, wait.joins, wait.used) = (futex.has_end, joins, used);
    // It may have gone on since it was looked at.
    matches!(whereabouts(wait.thread.id), Ok(Whereabouts::Asleep(now)) if now == *asleep).then_some(wait)
}

/// Notes how long waits have lasted that were measured from their beginning.
fn note_times(waits: &mut [CurrentWait]) {
    let mut numbers = HashMap::<usize, u64>::new();
    waits.iter().for_each(|wait| *numbers.entry(wait.address).or_default() += 1);
    for wait in waits {
        // If more wait than were noted, it is not known who these are.
        let noted = waiting_on(wait.address).filter(|noted| noted.waiters >= numbers[&wait.address]);
        wait.waited = noted.map(|noted| noted.mean_time);
    }
}

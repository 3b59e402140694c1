//! Which threads wait on a word of memory, what they wait for, and who has pointers to that.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, SystemTime};

use super::dump::sleeper::Copier;
use super::dump::task::{Asleep, Whereabouts, whereabouts};
use super::dump::thread_dump;
use super::maps;
use super::timers::used_time;
use crate::locks::waiting_on;
use crate::{CurrentWait, CurrentWaits, LockWord, StartError, Thread};

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
/// that threads use. Threads that run are given 20 ms to come to a wait.
pub fn current_waits() -> Result<CurrentWaits, StartError> {
    let dump = thread_dump()?;
    let asleep = settled(&dump.threads);
    let mut waits: Vec<CurrentWait> =
        dump.threads.iter().filter_map(|thread| wait_of(thread, asleep.get(&thread.id)?)).collect();
    note_times(&mut waits);
    let mut pointed_to_by: BTreeMap<usize, Vec<u32>> =
        waits.iter().filter(|wait| is_lock(wait)).map(|wait| (wait.address, Vec::new())).collect();
    if !pointed_to_by.is_empty() {
        let (main, others) = maps::stacks().unwrap_or_default();
        let end_of = |pointer: usize| {
            let range = main.iter().chain(&others).find(|range| (range.start..range.end).contains(&pointer));
            range.map(|range| range.end)
        };
        let mut copier = Copier::default();
        for (&id, asleep) in &asleep {
            let pointer = asleep.stack_pointer & !7;
            let words = end_of(pointer).map_or(FEW_WORDS, |end| ((end - pointer) / 8).min(MAX_WORDS));
            for word in copier.words(pointer, words) {
                if let Some(threads) = pointed_to_by.get_mut(word)
                    && threads.last() != Some(&id)
                {
                    threads.push(id);
                }
            }
        }
    }
    for wait in waits.iter().filter(|wait| is_lock(wait)) {
        pointed_to_by.get_mut(&wait.address).into_iter().for_each(|threads| {
            threads.retain(|&id| id != wait.thread.id);
        });
    }
    Ok(CurrentWaits { taken_at: SystemTime::now(), waits, pointed_to_by, threads: dump.threads.len() })
}

impl CurrentWaits {
    /// Leaves out the threads that have gone on since the look: what is left has waited all the while, for the same thing.
    pub fn keep_lasting(&mut self) {
        // mutant: E97 who has gone on waits still
        self.waits.retain(|wait| used_time(wait.thread.id) == Some(wait.used));
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

/// The wait of a thread, if it waits on a word.
fn wait_of(thread: &Thread, asleep: &Asleep) -> Option<CurrentWait> {
    let used = used_time(thread.id)?;
    let futex = asleep.futex_wait()?;
    // What it wants to see there is the number of a thread: that one's end is waited for.
    let joins =
        (futex.value != thread.id && super::threads::name(futex.value).is_some()).then_some(futex.value);
    let mut wait = CurrentWait::new(thread.clone(), futex.address, LockWord::of_value(futex.value));
    (wait.has_end, wait.joins, wait.used) = (futex.has_end, joins, used);
    // It may have gone on since it was looked at.
    matches!(whereabouts(thread.id), Ok(Whereabouts::Asleep(now)) if now == *asleep).then_some(wait)
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

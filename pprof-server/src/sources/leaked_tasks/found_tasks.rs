//! The tasks that are known: those that were sampled, and those that the search comes upon.
//!
//! Path: *read path*.

use super::verdict::{Awake, Facts, Reason, Waker};
use crate::sources::goroutine::tasks::{Cells, MAX_READ};
use alloc_profiler::internal::cpu_time;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tasks::{AwaitFrame, Block, Masked, Memory, State, TypeIndex, Unread, Wait, Waiting};

/// So much processor time the reading of tasks may take for one look.
const TIME_BUDGET: Duration = Duration::from_secs(2);
/// So long it may take on a machine that has much else to do.
const LONGEST: Duration = Duration::from_secs(15);
/// So often a task that ran while it was read is read anew.
const TRIES: usize = 3;
/// This is what tokio aligns tasks to, in bytes.
const ALIGNMENT: u64 = 128;
/// A task that is younger is not judged: what could wake it may just be on its way from one place to another, and no search that takes time
/// sees all places at once. Whoever waits for ever grows older.
const YOUNG: Duration = Duration::from_secs(5);
/// A task that has this in a name serves profiles, and waits for threads whose stacks are not searched.
const PROFILER: &str = "pprof_server::http::";

/// A task that is known.
pub(super) struct FoundTask {
    pub(super) cell: Masked,
    /// This is what was read of it.
    pub(super) waiting: Result<Waiting, Unread>,
    /// What is known without the search: `None` if that depends on what it waits for.
    facts: Option<Facts>,
}

/// All tasks that are known. The sampled ones come first, in the order of their cells.
pub(super) struct FoundTasks<'a> {
    pub(super) tasks: Vec<FoundTask>,
    by_cell: BTreeMap<Masked, usize>,
    index: &'a mut TypeIndex,
    memory: &'a dyn Memory,
}

impl<'a> FoundTasks<'a> {
    /// Reads the sampled tasks. Of those that are not among `suspected`, if that is given, it is only known that they are not leaked.
    pub(super) fn read(
        cells: &Cells,
        index: &'a mut TypeIndex,
        memory: &'a dyn Memory,
        suspected: Option<&[bool]>,
    ) -> FoundTasks<'a> {
        let mut found = FoundTasks { tasks: Vec::new(), by_cell: BTreeMap::new(), index, memory };
        let (start, started) = (Instant::now(), cpu_time());
        for (number, block) in cells.blocks.iter().enumerate() {
            let is_over = number >= MAX_READ
                || start.elapsed() > LONGEST
                || cpu_time().saturating_sub(started) > TIME_BUDGET;
            let is_suspected = suspected.is_none_or(|suspected| suspected[number]);
            let place = Block { address: block.address as u64, bytes: Some(block.size as u64) };
            let waiting = if is_over { Err(Unread::NoTypes) } else { found.waiting(place) };
            let mut facts = facts(&waiting);
            if facts.is_none() && !block.is_in_use() {
                facts = Some(Facts::NotKnown(Reason::Changed));
            } else if facts.is_none() && block.age < YOUNG {
                facts = Some(Facts::NotKnown(Reason::Young));
            } else if facts.is_none() && !is_suspected {
                // The first look has found that it can be woken, or that this is not known.
                facts = Some(Facts::NotKnown(Reason::Changed));
            }
            found.add(Masked::of(place.address), waiting, facts);
        }
        found
    }

    fn waiting(&mut self, place: Block) -> Result<Waiting, Unread> {
        let mut last = Err(Unread::Busy);
        for _ in 0..TRIES {
            last = self.index.read_waiting(self.memory, place);
            if last != Err(Unread::Busy) {
                break;
            }
        }
        last
    }

    fn add(&mut self, cell: Masked, waiting: Result<Waiting, Unread>, facts: Option<Facts>) {
        self.by_cell.insert(cell, self.tasks.len());
        self.tasks.push(FoundTask { cell, waiting, facts });
    }

    /// Returns the task whose memory begins there, if there is one.
    pub(super) fn at(&mut self, cell: Masked) -> Option<usize> {
        if let Some(&known) = self.by_cell.get(&cell) {
            return Some(known);
        }
        if !cell.address().is_multiple_of(ALIGNMENT) {
            return None;
        }
        let waiting = self.waiting(Block { address: cell.address(), bytes: None });
        if waiting == Err(Unread::NotATask) {
            return None;
        }
        let facts = facts(&waiting);
        self.add(cell, waiting, facts);
        Some(self.tasks.len() - 1)
    }

    /// Returns the task whose memory begins there, if that is known.
    pub(super) fn known(&self, cell: Masked) -> Option<usize> {
        self.by_cell.get(&cell).copied()
    }

    /// Whether the memory of the task in `cell` has a pointer at `place` which is in use, by its type: whatever else is there was left behind,
    /// or is a number.
    pub(super) fn has_pointer(&mut self, cell: Masked, place: Masked, target: Masked) -> bool {
        let task = self.known(cell).map(|task| &self.tasks[task]);
        let typed = task.and_then(|task| task.waiting.as_ref().ok()?.memory);
        typed.is_some_and(|typed| {
            self.index.word(self.memory, typed, place.address(), target.address()).is_some()
        })
    }

    /// Returns which undecided task waits for which other one to end, by the other one's memory.
    pub(super) fn joined(&self) -> BTreeMap<Masked, usize> {
        let of = |task: usize| {
            let waits = self.undecided(task).map_or(&[][..], |waiting| &waiting.waits);
            waits.iter().filter_map(move |wait| match wait {
                Wait::Task(other) => Some((*other, task)),
                _ => None,
            })
        };
        (0..self.tasks.len()).flat_map(of).collect()
    }

    /// Returns what the task waits for if it depends on that whether it can be woken.
    pub(super) fn undecided(&self, task: usize) -> Option<&Waiting> {
        let FoundTask { waiting, facts, .. } = &self.tasks[task];
        waiting.as_ref().ok().filter(|_| facts.is_none())
    }

    /// Whether the task has ended, so that its memory is a block as any other.
    pub(super) fn has_ended(&self, task: usize) -> bool {
        self.tasks[task].facts == Some(Facts::Ended)
    }

    /// Returns what is known of all tasks, where `wakers` finds what could wake one that is undecided.
    pub(super) fn facts(&self, mut wakers: impl FnMut(usize, &Waiting) -> Vec<Waker>) -> Vec<Facts> {
        let of = |(number, task): (usize, &FoundTask)| match (&task.facts, &task.waiting) {
            (Some(facts), _) => facts.clone(),
            (None, Ok(waiting)) => Facts::Waits(wakers(number, waiting)),
            (None, Err(_)) => Facts::NotKnown(Reason::Unread),
        };
        self.tasks.iter().enumerate().map(of).collect()
    }
}

/// Returns what is known of a task without the search. It is `None` if that depends on what it waits for.
fn facts(waiting: &Result<Waiting, Unread>) -> Option<Facts> {
    let waiting = match waiting {
        Ok(waiting) => waiting,
        Err(Unread::Busy) => return Some(Facts::Awake(Awake::Runs)),
        Err(_) => return Some(Facts::NotKnown(Reason::Unread)),
    };
    match waiting.task.state {
        State::Complete => return Some(Facts::Ended),
        State::Suspended if waiting.task.is_cancelled => return Some(Facts::Awake(Awake::Aborted)),
        State::Suspended => {}
        _ => return Some(Facts::Awake(Awake::Runs)),
    }
    if is_of_profiler(&waiting.task.future) {
        return Some(Facts::Awake(Awake::OfProfiler));
    }
    if waiting.waits.contains(&Wait::Event) {
        return Some(Facts::Awake(Awake::Event));
    }
    if waiting.waits.is_empty() || waiting.waits.contains(&Wait::Unknown) {
        return Some(Facts::NotKnown(Reason::Future));
    }
    // The runtime has one reference, the handle another, and what is waited for has one for each future that waits.
    let understood = 1 + u64::from(waiting.has_handle) + waiting.waits.len() as u64;
    (waiting.references > understood).then_some(Facts::NotKnown(Reason::References))
}

/// Whether a future is the profiler's, or waits for one.
fn is_of_profiler(future: &AwaitFrame) -> bool {
    future.function.contains(PROFILER) || future.children.iter().any(is_of_profiler)
}

//! Reads the sampled tasks, as far as the program's types and time allow.
//!
//! Path: *read path*.

use super::cells::Cells;
use super::debug_files;
use super::frames::{self, Lines};
use super::kept_index::IndexInUse;
use crate::kept_files;
use crate::mappings::{Mappings, files};
use alloc_profiler::CodeAddress;
use alloc_profiler::internal::{LiveBlock, cpu_time};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tasks::{Block, Grade, Memory, OwnMemory, State, Task, TypeIndex, Unread};

/// So many tasks are read at most for one request.
pub(in crate::sources) const MAX_READ: usize = 10_000;
/// So much processor time the reading of tasks may take for one request.
const TIME_BUDGET: Duration = Duration::from_secs(2);
/// So long it may take on a machine that has much else to do.
const LONGEST: Duration = Duration::from_secs(15);
/// So often a task that ran while it was read is read anew.
const TRIES: usize = 3;

/// What was found out about one task.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Where it waits.
    Read {
        state: &'static str,
        /// The futures down to the one that waits, or to where they branch, the innermost first.
        trunk: Vec<CodeAddress>,
        /// Those that it waits for all at once.
        branches: Vec<CodeAddress>,
    },
    /// It was not read, for this reason; `None` where the debug information has nothing to read any task by.
    Unread(Option<&'static str>),
}

impl Outcome {
    /// Writes where a task waits.
    pub(super) fn of(task: &Task, written: &mut Lines) -> Outcome {
        Outcome::Read {
            state: match task.state {
                State::Complete => "complete",
                State::Scheduled => "scheduled",
                _ => "suspended",
            },
            trunk: frames::trunk(&task.future, task.state == State::Complete, written),
            branches: frames::branches(&task.future, written),
        }
    }
}

/// What was found out about all tasks.
pub(super) struct Chains {
    /// Holds one for each cell, in their order.
    pub(super) outcomes: Vec<Outcome>,
    /// How much the debug information says of tasks.
    pub(super) grade: Grade,
    /// Why no task could be read at all.
    pub(super) failure: Option<String>,
    /// Whether some debug information was left out, because it makes no sense or is too large.
    pub(super) is_broken: bool,
    /// Whether debug information is in files that were not read.
    pub(super) is_split: bool,
    /// Whether there was no time for all debug information.
    pub(super) is_unfinished: bool,
}

impl Chains {
    /// Reads the tasks in `cells`.
    pub(super) fn read(
        cells: &Cells,
        mappings: &Mappings,
        memory: Result<Box<dyn Memory>, String>,
        written: &mut Lines,
    ) -> Chains {
        let nothing = |failure: Option<String>| Chains {
            outcomes: cells.blocks.iter().map(|_| Outcome::Unread(None)).collect(),
            grade: Grade::None,
            failure,
            is_broken: false,
            is_split: false,
            is_unfinished: false,
        };
        if cells.blocks.is_empty() {
            return nothing(None);
        }
        let memory = match memory {
            Ok(memory) => memory,
            Err(why) => return nothing(Some(why)),
        };
        let mut used = match IndexInUse::take(&cells.addresses, mappings) {
            Ok(used) => used,
            Err(error) => return nothing(Some(format!("the debug information cannot be read: {error}"))),
        };
        let index = &mut used.index;
        let (grade, is_broken, is_split) = (index.grade(), index.is_broken(), index.is_split());
        let is_unfinished = index.is_unfinished();
        let outcomes = match grade {
            Grade::None => nothing(None).outcomes,
            _ => outcomes(index, &*memory, cells, written),
        };
        used.put_back();
        Chains { outcomes, grade, failure: None, is_broken, is_split, is_unfinished }
    }
}

/// Reads the tasks in `cells`, for as long as there is time.
fn outcomes(index: &mut TypeIndex, memory: &dyn Memory, cells: &Cells, written: &mut Lines) -> Vec<Outcome> {
    let (start, started) = (Instant::now(), cpu_time());
    let is_over = || start.elapsed() > LONGEST || cpu_time().saturating_sub(started) > TIME_BUDGET;
    let mut outcomes: Vec<Outcome> = cells.blocks.iter().map(|_| Outcome::Unread(Some("limit"))).collect();
    for turn in by_turns(&cells.blocks).into_iter().take(MAX_READ) {
        outcomes[turn] = match is_over() {
            true => Outcome::Unread(Some("time")),
            false => outcome(index, memory, &cells.blocks[turn], written),
        };
    }
    outcomes
}

/// Returns the indices of the blocks in the order in which they are read: one of each site comes first, since it takes longest to
/// find out about what was not seen before.
fn by_turns(blocks: &[LiveBlock]) -> Vec<usize> {
    let mut sites = HashSet::new();
    let (mut first, others): (Vec<usize>, Vec<usize>) =
        (0..blocks.len()).partition(|&index| sites.insert(blocks[index].stack));
    first.extend(others);
    first
}

/// Reads one task. If it runs meanwhile, or if its block is freed, it is not known where it waits.
fn outcome(index: &mut TypeIndex, memory: &dyn Memory, block: &LiveBlock, written: &mut Lines) -> Outcome {
    let place = Block { address: block.address as u64, bytes: Some(block.size as u64) };
    let mut last = Err(Unread::Busy);
    for _ in 0..TRIES {
        last = index.read(memory, place);
        if !block.is_in_use() {
            return Outcome::Unread(Some("gone"));
        }
        if last != Err(Unread::Busy) {
            break;
        }
    }
    match last {
        Ok(task) => Outcome::of(&task, written),
        Err(Unread::Busy) => Outcome::Unread(Some("busy")),
        Err(Unread::NotATask) => Outcome::Unread(Some("not-a-task")),
        Err(_) => Outcome::Unread(Some("no-types")),
    }
}

/// Returns a way to copy this process's memory.
pub(in crate::sources) fn own_memory() -> Result<Box<dyn Memory>, String> {
    if kept_files::is_sandboxed() {
        let kept = files::memory()
            .ok_or("the program has entered a sandbox, and its memory cannot be read there")?;
        return Ok(Box::new(debug_files::MemoryFile(kept)));
    }
    match OwnMemory::open() {
        Ok(memory) => Ok(Box::new(memory)),
        Err(error) => Err(format!(
            "this process's memory cannot be copied ({error}); allow process_vm_readv, or reading /proc/self/mem"
        )),
    }
}

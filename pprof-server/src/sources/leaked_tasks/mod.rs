//! Tasks that nobody can wake, which Go calls leaked goroutines: what they wait for is known by no variable and no stack, and by no task but
//! such as wait likewise.
//!
//! ```text
//! sampled tasks ─▶ what each waits for, by its types ─▶ all words in memory that lead there ─▶ who could wake it
//!   ─▶ those whom only each other could wake ─▶ the same once more ─▶ profile
//! ```
//!
//! A word that was left behind makes a task seem to have somebody who could wake it, and never the other way. So what is said of a task
//! that is leaked is sure but for what the search cannot see, which `docs/goroutineleak.md` lists.
//!
//! Path: *read path*. Cost: that of reading the tasks, and of two searches for what leads to what they wait for.

mod found_tasks;
mod look;
mod notes;
mod threads;
mod verdict;

use super::goroutine::tasks::{
    Cells, IndexInUse, Lines, own_memory, package, types as types_note, waiter_of,
};
use super::goroutine::{Part, Waiter};
use super::holders::{WORK_BYTES, turn};
use crate::kept_files;
use crate::mappings::Mappings;
use crate::process;
use crate::profile::{Label, LabelValue};
use look::{Look, look};
use std::fs;
use std::sync::PoisonError;
use std::time::Duration;
use tasks::{Grade, Memory, TypeIndex, Wait, Waiting};
use verdict::{Reason, Verdict};

/// So long after one look the next begins.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(50);
/// The states in which Go's profile shows what is leaked have this behind what it waits for.
const LEAKED: &str = "suspended (leaked)";

/// Finds the tasks of this process that nobody can wake.
pub(crate) fn part() -> Part {
    match find() {
        Ok(part) => part,
        Err(why) => {
            let notes = vec![format!("goroutineleak: it is not known which tasks nobody can wake: {why}")];
            Part { notes, ..Part::default() }
        }
    }
}

fn find() -> Result<Part, String> {
    if !alloc_profiler::is_installed() {
        return Err(
            "tasks are found among the samples of the heap, and this program's allocator takes none; write \
                    pprof_server::install!() in main"
                .to_owned(),
        );
    }
    if kept_files::is_sandboxed() {
        return Err("the program has entered a sandbox since the profiler started, and the sandbox may kill whoever lists threads \
                    or opens files; set PPROF_OPEN_FILES=1 in the environment if it lets both be done"
            .to_owned());
    }
    if !process::can_have(WORK_BYTES) {
        return Err("there is no memory for the search; ask again when 24 MiB are free".to_owned());
    }
    let swapped_kib = swapped_kib(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    if swapped_kib > 0 {
        return Err(format!(
            "{swapped_kib} KiB of the program are swapped out, and whoever could wake a task may be there; ask again when the \
             machine has more memory"
        ));
    }
    let mappings = Mappings::of_process();
    let memory = own_memory()?;
    let mut lines = Lines::new();
    let cells = Cells::find(&mappings, Some(&*memory), &mut lines);
    if cells.blocks.is_empty() {
        return Ok(Part { notes: vec![notes::no_tasks()], is_known: true, ..Part::default() });
    }
    let mut used = IndexInUse::take(&cells.addresses, &mappings)
        .map_err(|error| format!("the debug information cannot be read: {error}"))?;
    let grade = used.index.grade();
    let turn = turn().lock().unwrap_or_else(PoisonError::into_inner);
    let found = judge(&cells, &mut used.index, &*memory, &mappings, lines);
    drop(turn);
    used.put_back();
    let mut part = found?;
    part.notes.extend(types_note(grade, &package(&mappings)));
    part.is_known = grade == Grade::Full;
    Ok(part)
}

/// Looks at all tasks twice, and takes those for leaked that are so both times.
fn judge(
    cells: &Cells,
    index: &mut TypeIndex,
    memory: &dyn Memory,
    mappings: &Mappings,
    mut lines: Lines,
) -> Result<Part, String> {
    let mut first = look(cells, index, memory, mappings, None)?;
    let suspected: Vec<bool> = (0..cells.blocks.len()).map(|task| is_leaked(&first, task)).collect();
    let before: Vec<Option<Waiting>> = first.found.tasks.drain(..).map(|task| task.waiting.ok()).collect();
    let Look { mut verdicts, facts, roots, mut searched_bytes, mut passes, .. } = first;
    if suspected.contains(&true) {
        std::thread::sleep(SECOND_LOOK_AFTER);
        let second = look(cells, index, memory, mappings, Some(&suspected))?;
        (searched_bytes, passes) = (searched_bytes + second.searched_bytes, passes + second.passes);
        for task in (0..cells.blocks.len()).filter(|&task| suspected[task]) {
            let is_same = second.found.tasks[task].waiting.as_ref().ok() == before[task].as_ref();
            if !is_leaked(&second, task) || !is_same || !cells.blocks[task].is_in_use() {
                verdicts[task] = Verdict::NotJudged(Reason::Changed);
            }
        }
    }
    let mut waiters = Vec::new();
    for (task, block) in cells.blocks.iter().enumerate() {
        let waiting = before[task].as_ref().filter(|_| verdicts[task] == Verdict::Leaked);
        let Some(waiting) = waiting else { continue };
        waiters.push(waiter(waiter_of(cells.site(block), block, &waiting.task, &mut lines), waiting));
    }
    let judged = notes::Judged { cells, waiting: &before, facts: &facts, verdicts: &verdicts, roots: &roots };
    let notes = notes::notes(&judged, searched_bytes, passes);
    Ok(Part { waiters, notes, is_known: true, lines })
}

fn is_leaked(look: &Look<'_>, task: usize) -> bool {
    look.verdicts[task] == Verdict::Leaked
}

/// Says that a task is leaked, and what it waits for.
fn waiter(mut waiter: Waiter, waiting: &Waiting) -> Waiter {
    for label in waiter.labels.iter_mut().filter(|label| label.key == Label::STATE) {
        label.value = LabelValue::Text(LEAKED.into());
    }
    let state = waiter.labels.iter().position(|label| label.key == Label::STATE);
    let waits = Label { key: Label::WAITS, value: LabelValue::Text(what(waiting).into()) };
    waiter.labels.insert(state.map_or(0, |state| state + 1), waits);
    waiter
}

/// Says in words what a task waits for.
fn what(waiting: &Waiting) -> String {
    let mut words: Vec<&str> = waiting
        .waits
        .iter()
        .map(|wait| match wait {
            Wait::Shared { what, .. } => what,
            Wait::Task(_) => "task",
            _ => "never",
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

/// Returns how much of the program is swapped out, by what the kernel says of it.
fn swapped_kib(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmSwap:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_swapped_out_is_told() {
        assert_eq!(swapped_kib("VmRSS:\t  12 kB\nVmSwap:\t     340 kB\nThreads:\t1\n"), 340);
        assert_eq!(swapped_kib("VmSwap:\t       0 kB\n"), 0);
        assert_eq!(swapped_kib(""), 0);
    }
}

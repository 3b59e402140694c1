//! Where the program's tasks wait, as programs take it.
//!
//! Path: *read path*.

use crate::profile::{Ages, CREATED_BY, Frame, Symbolize};
use crate::sources::goroutine::{self, Kind, Part};
use crate::sources::leaked_tasks;
use crate::writers::table::{Table, TableRow};
use alloc_profiler::unsampled;

/// The live tasks of tokio, by where they wait.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TaskTable {
    /// What waits at one place and was spawned by one site is a row. The row with the most tasks comes first. There are at most
    /// [`MAX_ROWS`](crate::MAX_ROWS).
    pub rows: Vec<TaskRow>,
    /// How sure it is, and what is missing, in words: a line each.
    pub notes: Vec<String>,
}

/// Tasks that wait at one place and were spawned by one site.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TaskRow {
    /// The functions that wait for one another, with the lines of their `.await`, the innermost first. It is empty where they are
    /// not known, which the notes explain.
    pub frames: Vec<Frame>,
    /// The function that spawned the tasks, with the line, if it is known.
    pub spawned_by: Option<Frame>,
    /// How many tasks there are, as estimated from the samples.
    pub tasks: f64,
    /// It is one standard error of `tasks`.
    pub standard_error: f64,
    /// How many sampled tasks the estimate rests on.
    pub samples: i64,
    /// How old the tasks are.
    pub ages: Option<Ages>,
}

/// Finds out where the live tasks of tokio wait, as `/debug/pprof/goroutine` does.
///
/// The tasks go on meanwhile. One that runs while it is looked at is counted by the site that spawned it.
///
/// # Cost
///
/// It opens the program's file and looks through its debug information, some 10 ms for each MiB and 2 s of processor time at most.
/// It takes some 50 µs for each sampled task, of which it reads 10 000 at most.
#[must_use]
pub fn task_table() -> TaskTable {
    unsampled(|| table(Kind::Goroutine, goroutine::tasks_alone()))
}

/// Finds the tasks of tokio that nobody can wake, as `/debug/pprof/goroutineleak` does.
///
/// The notes say who could wake the other tasks, and why some are not judged. Tasks that are younger than 5 s are not.
///
/// # Cost
///
/// It is that of [`task_table`] twice, and that of two searches of the program's memory, which take 30 s at most each.
#[must_use]
pub fn leaked_task_table() -> TaskTable {
    unsampled(|| table(Kind::GoroutineLeak, vec![leaked_tasks::part()]))
}

fn table(kind: Kind, parts: Vec<Part>) -> TaskTable {
    let options = goroutine::Options { symbolize: Symbolize::Full, has_labels: false, is_each_apart: true };
    let table = Table::of(&goroutine::profile(kind, parts, None, options));
    TaskTable { rows: table.rows.into_iter().map(row).collect(), notes: table.notes }
}

fn row(row: TableRow) -> TaskRow {
    let count = row.values.first().copied().unwrap_or_default();
    let mut frames = row.frames;
    let created = frames.iter().position(|frame| frame.function.starts_with(CREATED_BY));
    let spawned_by = created.map(|index| {
        let mut by = frames.swap_remove(index);
        by.function = by.function[CREATED_BY.len()..].to_owned();
        frames.truncate(index);
        by
    });
    TaskRow {
        frames,
        spawned_by,
        tasks: count.value,
        standard_error: count.variance.max(0.0).sqrt(),
        samples: count.samples,
        ages: row.ages,
    }
}

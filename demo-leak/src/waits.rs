//! Where the tasks wait that the leaking function has spawned: the end of the story.
//!
//! The heap tells which line allocates what is never freed. If that line is in a function that spawns tasks, the tasks are what
//! holds it, and the question is why they do not end: what do they wait for?

use pprof_server::{TaskRow, TaskTable};

use crate::growth::Line;

/// Returns those of the program's tasks that `function` has spawned, by where they wait.
pub(crate) fn spawned_by(table: &TaskTable, function: &str) -> Vec<TaskRow> {
    let is_it = |row: &&TaskRow| row.spawned_by.as_ref().is_some_and(|by| by.function == function);
    table.rows.iter().filter(is_it).cloned().collect()
}

/// Says where the tasks of a row wait, how many they are, and how old.
pub(crate) fn described(row: &TaskRow) -> String {
    let ages = row.ages.map(|ages| format!(", age {ages}")).unwrap_or_default();
    let count = format!("~{:.0} ± {:.0} tasks, {} samples{ages}", row.tasks, row.standard_error, row.samples);
    let mut lines = row.frames.iter().map(Line::of);
    // What is innermost in this program's own code is the line to mend; what that waits for is somebody else's.
    let waits_for = row.frames.first().map(Line::of).filter(|line| !line.is_ours());
    match lines.find(Line::is_ours) {
        Some(line) => {
            let what = waits_for.map(|what| format!("\n  which waits for {what}")).unwrap_or_default();
            format!("{count}, at\n  {line}{what}")
        }
        None => format!("{count}; the line is not known"),
    }
}

/// Says how many of the tasks that `function` has spawned nobody can wake.
pub(crate) fn leaked(table: &TaskTable, function: &str) -> String {
    let rows = spawned_by(table, function);
    let count: f64 = rows.iter().map(|row| row.tasks).sum();
    let variance: f64 = rows.iter().map(|row| row.standard_error * row.standard_error).sum();
    match rows.is_empty() {
        false => format!("nobody can wake ~{count:.0} ± {:.0} of them", variance.sqrt()),
        true => {
            let why = table.notes.join("\n  ");
            format!("of none it is known that nobody can wake it:\n  {why}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pprof_server::Frame;

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        let mut frame = Frame::default();
        (frame.function, frame.file, frame.line) = (function.into(), file.into(), line);
        frame
    }

    fn row(frames: Vec<Frame>, by: &str) -> TaskRow {
        let mut row = TaskRow::default();
        (row.tasks, row.standard_error, row.samples) = (1200.4, 300.2, 16);
        (row.frames, row.spawned_by) = (frames, Some(frame(by, "x.rs", 1)));
        row
    }

    #[test]
    fn the_innermost_line_of_our_own_is_named() {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/src/reader.rs");
        let frames = vec![frame("recv", "bounded.rs", 7), frame("inner", ours, 20), frame("outer", ours, 10)];
        let text = described(&row(frames, "start"));
        assert_eq!(
            text,
            "~1200 ± 300 tasks, 16 samples, at\n  inner (demo-leak/src/reader.rs:20)\n  which waits for recv (bounded.rs:7)"
        );
        let unknown = described(&row(Vec::new(), "start"));
        assert_eq!(unknown, "~1200 ± 300 tasks, 16 samples; the line is not known");
    }

    #[test]
    fn tasks_that_nobody_can_wake_are_counted_together() {
        let mut table = TaskTable::default();
        table.rows = vec![row(Vec::new(), "start"), row(Vec::new(), "start"), row(Vec::new(), "stop")];
        table.notes = vec!["a note".to_owned()];
        assert_eq!(leaked(&table, "start"), "nobody can wake ~2401 ± 425 of them");
        assert_eq!(leaked(&table, "other"), "of none it is known that nobody can wake it:\n  a note");
    }

    #[test]
    fn only_tasks_of_the_function_are_taken() {
        let mut table = TaskTable::default();
        table.rows = vec![row(Vec::new(), "start"), row(Vec::new(), "restart")];
        assert_eq!(spawned_by(&table, "start").len(), 1);
        assert!(spawned_by(&table, "stop").is_empty());
    }
}

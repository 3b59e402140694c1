//! Each stack by itself, in the form in which Go prints those of goroutines when a program panics: `debug=2`.
//!
//! ```text
//! goroutine 4711 [futex]:
//! std::sys::sync::condvar::futex::Condvar::wait(...)
//!     /rustc/…/futex.rs:47 +0x1d
//!
//! task 0x7f12ab40 [suspended, 12 minutes] my_service::reader:
//! tokio::sync::mpsc::bounded::Receiver::recv(...)
//!     /…/bounded.rs:248 +0x0
//! my_service::reader(...)
//!     /…/reader.rs:31 +0x0
//! created by my_service::serve
//!     /…/main.rs:12 +0x0
//! ```
//!
//! The line of a place begins with a tab. The number is that of the thread, and what stands in brackets is what it waits in. Its name follows there, since readers of
//! this form take the list in brackets for remarks of any kind. As in Go, the text ends at a limit.
//!
//! Path: *read path*.

use super::bounded::BoundedText;
use crate::profile::{CREATED_BY, Cohort, Label, LabelValue, Profile, ShownStack};
use std::borrow::Cow;
use std::fmt::Write;

/// What stands for more of the text than fits.
const CUT: &str = "\n...additional stacks are left out: the text would be too long\n";

/// Writes what fits into `max_bytes`. Whole stacks are left out.
pub(crate) fn write(profile: &Profile, max_bytes: usize) -> String {
    let mut text = BoundedText::new(max_bytes.saturating_sub(CUT.len()));
    let mut stacks: Vec<(bool, i64, String)> = Vec::new();
    for (stack, rows) in profile.shown_stacks() {
        let frames = frames(profile, stack);
        for row in rows {
            let labels = Labels(profile.rows.labels(row.labels));
            let count = row.values.first().map_or(0, |count| count.rounded());
            let is_task = labels.text(Label::KIND).is_some_and(|kind| kind == "task");
            let header = match is_task {
                true => task_header(labels, count, row.cohorts, root(profile, stack)),
                false => header(labels, count),
            };
            stacks.push((is_task, labels.number().unwrap_or(i64::MAX), format!("{header}\n{frames}")));
        }
    }
    // Threads come first.
    stacks.sort_by_key(|&(is_task, number, _)| (is_task, number));
    let is_whole = stacks.iter().all(|(_, _, stack)| text.push_line(format_args!("{stack}")));
    let notes = profile.notes.iter().all(|note| text.push_line(format_args!("# {}", one_line(note))));
    let mut text = text.into_text();
    if !is_whole || !notes {
        text.push_str(CUT);
    }
    text
}

/// Finds labels of a row by their keys.
#[derive(Clone, Copy)]
struct Labels<'a>(&'a [Label]);

impl Labels<'_> {
    fn text(self, key: &str) -> Option<String> {
        self.0.iter().find(|label| label.key == key).and_then(|label| match &label.value {
            LabelValue::Text(text) => Some(in_brackets(text)),
            LabelValue::Number(..) => None,
        })
    }

    /// Returns what the row goes by.
    fn number(self) -> Option<i64> {
        self.0.iter().find_map(|label| match label.value {
            LabelValue::Number(number, _) if label.key == Label::ID => Some(number),
            _ => None,
        })
    }
}

/// Returns the first line of a thread's stack.
fn header(labels: Labels<'_>, count: i64) -> String {
    let state = labels.text(Label::WAITS).or_else(|| labels.text(Label::STATE)).unwrap_or_default();
    let mut header = format!("goroutine {} [{state}", labels.number().unwrap_or(0));
    if let Some(name) = labels.text(Label::THREAD) {
        let _ = write!(header, ", {name}");
    }
    if count != 1 {
        let _ = write!(header, ", {count} times");
    }
    header.push_str("]:");
    header
}

/// Returns the first line of a task's stack. As in Go, what is younger than a minute has no age.
fn task_header(labels: Labels<'_>, count: i64, cohorts: &[Cohort], root: Option<&str>) -> String {
    let state = labels.text(Label::STATE).or_else(|| labels.text(Label::UNREAD));
    let mut header =
        format!("task {:#x} [{}", labels.number().unwrap_or(0), state.as_deref().unwrap_or("not read"));
    let minutes = cohorts.iter().map(|cohort| cohort.age.as_secs() / 60).max().unwrap_or(0);
    if minutes > 0 {
        let _ = write!(header, ", {minutes} minutes");
    }
    if count != 1 {
        let _ = write!(header, ", a sample of {count}");
    }
    header.push(']');
    if let Some(root) = root {
        let _ = write!(header, " {}", one_line(root));
    }
    header.push(':');
    header
}

/// Returns the outermost function of a task, if it is known: the one before the frame that says who spawned it.
fn root<'a>(profile: &'a Profile, stack: ShownStack<'_>) -> Option<&'a str> {
    let functions = stack.locations().filter_map(|location| profile.stacks.lines(location).last());
    let names = functions.map(|line| &*line.function.name);
    names.take_while(|name| !name.starts_with(CREATED_BY)).last()
}

/// Returns two lines for each function.
fn frames(profile: &Profile, stack: ShownStack<'_>) -> String {
    let mut text = String::new();
    for location in stack.locations() {
        let lines = profile.stacks.lines(location);
        let address = profile.stacks.address(location.place);
        if lines.is_empty() {
            let _ = writeln!(text, "0x{address:x}(...)\n\t?:0 +0x0");
        }
        let offset = profile.stacks.function_offset(location);
        for line in lines {
            let file = if line.function.file.is_empty() { "?" } else { &*line.function.file };
            let (function, file) = (one_line(&line.function.name), one_line(file));
            let arguments = if function.starts_with(CREATED_BY) { "" } else { "(...)" };
            let _ = writeln!(text, "{function}{arguments}\n\t{file}:{} +0x{offset:x}", line.line);
        }
    }
    text
}

/// A text that does not end the brackets that it stands in, nor the item.
fn in_brackets(text: &str) -> String {
    text.replace(['[', ']', ',', '\n', '\r'], "_")
}

fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &'static str, value: &str) -> Label {
        Label { key, value: LabelValue::Text(value.into()) }
    }

    #[test]
    fn the_first_line_is_one_that_readers_of_panics_know() {
        let id = |number| Label { key: Label::ID, value: LabelValue::Number(number, "") };
        let all = [
            text(Label::THREAD, "worker"),
            text(Label::STATE, "sleeping"),
            text(Label::WAITS, "futex"),
            id(17),
        ];
        assert_eq!(header(Labels(&all), 1), "goroutine 17 [futex, worker]:");
        let running = [text(Label::STATE, "running"), id(4)];
        assert_eq!(header(Labels(&running), 1), "goroutine 4 [running]:");
        // A name cannot end the list that it is in.
        let hostile = [text(Label::THREAD, "a]:\ngoroutine 1, ["), text(Label::STATE, "running"), id(4)];
        assert_eq!(header(Labels(&hostile), 1), "goroutine 4 [running, a_:_goroutine 1_ _]:");
        assert_eq!(header(Labels(&[text(Label::STATE, "waiting")]), 3), "goroutine 0 [waiting, 3 times]:");
    }
}

//! The frames of a task: the futures that wait for one another, as functions with lines.
//!
//! Readers of profiles know a location by its address. So each function with a line has an address of its own, at the beginning
//! of the code that resumes the future or shortly after, and keeps it as long as the process runs.
//!
//! Path: *read path*.

use crate::per_process::PerProcess;
use crate::profile::{CREATED_BY, ENDED};
use crate::symbols::role::Role;
use crate::symbols::{Function, SourceLine};
use alloc_profiler::CodeAddress;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tasks::{AwaitFrame, Kind, Place};

/// Functions with lines, by the address that stands for them.
pub(in crate::sources) type Lines = BTreeMap<u64, Arc<[SourceLine]>>;

/// What stands behind the name of a function whose `.await` is in a macro of another crate, such as `select!`. The line is then
/// the one where the function begins.
const IN_MACRO: &str = " [in a macro]";
/// Here the addresses begin of what has no code of its own. Nothing is mapped below 64 KiB after it.
const NO_CODE: u64 = 0x1_0000;
/// So many lines have addresses of their own. They are as many as a program has lines with an `.await`.
const MAX_LINES: usize = 1 << 16;

static KNOWN: PerProcess<Mutex<Lines>> = PerProcess::new();

/// Returns the address that stands for `lines`: `near`, or the next one that stands for no other lines.
fn address_of(near: u64, lines: &Arc<[SourceLine]>) -> u64 {
    let mut known = KNOWN.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= MAX_LINES {
        known.clear();
    }
    let mut address = near;
    loop {
        match known.get(&address) {
            Some(same) if same == lines => return address,
            Some(_) => address += 1,
            None => {
                known.insert(address, lines.clone());
                return address;
            }
        }
    }
}

/// Makes a frame of lines that belong to the code at `near`, and notes them in `written`.
pub(in crate::sources) fn frame(near: u64, lines: Arc<[SourceLine]>, written: &mut Lines) -> CodeAddress {
    let address = address_of(near, &lines);
    written.insert(address, lines);
    CodeAddress::of_instruction(address as usize)
}

/// Makes a frame that says which function spawned a task, as Go does.
pub(super) fn created_by(by: &SourceLine, near: u64, written: &mut Lines) -> CodeAddress {
    let name = format!("{CREATED_BY}{}", by.function.name);
    let line = source_line(name, &by.function.file, by.line);
    // The call at `near` has lines of its own, and is on other stacks too.
    // mutant: E52 the frame that spawned a task takes the name of a call
    frame(near + 1, [line].into(), written)
}

/// Returns the frames of the futures from `root` down to the last, or to where they branch; the innermost first. If the task
/// `has_ended`, `root` says so.
pub(super) fn trunk(root: &AwaitFrame, has_ended: bool, written: &mut Lines) -> Vec<CodeAddress> {
    if has_ended {
        let (file, line) = root.begins.as_ref().map_or(("", 0), |place| (&*place.file, place.line));
        let near = root.code.map_or(NO_CODE, |code| code + 1);
        return vec![frame(near, [ended(&root.function, file, line)].into(), written)];
    }
    let chain = root.chain();
    let last = chain.len() - 1;
    // What only passes polls on says nothing. The last tells what is waited for, unless it is the standard library's.
    let is_last = |index: usize, future: &AwaitFrame| index == last && !is_standard(future);
    let is_shown =
        |index: usize, future: &AwaitFrame| index == 0 || future.place.is_some() || is_last(index, future);
    let shown = chain.iter().enumerate().filter(|(index, future)| is_shown(*index, future));
    let mut frames: Vec<CodeAddress> = shown.map(|(_, future)| of_future(future, None, written)).collect();
    frames.reverse();
    frames
}

/// Returns the line of the function of a task that has ended.
fn ended(function: &str, file: &str, line: u32) -> SourceLine {
    // mutant: E53 a task that has ended seems to wait
    source_line(format!("{}{ENDED}", function_of(function)), file, line)
}

/// Returns the frames of the futures that `root` waits for all at once, branch by branch.
pub(super) fn branches(root: &AwaitFrame, written: &mut Lines) -> Vec<CodeAddress> {
    let chain = root.chain();
    let branching = chain[chain.len() - 1];
    let mut frames = Vec::new();
    for (branch, number) in branching.children.iter().zip(1..) {
        below(branch, number, written, &mut frames);
    }
    frames
}

/// Adds the frames of one branch and of what branches off it, the innermost first.
fn below(branch: &AwaitFrame, number: usize, written: &mut Lines, frames: &mut Vec<CodeAddress>) {
    branch.children.iter().for_each(|child| below(child, number, written, frames));
    if branch.place.is_some() || branch.children.is_empty() && !is_standard(branch) {
        frames.push(of_future(branch, Some(number), written));
    }
}

/// Makes the frame of one future. Those of a branch have its number before their names.
fn of_future(future: &AwaitFrame, branch: Option<usize>, written: &mut Lines) -> CodeAddress {
    let number = branch.map_or(String::new(), |number| format!("[{number}] "));
    let named = |name: String, place: Option<&Place>| {
        let (file, line) = place.map_or(("", 0), |place| (&*place.file, place.line));
        source_line(format!("{number}{name}"), file, line)
    };
    let macro_place = match (&future.place, &future.begins) {
        (Some(place), Some(begins)) if place.file != begins.file => Some(place),
        _ => None,
    };
    let mut lines: Vec<SourceLine> =
        macro_place.map(|place| named(macro_name(place), Some(place))).into_iter().collect();
    let place = match macro_place {
        Some(_) => future.begins.as_ref(),
        None => future.place.as_ref().or(future.begins.as_ref()),
    };
    let mark = match future.kind {
        _ if macro_place.is_some() => IN_MACRO,
        Kind::Unresumed => " [not begun]",
        _ => "",
    };
    lines.push(named(format!("{}{mark}", function_of(&future.function)), place));
    let from_begin = match (place, &future.begins) {
        (Some(place), Some(begins)) => place.line.saturating_sub(begins.line),
        _ => 0,
    };
    let near = future.code.map_or(NO_CODE, |code| code + 1 + u64::from(from_begin));
    frame(near, lines.into(), written)
}

/// Returns the name of an `async fn`, where debug information has that of its future alone.
fn function_of(name: &str) -> &str {
    name.split_once("::{async_fn_env#").map_or(name, |(function, _)| function)
}

fn is_standard(future: &AwaitFrame) -> bool {
    ["core::", "alloc::", "std::"].iter().any(|library| future.function.starts_with(library))
}

fn source_line(name: String, file: &str, line: u32) -> SourceLine {
    let function =
        Function { name: name.into(), linkage_name: Box::default(), file: file.into(), role: Role::User };
    SourceLine { function: Arc::new(function), line }
}

/// Names a macro by the file that it is in: tokio keeps each in a file of its name.
fn macro_name(place: &Place) -> String {
    let name = place.file.rsplit(['/', '\\']).next().unwrap_or(&place.file);
    format!("{}!", name.strip_suffix(".rs").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_has_ended_says_so() {
        let line = ended("shop::read::{async_fn_env#0}", "src/read.rs", 7);
        assert_eq!((&*line.function.name, line.line), ("shop::read [ended]", 7));
    }

    #[test]
    fn who_spawned_a_task_stands_beside_the_call_and_not_in_its_place() {
        let mut written = Lines::new();
        created_by(&source_line("shop::start".to_owned(), "src/start.rs", 7), 0x5000_0000, &mut written);
        assert!(!written.contains_key(&0x5000_0000));
        let names: Vec<&str> = written.values().map(|lines| &*lines[0].function.name).collect();
        assert_eq!(names, [format!("{CREATED_BY}shop::start")]);
    }
}

//! What there is to say of tasks: how sure their number is, and why lines are missing.
//!
//! Path: *read path*.

use super::cells::Cells;
use super::chains::{Chains, MAX_READ, Outcome};
use crate::mappings::Mappings;
use alloc_profiler::sampling_interval;
use std::collections::BTreeMap;
use tasks::Grade;

/// The remedy asks for so much less than the interval is now.
const DENSER: u64 = 8;
/// A number whose error is a larger part of it than this is better taken from more samples.
const ROUGH: f64 = 0.1;

/// Returns the notes, a line each.
pub(super) fn notes(cells: &Cells, chains: &Chains, mappings: &Mappings) -> Vec<String> {
    let mut notes = vec![number(cells)];
    if cells.told_by_content > 0 {
        notes.push(format!(
            "tasks: {} of the samples were told to be tasks by what is in them, since their stacks have no names; build with \
             debug = \"limited\" to be certain",
            cells.told_by_content
        ));
    }
    if cells.blocks.is_empty() {
        return notes;
    }
    if let Some(failure) = &chains.failure {
        notes.push(format!("tasks: where they wait is not known: {failure}"));
        return notes;
    }
    if chains.is_split {
        notes.push(
            "tasks: debug information of this build is in files apart that are not read, so lines are missing; write \
             split-debuginfo = \"off\" into the profile in Cargo.toml, or \"packed\", and keep the .dwp beside the program"
                .to_owned(),
        );
    }
    notes.extend(types(chains.grade, &package(mappings)));
    if chains.is_unfinished {
        notes.push(
            "tasks: not all debug information was looked through within 2 s of processor time, so lines may be missing; ask \
             /debug/pprof/goroutine again, which goes on with the rest"
                .to_owned(),
        );
    }
    if chains.is_broken {
        notes.push(
            "tasks: some debug information makes no sense or is in a unit of more than 48 MiB, so lines may be missing; build the \
             program anew, with more codegen-units"
                .to_owned(),
        );
    }
    let mut unread: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in &chains.outcomes {
        if let Outcome::Unread(Some(why)) = outcome {
            *unread.entry(why).or_default() += 1;
        }
    }
    notes.extend(
        unread
            .into_iter()
            .map(|(why, samples)| format!("tasks: unread={why}: {samples} samples: {}", reason(why))),
    );
    notes
}

/// Says how many tasks there are, and how sure that is.
fn number(cells: &Cells) -> String {
    let interval = sampling_interval();
    if cells.blocks.is_empty() {
        return match interval {
            0 => "tasks: none is known, since sampling is off; unset ALLOC_PROFILER_INTERVAL".to_owned(),
            1 => "tasks: there are none".to_owned(),
            _ => format!(
                "tasks: no sample of the heap is one of tokio, so there are probably fewer than some thousand; {} finds fewer; those of \
                 other runtimes, such as smol and async-std, are not looked for",
                denser(interval)
            ),
        };
    }
    let count: f64 = cells.blocks.iter().map(|block| block.weight).sum();
    let error = cells.blocks.iter().map(|block| block.objects_variance).sum::<f64>().sqrt();
    alive(count, error, cells.blocks.len(), interval)
}

/// Says how many tasks are alive, by how many samples, and what to do if that is rough.
fn alive(count: f64, error: f64, samples: usize, interval: u64) -> String {
    let told = match samples {
        1 => "1 sample of the heap tells".to_owned(),
        _ => format!("{samples} samples of the heap tell"),
    };
    let mut text =
        format!("tasks: {count:.0} ± {error:.0} are alive, as {told}, taken at one in {interval} bytes");
    if error > ROUGH * count {
        text.push_str(&format!("; set {} for a surer number", denser(interval)));
    }
    text
}

/// Returns what gives more samples than there are at this interval.
fn denser(interval: u64) -> String {
    // mutant: E54 the remedy for a rough number makes it rougher
    format!("ALLOC_PROFILER_INTERVAL={}", (interval / DENSER).max(1))
}

/// Says how much the build tells of tasks, and what to do for more.
pub(in crate::sources) fn types(grade: Grade, package: &str) -> Option<String> {
    // On one line, since it is a note; Cargo.toml wants a new line behind the bracket.
    let remedy = grade.remedy(package)?.replace('\n', " ");
    let has = match grade {
        Grade::Limited => {
            "this build has the names of the tasks' functions and not their types, so the lines at which they wait are missing"
        }
        _ => "this build has no debug information on tasks, so only the sites that spawned them are known",
    };
    Some(format!("tasks: {has}; write into Cargo.toml: {remedy}"))
}

/// Guesses the name of the program's package: most programs have it.
pub(in crate::sources) fn package(mappings: &Mappings) -> String {
    let program = mappings.as_slice().first().filter(|mapping| mapping.is_main);
    program.map_or("my-service", |mapping| mapping.file_name()).to_owned()
}

/// Explains the label `unread`.
fn reason(why: &str) -> String {
    match why {
        "busy" => "they ran, or were woken again and again, while they were looked at".to_owned(),
        "gone" => "they ended while they were looked at".to_owned(),
        "limit" => format!("at most {MAX_READ} are read for one request; the others are counted by the site that spawned them"),
        "time" => "there was no time left for them within 2 s of processor time; more optimized builds take less".to_owned(),
        "not-a-task" => "what is in memory there is no task of a known version of tokio".to_owned(),
        _ => "the debug information does not have their types; the future may be of another package, which needs debug = \"full\" too"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_for_a_rough_number_takes_more_samples_than_there_are() {
        let ends = |interval: u64, end: &str| {
            let text = alive(991.0, 230.0, 19, interval);
            assert!(text.ends_with(end), "{text}");
        };
        ends(524_288, "; set ALLOC_PROFILER_INTERVAL=65536 for a surer number");
        ends(16_384, "; set ALLOC_PROFILER_INTERVAL=2048 for a surer number");
        ends(3, "; set ALLOC_PROFILER_INTERVAL=1 for a surer number");
        let sure = alive(991.0, 23.0, 1900, 16_384);
        assert_eq!(
            sure,
            "tasks: 991 ± 23 are alive, as 1900 samples of the heap tell, taken at one in 16384 bytes"
        );
        assert!(alive(2048.0, 2048.0, 1, 1).contains(", as 1 sample of the heap tells, taken"));
    }
}

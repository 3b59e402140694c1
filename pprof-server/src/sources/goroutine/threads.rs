//! The threads of this process: where each of them is, by a dump.
//!
//! Path: *read path*.

use super::{Part, Waiter};
use crate::kept_files;
use crate::labels;
use crate::profile::{Estimate, Label, LabelValue};
use alloc_profiler::StackTrace;
use capture::{Found, Thread, ThreadDump};

/// One thread, which was surely there.
const ONE: Estimate = Estimate { value: 1.0, samples: 1, variance: 0.0 };

/// Finds the threads of this process.
pub(super) fn part() -> Part {
    if kept_files::is_sandboxed() {
        return unknown(
            "threads are not known: the program has entered a sandbox since the profiler started, and the sandbox may kill whoever \
             opens a file; set PPROF_OPEN_FILES=1 in the environment if it lets files be opened",
        );
    }
    match capture::thread_dump() {
        Ok(dump) => of_dump(&dump),
        Err(error) => unknown(&format!("threads are not known: {error}")),
    }
}

/// Finds the threads of this process, each with its whole stack, of which the outer end is where it began. Where stacks are not
/// known, names are.
pub(super) fn created() -> Part {
    if kept_files::is_sandboxed() {
        return part();
    }
    let Ok(dump) = capture::thread_dump() else {
        let waiters = capture::thread_names().into_iter().map(|name| Waiter {
            trace: StackTrace::of_return_addresses([]),
            labels: vec![text(Label::THREAD, &name)],
            count: ONE,
            alone: None,
            id: None,
            age: None,
        });
        return Part { waiters: waiters.collect(), ..part() };
    };
    let mut part = of_dump(&dump);
    for waiter in &mut part.waiters {
        waiter.labels.retain(|label| label.key == Label::THREAD);
    }
    part.notes.truncate(1);
    let unknown = dump.threads.iter().filter(|thread| !thread.found.has_frames()).count();
    if unknown > 0 {
        part.notes.push(format!(
            "where {unknown} threads began is not known, because they have no stacks: goroutine says why, by name"
        ));
    }
    part
}

fn text(key: &'static str, value: &str) -> Label {
    Label { key, value: LabelValue::Text(value.into()) }
}

fn unknown(why: &str) -> Part {
    Part { notes: vec![why.to_owned()], ..Part::default() }
}

fn of_dump(dump: &ThreadDump) -> Part {
    let waiters = dump.threads.iter().map(waiter).collect();
    Part { waiters, notes: notes(dump), is_known: true, ..Part::default() }
}

fn waiter(thread: &Thread) -> Waiter {
    let label = text;
    let mut labels = vec![label("kind", "thread")];
    if !thread.name.is_empty() {
        labels.push(label(Label::THREAD, &thread.name));
    }
    labels.push(label(Label::STATE, thread.state.name()));
    if let Some(waits) = &thread.waits {
        labels.push(label(Label::WAITS, waits));
    }
    labels.push(label("source", source(thread.found)));
    if thread.found == Found::Approximately {
        labels.push(label("approximate", "1"));
    }
    labels.extend(labels::of_number(thread.label));
    let trace = StackTrace::new(thread.frames.clone(), thread.is_truncated);
    Waiter { trace, alone: None, labels, count: ONE, id: Some(thread.id.into()), age: None }
}

/// How the stack was found, in a word.
fn source(found: Found) -> &'static str {
    match found {
        Found::BySignal => "signal",
        Found::FromOutside | Found::Approximately => "outside",
        _ => "none",
    }
}

/// What there is to say of the dump, a line each.
fn notes(dump: &ThreadDump) -> Vec<String> {
    let mut notes = vec![format!(
        "threads: {} in {} ms, of which {} took a signal; {} of the profiler's own are left out",
        dump.threads.len(),
        dump.duration.as_millis(),
        dump.signalled_threads,
        dump.own_threads
    )];
    let named = |found: Found| {
        let threads = dump.threads.iter().filter(move |thread| thread.found == found);
        let names: Vec<String> =
            threads.clone().take(10).map(|thread| format!("{} ({})", thread.name, thread.id)).collect();
        let more = threads.count().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
    };
    let losses = [
        (
            Found::NoAnswer,
            "no stack: these ran and did not take the signal within 100 ms, which a busy machine explains; ask again",
        ),
        (Found::Blocked, "no stack: these ran and block the profiler's signal"),
        (
            Found::NoSignal,
            "no stack: these ran, and there was no signal to ask them by; leave one of SIGPROF, SIGVTALRM, SIGSTKFLT and SIGPWR to \
             the profiler",
        ),
        (Found::Moved, "no stack: these ran and slept by turns while they were looked at; ask again"),
        (
            Found::Unreadable,
            "no stack: the system does not let the stacks of these be read; allow process_vm_readv, or reading /proc/self/mem",
        ),
        (
            Found::Hidden,
            "no stack: the system does not tell where these are; it hides /proc/self/task/*/syscall",
        ),
        (
            Found::Approximately,
            "approximate=1: these slept, and some outer frames of their stacks are guessed, missing or left out; a library that could \
             be closed meanwhile is not looked into",
        ),
    ];
    notes.extend(losses.into_iter().filter_map(|(found, why)| Some(format!("{why}: {}", named(found)?))));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::CodeAddress;
    use capture::ThreadState;

    fn thread(id: u32, found: Found) -> Thread {
        let frames = [CodeAddress::of_instruction(0x1000), CodeAddress::returning_to(0x2000)];
        let mut thread = Thread::new(id, "name", ThreadState::Sleeping, frames.into());
        (thread.found, thread.waits) = (found, Some("futex".into()));
        thread
    }

    fn texts(waiter: &Waiter) -> Vec<String> {
        let text = |label: &Label| match &label.value {
            LabelValue::Text(text) => format!("{}={text}", label.key),
            LabelValue::Number(..) => panic!("{label:?}"),
        };
        waiter.labels.iter().map(text).collect()
    }

    #[test]
    fn labels_say_what_a_thread_does_and_how_that_is_known() {
        let shown = |found| texts(&waiter(&thread(1, found)));
        let usual = ["kind=thread", "thread=name", "state=sleeping", "waits=futex"];
        assert_eq!(shown(Found::BySignal), [&usual[..], &["source=signal"]].concat());
        assert_eq!(shown(Found::FromOutside), [&usual[..], &["source=outside"]].concat());
        assert_eq!(shown(Found::Approximately), [&usual[..], &["source=outside", "approximate=1"]].concat());
        assert_eq!(shown(Found::Hidden), [&usual[..], &["source=none"]].concat());
    }

    /// Whatever a thread lacks, it is named.
    #[test]
    fn what_was_not_found_is_told_with_names() {
        let mut dump = ThreadDump::default();
        dump.threads = (0..13).map(|id| thread(id, Found::NoAnswer)).collect();
        dump.threads.push(thread(77, Found::Unreadable));
        let notes = notes(&dump);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[1].contains("name (9) and 3 more") && notes[1].contains("ask again"), "{notes:?}");
        assert!(notes[2].contains("process_vm_readv") && notes[2].ends_with("name (77)"), "{notes:?}");
        for found in [Found::Blocked, Found::NoSignal, Found::Moved, Found::Hidden, Found::Approximately] {
            dump.threads = vec![thread(5, found)];
            assert!(super::notes(&dump).iter().any(|note| note.contains("name (5)")), "{found:?}");
        }
        dump.threads = vec![thread(5, Found::BySignal), thread(6, Found::FromOutside)];
        assert_eq!(super::notes(&dump).len(), 1);
    }
}

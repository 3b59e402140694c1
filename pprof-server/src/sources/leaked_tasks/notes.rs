//! How many tasks are leaked, who could wake the others, and why some are not judged, in sentences.
//!
//! Path: *read path*.

use super::verdict::{Awake, Facts, Reason, Verdict, Waker};
use super::what;
use crate::profile::{Estimate, add};
use crate::sources::goroutine::tasks::Cells;
use crate::sources::holders::RootNames;
use alloc_profiler::sampling_interval;
use std::collections::BTreeMap;
use tasks::{AwaitFrame, Waiting};

/// So many places where tasks wait have a sentence.
const MAX_SENTENCES: usize = 10;
/// Futures of these are not the program's own.
const LIBRARIES: [&str; 6] = ["tokio::", "core::", "std::", "alloc::", "futures_", "tokio_util::"];

/// What was concluded of the sampled tasks, and of those that the search came upon, which come after them.
pub(super) struct Judged<'a> {
    pub(super) cells: &'a Cells,
    pub(super) waiting: &'a [Option<Waiting>],
    pub(super) facts: &'a [Facts],
    pub(super) verdicts: &'a [Verdict],
    pub(super) roots: &'a RootNames,
}

/// Says that there is no task to judge.
pub(super) fn no_tasks() -> String {
    match sampling_interval() {
        1 => "goroutineleak: there are no tasks".to_owned(),
        _ => "goroutineleak: no sample of the heap is a task of tokio; set ALLOC_PROFILER_INTERVAL=65536 to find fewer".to_owned(),
    }
}

/// Returns the notes, a line each.
pub(super) fn notes(judged: &Judged<'_>, searched_bytes: u64, passes: usize) -> Vec<String> {
    let mut notes = vec![judged.numbers()];
    notes.extend(judged.sentences(|verdict| *verdict == Verdict::Leaked));
    notes.extend(judged.sentences(|verdict| matches!(verdict, Verdict::Wakeable(_))));
    let mut doubts: BTreeMap<Reason, Estimate> = BTreeMap::new();
    for (task, verdict) in judged.verdicts.iter().take(judged.cells.blocks.len()).enumerate() {
        if let Verdict::NotJudged(reason) = verdict {
            judged.add(doubts.entry(*reason).or_default(), task);
        }
    }
    notes.extend(doubts.into_iter().map(|(reason, count)| {
        format!("goroutineleak: {} are not judged: {}", tasks(&count), explained(reason))
    }));
    notes.push(format!(
        "goroutineleak: {} MiB were looked at in {passes} passes; a word that was left behind can make a task seem to have somebody \
         who could wake it",
        searched_bytes >> 20
    ));
    notes
}

impl Judged<'_> {
    fn add(&self, sum: &mut Estimate, task: usize) {
        let block = &self.cells.blocks[task];
        let one = Estimate { value: block.weight, samples: 1, variance: block.objects_variance };
        add(std::slice::from_mut(sum), &[one]);
    }

    /// Says how many tasks there are of each kind.
    fn numbers(&self) -> String {
        let count = |is_it: fn(&Verdict) -> bool| {
            let mut sum = Estimate::default();
            let tasks = (0..self.cells.blocks.len()).filter(|&task| is_it(&self.verdicts[task]));
            tasks.for_each(|task| self.add(&mut sum, task));
            figure(&sum)
        };
        format!(
            "goroutineleak: of {} tasks nobody can wake {}; {} could be woken, {} go on by themselves or have ended, and {} are not \
             judged",
            count(|_| true),
            count(|verdict| *verdict == Verdict::Leaked),
            count(|verdict| matches!(verdict, Verdict::Wakeable(_))),
            count(|verdict| matches!(verdict, Verdict::Awake(_) | Verdict::Ended)),
            count(|verdict| matches!(verdict, Verdict::NotJudged(_))),
        )
    }

    /// Says of the most numerous of these tasks where they wait, and who could wake them.
    fn sentences(&self, is_it: impl Fn(&Verdict) -> bool) -> Vec<String> {
        let mut sums: BTreeMap<String, Estimate> = BTreeMap::new();
        for task in (0..self.cells.blocks.len()).filter(|&task| is_it(&self.verdicts[task])) {
            let Some(waiting) = &self.waiting[task] else { continue };
            let text = format!(
                "wait for {} at {}: {}",
                what(waiting),
                line(&waiting.task.future),
                self.conclusion(task)
            );
            self.add(sums.entry(text).or_default(), task);
        }
        let mut sums: Vec<(String, Estimate)> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.value.total_cmp(&a.1.value).then_with(|| a.0.cmp(&b.0)));
        let sentence = |(text, count): &(String, Estimate)| format!("goroutineleak: {} {text}", tasks(count));
        sums.iter().take(MAX_SENTENCES).map(sentence).collect()
    }

    /// Says why a task is leaked, or who could wake it.
    fn conclusion(&self, task: usize) -> String {
        match self.verdicts[task] {
            Verdict::Wakeable(Waker::Root(root)) => {
                format!("{} leads to what they wait for", self.roots.root(root))
            }
            Verdict::Wakeable(Waker::Handle) => "somebody has their handles, and may end them".to_owned(),
            Verdict::Wakeable(Waker::Task(by)) => {
                format!("{} leads to what they wait for, and {}", self.named(by), self.does(by))
            }
            _ => {
                let Facts::Waits(wakers) = &self.facts[task] else { return String::new() };
                let mut others: Vec<String> = wakers
                    .iter()
                    .filter_map(|waker| match waker {
                        Waker::Task(other) if *other != task => Some(self.named(*other)),
                        _ => None,
                    })
                    .collect();
                others.sort_unstable();
                others.dedup();
                others.truncate(3);
                match &others[..] {
                    [] => "nobody but these tasks themselves leads to it".to_owned(),
                    others => {
                        format!("only {} leads to it, and waits likewise", others.join(" and "))
                    }
                }
            }
        }
    }

    /// Names a task by the future that was spawned.
    fn named(&self, task: usize) -> String {
        match self.waiting.get(task).and_then(Option::as_ref) {
            Some(waiting) => format!("a task of {}", waiting.task.future.function),
            None => "another task".to_owned(),
        }
    }

    /// Says what a task does that could wake another one.
    fn does(&self, task: usize) -> &'static str {
        match self.verdicts[task] {
            Verdict::Awake(Awake::Runs) => "it runs",
            Verdict::Awake(Awake::Event) => "it waits for a time, a socket or the like",
            Verdict::Awake(Awake::Aborted) => "it is being aborted",
            Verdict::Awake(Awake::OfProfiler) => "it serves profiles",
            _ => "it could be woken",
        }
    }
}

/// Returns the line of the program's own code at which a task waits.
fn line(root: &AwaitFrame) -> String {
    let chain = root.chain();
    let is_own = |frame: &&&AwaitFrame| !LIBRARIES.iter().any(|library| frame.function.starts_with(library));
    let own = chain.iter().rev().filter(is_own).find_map(|frame| Some((frame, frame.place.as_ref()?)));
    match own {
        Some((frame, place)) => format!("{} ({}:{})", frame.function, place.file, place.line),
        None => root.function.to_string(),
    }
}

/// Writes a number with its error.
fn figure(count: &Estimate) -> String {
    format!("{:.0} ± {:.0}", count.value, count.variance.max(0.0).sqrt())
}

fn tasks(count: &Estimate) -> String {
    format!("{} tasks ({} samples)", figure(count), count.samples)
}

fn explained(reason: Reason) -> &'static str {
    match reason {
        Reason::Unread => "they were not read; /debug/pprof/goroutine says why",
        Reason::Future => {
            "they wait for futures of a kind that is not understood, such as those that are written by hand"
        }
        Reason::Young => "they are younger than 5 s",
        Reason::References => "more refer to them than what they wait for, such as an AbortHandle",
        Reason::Place => {
            "what they wait for is in no block of memory that is known, or in the memory of a task itself"
        }
        Reason::Pointers => "there are more pointers to what they wait for than were found",
        Reason::Lost => {
            "a block has a pointer to what they wait for, and nothing was found that leads to that block: it was leaked, or is held by an \
             index or a masked pointer"
        }
        Reason::Unsampled => {
            "memory that was not sampled leads to what they wait for; a shorter sampling interval tells more"
        }
        Reason::TooMany => "more pointers lead to what they wait for than the search has room for",
        Reason::Changed => "they, or memory, changed while they were looked at",
        Reason::Task => "a task leads to what they wait for that is not judged itself",
    }
}

//! The live tasks of tokio: how many each site has spawned, and where they wait.
//!
//! A task is one block on the heap, so the samples of the heap tell how many there are, from which site, and how old: that
//! needs nothing but the allocator. Where the debug information has the types of the program's futures, what is in the
//! sampled blocks tells at which `.await` each of them waits. A sampled task stands for as many as its weight says, whether its
//! line is known or not, so that the counts of both kinds of rows add up to the same.
//!
//! Path: *read path*.

mod cells;
mod chains;
mod debug_files;
mod frames;
mod kept_index;
mod notes;

use super::{Part, Waiter};
use crate::mappings::Mappings;
use crate::profile::{Estimate, Label, LabelValue};
use ::tasks::Task;
use alloc_profiler::StackTrace;
use alloc_profiler::internal::LiveBlock;
pub(crate) use cells::makes_tasks;
pub(in crate::sources) use cells::{Cells, Site};
use chains::{Chains, Outcome};
pub(in crate::sources) use chains::{MAX_READ, own_memory};
pub(in crate::sources) use frames::{Lines, frame};
pub(in crate::sources) use kept_index::IndexInUse;
pub(crate) use kept_index::IndexWatch;
pub(in crate::sources) use notes::{package, types};

/// Finds the live tasks of this process.
pub(super) fn part() -> Part {
    if !alloc_profiler::is_installed() {
        let why = "tasks are not known: they are found among the samples of the heap, and this program's allocator takes none; \
                   write pprof_server::install!() in main";
        return Part { notes: vec![why.to_owned()], ..Part::default() };
    }
    let mappings = Mappings::of_process();
    let memory = chains::own_memory();
    let mut lines = Lines::new();
    let cells = Cells::find(&mappings, memory.as_deref().ok(), &mut lines);
    let chains = Chains::read(&cells, &mappings, memory, &mut lines);
    let found = cells.blocks.iter().zip(&chains.outcomes);
    let waiters = found.map(|(block, outcome)| waiter(cells.site(block), block, outcome)).collect();
    let notes = notes::notes(&cells, &chains, &mappings);
    Part { waiters, notes, is_known: true, lines }
}

/// Makes what stands for one sampled task that was read.
pub(in crate::sources) fn waiter_of(
    site: Option<&Site>,
    block: &LiveBlock,
    task: &Task,
    written: &mut Lines,
) -> Waiter {
    waiter(site, block, &Outcome::of(task, written))
}

/// Makes what stands for one sampled task.
fn waiter(site: Option<&Site>, block: &LiveBlock, outcome: &Outcome) -> Waiter {
    let label = |key, value: &str| Label { key, value: LabelValue::Text(value.into()) };
    let mut labels = vec![label(Label::KIND, "task")];
    let (trace, alone) = match outcome {
        Outcome::Read { state, trunk, branches } => {
            labels.extend([label(Label::STATE, state), label(Label::SOURCE, "types")]);
            let mut alone = [&branches[..], &trunk[..]].concat();
            alone.extend(site.and_then(|site| site.created_by));
            (StackTrace::new(&trunk[..], false), Some(StackTrace::new(alone, false)))
        }
        Outcome::Unread(why) => {
            labels.push(label(Label::SOURCE, "heap"));
            labels.extend(why.map(|why| label(Label::UNREAD, why)));
            let trace = site.map(|site| site.trace.clone()).unwrap_or_default();
            // What comes after that frame are the callers of the function that spawned.
            let created_by = site.and_then(|site| site.created_by).into_iter();
            let alone = created_by.chain(trace.frames.iter().skip(1).copied()).collect::<Box<[_]>>();
            let alone = StackTrace::new(alone, trace.is_truncated);
            (trace, Some(alone))
        }
    };
    Waiter {
        trace,
        alone,
        labels,
        count: Estimate { value: block.weight, samples: 1, variance: block.objects_variance },
        id: Some(block.address as u64),
        age: Some(block.age),
    }
}

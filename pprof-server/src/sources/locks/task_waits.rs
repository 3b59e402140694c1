//! Where tasks wait for locks of their runtime. No thread is blocked there, so no call of the program tells when such a wait begins or
//! ends: the tasks are looked at again and again while time goes by, and one that waits at a look is taken to have waited since the look
//! before.
//!
//! ```text
//! sampled tasks ─▶ some of them in turn ─▶ what each waits for, by its types ─▶ the time since the last look, by the line of the `.await`
//! ```
//!
//! Path: *read path*. Cost: a look lists the sampled blocks and reads 100 tasks at most. Looks take one part in fifty of the time at
//! most.

use crate::kept_files;
use crate::mappings::Mappings;
use crate::profile::{Amount, Estimate, Label, LabelValue, Unit};
use crate::sources::goroutine::tasks::{
    Cells, IndexInUse, Lines, own_memory, package, types as types_note, waiter_of,
};
use alloc_profiler::StackTrace;
use alloc_profiler::internal::{LiveBlock, cpu_time};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};
use tasks::{Block, Grade, Masked, Memory, State, Unread, Wait, Waiting};

/// So often tasks are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks take a part of the time that is no larger: where there are very many samples, there are fewer looks.
const MAX_SHARE: u32 = 50;
/// So many tasks are read in one look. Where there are more, they take turns, and each stands for as many as were left out.
const MAX_READ: usize = 100;
/// Waits of so many tasks are kept, at each place. Others are counted.
const MAX_KEPT: usize = 100_000;
/// A task that waits for one of these waits for another task to give it back.
const LOCKS: [&str; 3] = ["mutex", "rwlock", "semaphore"];

/// A row is set apart by where its tasks wait, and by what they wait for.
type Key = (StackTrace, &'static str);

/// Waits of tasks that are being watched.
pub(crate) struct TaskWaits {
    index: IndexInUse,
    lines: Lines,
    kept: Kept,
    /// The wait that each task was in when it was last read.
    in_wait: HashMap<Masked, Masked>,
    /// Which task comes first in the next look, if not all are read.
    turn: usize,
    last_look: Instant,
    looks: u32,
    reads: u64,
    /// So many of the reads did not tell what the task waits for.
    unread: u64,
    /// So many looks could not read memory, and why that was the last time.
    missed: (u32, String),
}

/// This keeps what tasks have waited, up to a number of tasks.
#[derive(Default)]
struct Kept {
    waited: BTreeMap<Key, BTreeMap<Masked, Waited>>,
    tasks: usize,
    /// So many reads found a task waiting for which there was no room.
    left_out: u64,
}

/// This adds up what one sampled task has waited.
#[derive(Clone, Copy, Default)]
struct Waited {
    /// The time for which it was seen to wait, in nanoseconds, multiplied by the number of tasks of which each look read one.
    nanoseconds: f64,
    /// The choice of tasks adds so much to the variance of that.
    choice_variance: f64,
    contentions: f64,
    /// How many tasks it stands for, and the variance of that number.
    weight: f64,
    weight_variance: f64,
    reads: i64,
}

/// This holds what was found, and what there is to say of it.
#[derive(Default)]
pub(crate) struct FoundTaskWaits {
    /// There is a row for each place and kind of lock: the contentions that were seen, and the time in nanoseconds.
    pub(super) rows: Vec<(StackTrace, Vec<Label>, [Estimate; 2])>,
    pub(super) lines: Lines,
    pub(super) notes: Vec<String>,
    /// No task was sampled when somebody began to watch.
    had_no_tasks: bool,
}

impl FoundTaskWaits {
    /// Adds a note if tasks have begun since, where there were none when somebody began to watch.
    ///
    /// Cost: it names the stacks of blocks that were not named before.
    pub(crate) fn note_later_tasks(&mut self) {
        if self.had_no_tasks && !kept_files::is_sandboxed() {
            let memory = own_memory();
            let cells = Cells::find(&Mappings::of_process(), memory.as_deref().ok(), &mut Lines::new());
            if !cells.blocks.is_empty() {
                self.notes.push(
                    "block: waits of tasks are not known, because no task was sampled when this began; now there are some: ask again"
                        .to_owned(),
                );
            }
        }
    }
}

impl TaskWaits {
    /// Begins to watch. Where nothing is to be seen, that is returned as what was found: with a note if the program has tasks.
    ///
    /// Cost: the first time, that of looking through the program's debug information, which may be seconds.
    pub(crate) fn start() -> Result<TaskWaits, FoundTaskWaits> {
        if !alloc_profiler::is_installed() {
            return Err(FoundTaskWaits::default());
        }
        let noted =
            |note: Option<String>| FoundTaskWaits { notes: note.into_iter().collect(), ..Default::default() };
        if kept_files::is_sandboxed() {
            return Err(noted(Some(
                "block: waits of tasks are not known, because the program has entered a sandbox since the profiler started".to_owned(),
            )));
        }
        let mappings = Mappings::of_process();
        let mut lines = Lines::new();
        let memory = own_memory();
        let cells = Cells::find(&mappings, memory.as_deref().ok(), &mut lines);
        if cells.blocks.is_empty() {
            return Err(FoundTaskWaits { had_no_tasks: true, ..Default::default() });
        }
        let not_known = |why: String| noted(Some(format!("block: waits of tasks are not known: {why}")));
        memory.map_err(not_known)?;
        let index = IndexInUse::take(&cells.addresses, &mappings)
            .map_err(|error| not_known(format!("the debug information cannot be read: {error}")))?;
        let grade = index.index.grade();
        if grade != Grade::Full {
            index.put_back();
            return Err(noted(types_note(grade, &package(&mappings))));
        }
        let mut waits = TaskWaits {
            index,
            lines,
            kept: Kept::default(),
            in_wait: HashMap::new(),
            turn: 0,
            last_look: Instant::now(),
            looks: 0,
            reads: 0,
            unread: 0,
            missed: (0, String::new()),
        };
        // The first look takes longest, since it names what was not seen before. So it comes before the time that is measured.
        waits.look();
        waits.kept = Kept::default();
        waits.in_wait.clear();
        (waits.looks, waits.reads, waits.unread) = (0, 0, 0);
        Ok(waits)
    }

    /// Looks which tasks wait. Returns when that is to be done again.
    pub(crate) fn look(&mut self) -> Instant {
        let (now, used) = (Instant::now(), cpu_time());
        match own_memory() {
            Ok(memory) => {
                // The time before a look that could not be made is part of the next one's.
                let elapsed = now - std::mem::replace(&mut self.last_look, now);
                self.look_in(&*memory, elapsed);
            }
            Err(why) => self.missed = (self.missed.0 + 1, why),
        }
        now + LOOK_EVERY.max(cpu_time().saturating_sub(used) * MAX_SHARE)
    }

    fn look_in(&mut self, memory: &dyn Memory, elapsed: Duration) {
        let mappings = Mappings::of_process();
        let cells = Cells::find(&mappings, Some(memory), &mut self.lines);
        let chosen = in_turn(&cells.blocks, &mut self.turn);
        let each = cells.blocks.len() as f64 / chosen.len().max(1) as f64;
        self.looks += 1;
        for block in chosen {
            let place = Block { address: block.address as u64, bytes: Some(block.size as u64) };
            let waiting = self.index.index.read_waiting(memory, place);
            if block.is_in_use() {
                self.reads += 1;
                // A task that runs waits for nothing.
                self.unread += u64::from(waiting.as_ref().is_err_and(|why| *why != Unread::Busy));
                self.note(block, waiting.ok().as_ref(), elapsed, each);
            }
        }
        if self.in_wait.len() > 2 * cells.blocks.len() {
            let there: HashSet<Masked> =
                cells.blocks.iter().map(|block| Masked::of(block.address as u64)).collect();
            self.in_wait.retain(|task, _| there.contains(task));
        }
    }

    /// Notes what was read of a task, which stands for `each` sampled tasks and has waited for `elapsed`, if it waits.
    fn note(&mut self, block: &LiveBlock, waiting: Option<&Waiting>, elapsed: Duration, each: f64) {
        let task = Masked::of(block.address as u64);
        let lock = waiting.filter(|waiting| waiting.task.state == State::Suspended).and_then(lock);
        let (Some(waiting), Some((what, address))) = (waiting, lock) else {
            self.in_wait.remove(&task);
            return;
        };
        let is_new = self.in_wait.insert(task, address) != Some(address);
        let trace = waiter_of(None, block, &waiting.task, &mut self.lines).trace;
        let Some(waited) = self.kept.of(trace, what, task) else { return };
        let nanoseconds = elapsed.as_nanos() as f64;
        // mutant: E99 who is read in some looks only counts as if there were no others
        waited.nanoseconds += each * nanoseconds;
        waited.choice_variance += each * (each - 1.0) * (block.weight * nanoseconds).powi(2);
        waited.contentions += f64::from(u8::from(is_new));
        (waited.weight, waited.weight_variance) = (block.weight, block.objects_variance);
        waited.reads += 1;
    }

    /// Ends, and tells what was found.
    pub(crate) fn finish(mut self) -> FoundTaskWaits {
        self.look();
        let TaskWaits { index, lines, kept, looks, reads, unread, missed, .. } = self;
        index.put_back();
        let label = |key, value: &str| Label { key, value: LabelValue::Text(value.into()) };
        let mut total = Estimate::default();
        let mut rows = Vec::with_capacity(kept.waited.len());
        for ((trace, what), tasks) in kept.waited {
            let mut sums = [Estimate::default(); 2];
            tasks.values().for_each(|task| crate::profile::add(&mut sums, &task.estimates()));
            crate::profile::add(std::slice::from_mut(&mut total), &sums[1..]);
            rows.push((trace, vec![label(Label::KIND, "task"), label(Label::WAITS, what)], sums));
        }
        let mut notes = if rows.is_empty() {
            Vec::new()
        } else {
            vec![format!(
                "block: {} ± {} of the delay are of tasks that waited for locks of their runtime (kind=task): {} of {reads} reads of tasks \
                 found one waiting, in {looks} looks; of their contentions only those are counted that a look saw",
                Amount(total.value, Unit::Nanoseconds),
                Amount(total.variance.sqrt(), Unit::Nanoseconds),
                total.samples,
            )]
        };
        if unread > 0 {
            notes.push(format!(
                "block: {unread} of {reads} reads of tasks did not tell what they wait for, so their waits are missing; the future may be of \
                 another package, which needs debug = \"full\" too"
            ));
        }
        if kept.left_out > 0 {
            notes.push(format!(
                "block: {} of {reads} reads of tasks found one waiting for which there was no room, so its waits are missing; ask for a \
                 shorter time",
                kept.left_out
            ));
        }
        if let (1.., why) = missed {
            notes.push(format!("block: {} looks at tasks could not be made: {why}", missed.0));
        }
        FoundTaskWaits { rows, lines, notes, had_no_tasks: false }
    }
}

impl Kept {
    /// Returns what this task has waited at this place, or `None` if there is no room for it.
    fn of(&mut self, trace: StackTrace, what: &'static str, task: Masked) -> Option<&mut Waited> {
        let at_place = self.waited.entry((trace, what)).or_default();
        if !at_place.contains_key(&task) {
            // mutant: E99 waits of tasks are kept without a bound
            if self.tasks >= MAX_KEPT {
                self.left_out += 1;
                return None;
            }
            self.tasks += 1;
        }
        Some(at_place.entry(task).or_default())
    }
}

impl Waited {
    /// Returns the contentions and the nanoseconds. All looks at a task err alike in how many tasks it stands for.
    fn estimates(&self) -> [Estimate; 2] {
        let of = |value: f64, choice_variance: f64| Estimate {
            value: value * self.weight,
            variance: value * value * self.weight_variance + choice_variance,
            samples: self.reads,
        };
        [of(self.contentions, 0.0), of(self.nanoseconds, self.choice_variance)]
    }
}

/// Returns the lock that a task waits for, and where that is.
fn lock(waiting: &Waiting) -> Option<(&'static str, Masked)> {
    waiting.waits.iter().find_map(|wait| match wait {
        Wait::Shared { what, parts } if LOCKS.contains(what) => Some((*what, parts.first()?.address)),
        _ => None,
    })
}

/// Chooses the tasks that are read, of which the one at `turn` comes first, and moves that on.
fn in_turn<'a>(blocks: &'a [LiveBlock], turn: &mut usize) -> Vec<&'a LiveBlock> {
    if blocks.is_empty() {
        return Vec::new();
    }
    let first = *turn % blocks.len();
    let chosen: Vec<&LiveBlock> =
        blocks.iter().cycle().skip(first).take(MAX_READ.min(blocks.len())).collect();
    *turn = first + chosen.len();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_are_too_many_take_turns() {
        let blocks: Vec<LiveBlock> = (0..250).map(|number| LiveBlock::of_test(128 * number, 128)).collect();
        let mut turn = 0;
        let mut reads = [0; 250];
        for _ in 0..5 {
            let chosen = in_turn(&blocks, &mut turn);
            assert_eq!(chosen.len(), MAX_READ);
            chosen.iter().for_each(|block| reads[block.address / 128] += 1);
        }
        assert_eq!(reads, [2; 250]);
        // Others may be there the next time.
        turn = 240;
        assert_eq!(in_turn(&blocks[..3], &mut turn).len(), 3);
        assert!(in_turn(&[], &mut turn).is_empty());
    }

    #[test]
    fn waits_beyond_the_room_for_them_are_counted() {
        let mut kept = Kept::default();
        let trace = StackTrace::new(Box::default(), false);
        for task in 0..MAX_KEPT as u64 + 3 {
            for _ in 0..2 {
                let has_room = kept.of(trace.clone(), "mutex", Masked::of(16 * task)).is_some();
                assert_eq!(has_room, task < MAX_KEPT as u64);
            }
        }
        assert_eq!((kept.tasks, kept.left_out), (MAX_KEPT, 6));
    }

    /// A task that stands for two was read in each of two looks of a second, and stood there for all three sampled ones.
    #[test]
    fn what_a_task_has_waited_has_the_errors_of_its_sample_and_of_the_choice() {
        let waited = Waited {
            nanoseconds: 6e9,
            choice_variance: 2.0 * 3.0 * 2.0 * 2e9_f64.powi(2),
            contentions: 1.0,
            weight: 2.0,
            weight_variance: 2.0,
            reads: 2,
        };
        let [contentions, delay] = waited.estimates();
        assert_eq!((contentions.value, contentions.variance, contentions.samples), (2.0, 2.0, 2));
        assert_eq!((delay.value, delay.samples), (12e9, 2));
        assert_eq!(delay.variance, 36e18 * 2.0 + 48e18);
    }
}

//! What keeps blocks alive, as a profile: each stack is a chain of holders, with the root outermost and the block's own site at the
//! leaf.
//!
//! The crate `holders` searches; here sites and roots get their names. `http::handler` calls this on a worker's thread.
//!
//! Path: *read path*. Cost: that of naming the stacks of all live samples, and that of the search.

mod choice;
mod notes;
mod roots;
mod sites;
mod surroundings;
mod types;

use crate::kept_files;
use crate::mappings::Mappings;
use crate::per_process::PerProcess;
use crate::process;
use crate::profile::{
    Bytes, Estimate, Frame, Frames, Label, LabelValue, Period, Profile, Rows, Stacks, Symbolize, Unit, add,
};
use crate::sources::goroutine::{Lines, frame};
use crate::sources::heap;
use crate::sources::plain_text::PlainText;
use crate::symbols::role::Role;
use crate::symbols::synthetic_line;
use alloc_profiler::internal::{LiveBlock, LiveBlocks, live_blocks};
use alloc_profiler::{CodeAddress, StackTrace, sampling_interval, unsampled};
pub(crate) use choice::Choice;
use holders::{Block, Chain, End, Found, Link, Pace, PageMap};
pub(super) use roots::RootNames;
use sites::{Site, Sites};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, SystemTime};
pub(super) use surroundings::Surroundings;
use types::{ChainTypes, Types};

/// The search takes so much memory at most, in bytes, with what names take.
pub(crate) const WORK_BYTES: usize = 24 << 20;
/// How fast memory is gone over: a slice takes some 1 ms, and whoever waits for the processor has it after that.
pub(super) const PACE: Pace =
    Pace { slice_bytes: 2 << 20, pause: Duration::from_micros(250), most_time: Duration::from_secs(30) };
/// The address of lines that have no code. Nothing is mapped there.
const NO_CODE: u64 = 0x2_0000;

/// What was found of the blocks that somebody asked about.
pub(crate) struct Held {
    rows: Vec<HeldRow>,
    sites: Vec<Site>,
    notes: Vec<String>,
}

/// Blocks of one site with one chain.
struct HeldRow {
    /// The blocks were allocated by this site.
    site: u32,
    /// What the blocks are, if types tell.
    type_: Option<Arc<str>>,
    /// The blocks that hold them, the nearest first. Of several that follow one another and are alike there is one.
    path: Vec<Holding>,
    end: String,
    kind: &'static str,
    may_be_stale: bool,
    objects: Estimate,
    bytes: Estimate,
}

/// A block that holds others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holding {
    /// It was allocated by this site.
    Site(u32),
    /// It was not sampled. This says of which type it is, or how large.
    Unsampled(Arc<str>),
}

/// Searches memory for what holds the blocks that are chosen, after all searches that are under way.
///
/// # Errors
///
/// A sentence says why there is no result, and what to do.
pub(crate) fn find(choice: &Choice) -> Result<Held, String> {
    let _turn = turn().lock().unwrap_or_else(PoisonError::into_inner);
    find_within(choice, PACE)
}

/// Does the same within this time, unless a search is under way.
///
/// # Errors
///
/// A sentence says why there is no result, and what to do.
pub(crate) fn find_now(choice: &Choice, most_time: Duration) -> Result<Held, String> {
    let _turn = match turn().try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return Err("memory is being searched for somebody else; ask again later".to_owned());
        }
    };
    find_within(choice, Pace { most_time, ..PACE })
}

/// Whoever has this searches memory. Two at a time would find each other's lists of addresses, and take them for holders.
pub(super) fn turn() -> &'static Mutex<()> {
    static TURN: PerProcess<Mutex<()>> = PerProcess::new();
    TURN.get(Mutex::default)
}

fn find_within(choice: &Choice, pace: Pace) -> Result<Held, String> {
    unsampled(|| {
        if !alloc_profiler::is_installed() {
            return Err("holders are not known: this program's allocator takes no samples; write \
                        pprof_server::install!() in main"
                .to_owned());
        }
        // mutant: H28 memory is searched in a sandbox
        if kept_files::is_sandboxed() {
            return Err("the program has entered a sandbox since the profiler started, and the sandbox may kill whoever lists \
                        threads or opens files; set PPROF_OPEN_FILES=1 in the environment if it lets both be done"
                .to_owned());
        }
        if !process::can_have(WORK_BYTES) {
            return Err("there is no memory for the search; ask again when 24 MiB are free".to_owned());
        }
        let mut listed = live_blocks(|_, _| true);
        let found = find_among(&listed, choice, pace);
        listed.wipe();
        found
    })
}

fn find_among(listed: &LiveBlocks, choice: &Choice, pace: Pace) -> Result<Held, String> {
    let mappings = Mappings::of_process();
    let stacks = Stacks::of(listed.stacks.iter(), &[], mappings.clone(), Symbolize::Full);
    let sites = Sites::of(listed, &stacks, choice.needs_functions());
    drop(stacks);
    let chosen = choice.stacks(listed, &sites);
    let is_target = |block: &LiveBlock| {
        let is_chosen = block.stack.is_some_and(|stack| chosen[stack]) || choice.is_everything();
        is_chosen && choice.is_old_enough(block)
    };
    let blocks = listed.blocks.iter().zip(0..).map(|(block, number)| Block {
        address: block.address as u64,
        bytes: block.size as u64,
        site: sites.of_stack(block.stack),
        target: is_target(block).then_some(number),
    });
    let mut surroundings = Surroundings::of_process(&mappings)?;
    let own = listed.blocks.as_ptr() as u64;
    surroundings.left_out.push((own, own + size_of_val(&listed.blocks[..]) as u64));
    let memory = tasks::OwnMemory::open().map_err(|error| {
        format!("this process's memory cannot be copied ({error}); allow process_vm_readv, or reading /proc/self/mem")
    })?;
    let pages = PageMap::open().map_err(|error| {
        format!("it is not known which pages are in memory ({error}); allow reading /proc/self/pagemap")
    })?;
    let blocks: Vec<Block> = blocks.collect();
    let targets: Vec<u32> = blocks.iter().filter_map(|block| block.target).collect();
    let found = holders::search(&memory, &pages, surroundings.scene(pace), blocks)
        .map_err(|failure| failure.to_string())?;
    let roots = found.chains.iter().flat_map(|chain| {
        let end = match chain.end {
            End::Root(root) => Some(root),
            _ => None,
        };
        end.into_iter().chain(chain.forks.iter().map(|fork| fork.root))
    });
    let roots = RootNames::of(&roots.collect(), &surroundings, &mappings);
    let types = Types::of(&found.chains, &surroundings, &mappings, &memory);
    let (rows, gone) = rows(listed, &targets, &found, &sites, &roots, &types);
    let mut held = Held { rows, sites: sites.sites, notes: Vec::new() };
    held.notes = notes::notes(&held, &found, gone, choice, surroundings.knows_own);
    Ok(held)
}

/// What blocks of one row have in common: the fields of [`HeldRow`] but for the sums.
type Alike = (u32, Vec<Holding>, String, &'static str, bool, Option<Arc<str>>);

/// Sums up the targets that are still in use by site and chain. Returns also how many were freed meanwhile.
fn rows(
    listed: &LiveBlocks,
    targets: &[u32],
    found: &Found,
    sites: &Sites,
    roots: &RootNames,
    types: &Types,
) -> (Vec<HeldRow>, usize) {
    let chains: BTreeMap<u32, &Chain> = found.chains.iter().map(|chain| (chain.target, chain)).collect();
    let mut sums: BTreeMap<Alike, [Estimate; 2]> = BTreeMap::new();
    let mut gone = 0;
    for &target in targets {
        let block = &listed.blocks[target as usize];
        // mutant: H8 what was freed during the search is in the profile of holders
        if !block.is_in_use() {
            gone += 1;
            continue;
        }
        let (chain, known) = (chains.get(&target), types.of_target(target));
        let several = chain.and_then(|chain| roots.several(chain));
        let links = several.as_ref().map_or(usize::MAX, |several| several.links);
        let path = chain.map_or_else(Vec::new, |chain| path(chain, links, known));
        let end = chain.map_or(End::NotJudged, |chain| chain.end);
        let (text, kind) = match several {
            Some(several) => (several.text, "several"),
            None => (roots.end(end, known.and_then(|known| known.fields.as_deref())), kind(end)),
        };
        let may_be_stale = chain.is_some_and(|chain| chain.may_be_stale);
        let type_ = known.and_then(|known| known.target.clone());
        let alike = (sites.of_stack(block.stack), path, text, kind, may_be_stale, type_);
        let sum = sums.entry(alike).or_default();
        let size = block.size as f64;
        let objects = Estimate { value: block.weight, samples: 1, variance: block.objects_variance };
        let bytes = Estimate {
            value: block.weight * size,
            samples: 1,
            variance: block.objects_variance * size * size,
        };
        add(sum, &[objects, bytes]);
    }
    let rows = sums.into_iter().map(|((site, path, end, kind, may_be_stale, type_), [objects, bytes])| {
        HeldRow { site, type_, path, end, kind, may_be_stale, objects, bytes }
    });
    (rows.collect(), gone)
}

/// Returns the first blocks of a chain, of which one stands for several that are alike: a list of a thousand nodes is a list.
fn path(chain: &Chain, links: usize, known: Option<&ChainTypes>) -> Vec<Holding> {
    let holding = |(number, link): (usize, &Link)| match *link {
        Link::Sampled { site, .. } => Holding::Site(site),
        Link::Unsampled { bytes } => {
            let type_ = known.and_then(|known| known.links[number].clone());
            let class = || format!("up to {}", Bytes(bytes.next_power_of_two() as f64)).into();
            Holding::Unsampled(type_.unwrap_or_else(class))
        }
    };
    let mut path: Vec<Holding> = chain.links.iter().take(links).enumerate().map(holding).collect();
    path.dedup();
    path
}

/// Returns what the label says of the end of a chain.
fn kind(end: End) -> &'static str {
    match end {
        End::Root(holders::Root::Static(_)) => "static",
        End::Root(holders::Root::ThreadLocal(..)) => "thread-local",
        End::Root(holders::Root::Stack(_)) => "stack",
        End::Unsampled => "unsampled",
        End::Lost => "lost",
        End::Cycle => "cycle",
        End::NotJudged => "not-judged",
    }
}

impl Held {
    /// Says in a sentence what holds most of the blocks that are named by this frame.
    pub(crate) fn sentence(&self, named: &Frame) -> Option<String> {
        let site = self.sites.iter().position(|site| site.is(named))?;
        notes::holder_of(self, site as u32)
    }

    /// Returns what was found in sentences.
    pub(crate) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// Makes the profile.
    ///
    /// Cost: it names nothing that is not named yet.
    pub(crate) fn into_profile(self, symbolize: Symbolize, has_labels: bool) -> Profile {
        let mut lines = Lines::new();
        let mut by_stack: BTreeMap<Vec<CodeAddress>, Vec<&HeldRow>> = BTreeMap::new();
        for row in &self.rows {
            by_stack.entry(self.frames(row, &mut lines)).or_default().push(row);
        }
        let mut rows = Rows::new(heap::IN_USE_TYPES.len(), self.rows.len());
        let mut totals = [Estimate::default(); 2];
        let mut traces = Vec::with_capacity(by_stack.len());
        for (frames, held) in by_stack {
            let mut by_labels: BTreeMap<Vec<Label>, [Estimate; 2]> = BTreeMap::new();
            for row in held {
                let labels = if has_labels { row.labels() } else { Vec::new() };
                add(by_labels.entry(labels).or_default(), &[row.objects, row.bytes]);
            }
            for (labels, values) in by_labels {
                let labels = rows.labels_id(labels);
                rows.push(traces.len(), labels, &values, []);
                add(&mut totals, &values);
            }
            traces.push(StackTrace::new(frames, false));
        }
        Profile {
            name: "holders",
            types: &heap::IN_USE_TYPES,
            shown_type: 1,
            default_type: Some(1),
            period: Period {
                name: "space",
                unit: Unit::Bytes,
                value: sampling_interval() as u64,
                field: "sampling_interval_bytes",
            },
            time: SystemTime::now(),
            duration: None,
            frames: Frames::All,
            own_bytes: 0,
            legacy: PlainText::of,
            rows,
            is_known: true,
            totals: totals.to_vec(),
            notes: self.notes,
            stacks: Stacks::with_known(traces.iter(), &[], Mappings::of_process(), symbolize, &lines),
        }
    }

    /// Returns the frames of a chain: the block's site is the leaf, and what holds all of it is the root.
    fn frames(&self, row: &HeldRow, lines: &mut Lines) -> Vec<CodeAddress> {
        let mut frame_of = |holding: &Holding| match holding {
            Holding::Site(site) => match &self.sites[*site as usize] {
                Site { line: Some(line), near } => frame(*near, [line.clone()].into(), lines),
                Site { line: None, .. } => synthetic("[unknown stack]", lines),
            },
            Holding::Unsampled(what) => synthetic(&format!("[block that was not sampled: {what}]"), lines),
        };
        let mut frames = vec![frame_of(&Holding::Site(row.site))];
        frames.extend(row.path.iter().map(&mut frame_of));
        frames.push(synthetic(&row.end, lines));
        frames
    }
}

fn synthetic(name: &str, lines: &mut Lines) -> CodeAddress {
    frame(NO_CODE, [synthetic_line(name, Role::User)].into(), lines)
}

impl HeldRow {
    fn labels(&self) -> Vec<Label> {
        let label = |key, value: &str| Label { key, value: LabelValue::Text(value.into()) };
        let mut labels = vec![label(Label::KIND, self.kind)];
        labels.extend(self.type_.as_deref().map(|type_| label("type", type_)));
        labels.extend(self.may_be_stale.then(|| label("may_be_stale", "1")));
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests have no allocator that takes samples. So no block that they name is in use, as if each had been freed.
    #[test]
    fn what_was_freed_during_the_search_is_left_out_and_counted() {
        let mut listed = live_blocks(|_, _| true);
        assert!(listed.blocks.is_empty());
        listed.blocks.push(LiveBlock::of_test(0x1000, 64));
        let found = Found::default();
        let sites =
            Sites::of(&listed, &Stacks::of([].iter(), &[], Mappings::default(), Symbolize::None), false);
        let surroundings = Surroundings::of_process(&Mappings::default()).unwrap();
        let roots = RootNames::of(&std::collections::BTreeSet::new(), &surroundings, &Mappings::default());
        let (rows, gone) = rows(&listed, &[0], &found, &sites, &roots, &Types::default());
        assert_eq!((rows.len(), gone), (0, 1));
    }
    /// Its list of addresses would look like holders.
    #[test]
    fn a_search_waits_for_another_or_goes_without() {
        let turn = turn().lock().unwrap();
        let nothing = Choice::default();
        let refused = find_now(&nothing, Duration::from_secs(1)).err().unwrap();
        assert!(refused.contains("somebody else"), "{refused}");
        let waiting = std::thread::spawn(|| find(&Choice::default()).err());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(turn);
        // Tests have no allocator that takes samples.
        assert!(waiting.join().unwrap().unwrap().contains("install"));
    }
}

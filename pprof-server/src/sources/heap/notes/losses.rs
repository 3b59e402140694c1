//! This lists the losses that a profile of the heap can have, each with a sentence and its remedy.
//!
//! To tell another loss, add it to [`LOSSES`]: every output has it then. `sources::losses` tells what stacks and names
//! can lack, and `alloc_profiler::Dropped` counts the rest.
//!
//! Path: *read path*.

use super::Facts;
use crate::sources::losses::{Told, of_names};
use alloc_profiler::MAX_STACK_DEPTH;

/// Tells a loss, if there is that loss.
pub(super) type Tell = fn(&Facts<'_>) -> Option<Told>;

/// Every loss by its name among the metrics, in the order in which they are told.
pub(super) const LOSSES: &[(&str, Tell)] = &[
    ("not_installed", not_installed),
    ("sampling_off", sampling_off),
    ("second_profiler", second_profiler),
    ("no_mappings", |facts| of_names::no_mappings(&facts.stacks)),
    ("sandbox", |facts| of_names::sandbox(&facts.stacks)),
    // mutant: D6 a default release build is not told
    ("symbols", |facts| of_names::program_symbols(&facts.stacks)),
    ("program_names", |facts| of_names::program_names(&facts.stacks)),
    // mutant: D6 a library without lines is not told
    ("library_symbols", |facts| of_names::library_symbols(&facts.stacks)),
    ("library_names", |facts| of_names::library_names(&facts.stacks)),
    ("unknown_library", |facts| of_names::unknown_library(&facts.stacks)),
    ("code_in_no_file", |facts| of_names::code_in_no_file(&facts.stacks)),
    ("out_of_time", |facts| of_names::out_of_time(&facts.stacks)),
    // mutant: D6 stacks that could not be taken are not told
    ("unknown_stack", |facts| of_names::unknown_stack(&facts.stacks)),
    ("low_stack", low_stack),
    ("truncated_stack", truncated_stack),
    ("cut_stack", cut_stack),
    ("stacks_full", stacks_full),
    ("live_full", live_full),
    ("live_busy", live_busy),
    ("missed_removals", missed_removals),
    ("replaced_records", replaced_records),
];

fn not_installed(facts: &Facts<'_>) -> Option<Told> {
    let is_empty = !facts.is_installed && facts.samples == 0.0;
    let text = "no SamplingAllocator is the global allocator of this program, so its profiles are empty: write \
                pprof_server::install!() in main";
    is_empty.then(|| Told { ratio: 1.0, text: text.to_owned() })
}

fn sampling_off(facts: &Facts<'_>) -> Option<Told> {
    let is_off = facts.is_installed && facts.snapshot.sampling_interval == 0;
    let text = "sampling is off (interval 0), so what has been allocated since it was turned off is missing: \
                ALLOC_PROFILER_INTERVAL=524288 in the environment, or alloc_profiler::set_sampling_interval, turns it on";
    is_off.then(|| Told { ratio: 1.0, text: text.to_owned() })
}

fn second_profiler(_: &Facts<'_>) -> Option<Told> {
    let copies = alloc_profiler::other_copies();
    let first = copies.first()?;
    let file = first.path.file_name().map_or("the program".into(), |name| name.to_string_lossy());
    let others = match copies.len() - 1 {
        0 => String::new(),
        others => format!(", and so have {others} more"),
    };
    let text = format!(
        "{file} has a profiler of its own (alloc-profiler {}){others}: what it allocates is in that one's profile and not \
         here, and a block that one of the two allocates and the other frees stays in use; let only one of them have a \
         SamplingAllocator, the program if the plugin uses its allocator",
        first.version
    );
    Some(Told { ratio: 1.0, text })
}

fn low_stack(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.low_stack, |samples| {
        format!(
            "{samples} stand under [unknown stack] because too little of the thread's own stack was left: give the thread \
             more (std::thread::Builder::stack_size, RUST_MIN_STACK)"
        )
    })
}

fn truncated_stack(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.truncated_stacks, |samples| {
        let share = facts.stacks.share(facts.stacks.evidence.truncated);
        let share = share.map_or_else(String::new, |share| format!(", {share}"));
        format!(
            "{samples}{share} are without their outermost frames, where [truncated] stands, because the stack was deeper \
             than {MAX_STACK_DEPTH} frames: the line that allocated is right, but sums by caller (cum) are too low"
        )
    })
}

fn cut_stack(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.cut_stacks, |samples| {
        format!(
            "{samples} are without their outermost frames because a function on the way, the last of each such stack, has \
             no unwind tables and no frame pointer that could be verified: the line that allocated is right, but sums by \
             caller (cum) are too low; compile C with -fasynchronous-unwind-tables or -fno-omit-frame-pointer, and give \
             assembly .cfi directives"
        )
    })
}

/// The remedy where a cap of the profiler's was reached.
const RAISE: &str = "raise it by alloc_profiler::set_limits, or sample less often (ALLOC_PROFILER_INTERVAL)";

fn stacks_full(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.stacks_full, |samples| {
        format!(
            "{samples} stand under [profiler overflow] because the limit on stacks or on the profiler's memory was reached: \
             {RAISE}"
        )
    })
}

fn live_full(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.live_full, |samples| {
        format!(
            "{samples} are missing from what is in use because the limit on live samples or on the profiler's memory was \
             reached: {RAISE}"
        )
    })
}

fn live_busy(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.live_busy, |samples| {
        format!(
            "{samples} are missing from what is in use because a lock could not be had in time: sample less often \
             (ALLOC_PROFILER_INTERVAL), or look for what stops threads"
        )
    })
}

fn missed_removals(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.missed_removals, |samples| {
        format!(
            "{samples} may still count as in use although they were freed, because a lock could not be had in time: sample \
             less often (ALLOC_PROFILER_INTERVAL), or look for what stops threads"
        )
    })
}

fn replaced_records(facts: &Facts<'_>) -> Option<Told> {
    facts.counted(facts.snapshot.dropped.replaced_records, |samples| {
        format!(
            "{samples} are missing from what is in use because another block was recorded at the same address: one \
             SamplingAllocator hands out parts of another one's blocks (a pool over the global allocator, say), so let only \
             one of them be a SamplingAllocator"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::losses::{Evidence, Loss, StackFacts, told as losses_told};
    use crate::symbols;
    use alloc_profiler::Snapshot;
    use alloc_profiler::internal::literal;

    fn told(interval: u64, is_installed: bool, samples: f64, symbols: &'static str) -> Vec<&'static str> {
        let snapshot = literal!(Snapshot { sampling_interval: interval, ..alloc_profiler::snapshot() });
        let symbols = symbols.to_owned();
        let stacks = StackFacts { stacks: None, evidence: Evidence::default(), symbols, wholes: ["", ""] };
        let facts = Facts { snapshot: &snapshot, stacks, samples, is_installed };
        let losses = losses_told(LOSSES.iter().map(|(reason, tell)| (*reason, tell(&facts))));
        let is_one_line = |loss: &Loss| !loss.text.contains('\n') && (0.0..=1.0).contains(&loss.ratio);
        assert!(losses.iter().all(is_one_line), "{losses:?}");
        losses.iter().map(|loss| loss.reason).collect()
    }

    #[test]
    fn nothing_sampled_and_nothing_named_is_told_without_a_single_sample() {
        const NOTHING: [&str; 0] = [];
        assert_eq!(told(524_288, true, 0.0, symbols::FULL), NOTHING);
        assert_eq!(told(524_288, true, 9.0, "functions only: …"), ["symbols"]);
        assert_eq!(told(0, true, 9.0, symbols::FULL), ["sampling_off"]);
        assert_eq!(told(524_288, false, 0.0, symbols::FULL), ["not_installed"]);
        // Somebody made this snapshot up.
        assert_eq!(told(524_288, false, 9.0, symbols::FULL), NOTHING);
    }

    #[test]
    fn every_loss_has_a_name_of_its_own() {
        let mut reasons: Vec<&str> = LOSSES.iter().map(|(reason, _)| *reason).collect();
        assert!(
            reasons.iter().all(|reason| reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        );
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), LOSSES.len());
    }

    #[test]
    fn every_loss_is_in_the_documents() {
        let endpoints = include_str!("../../../../../docs/endpoints.md");
        let notes = endpoints.split("\n### ").find(|section| section.starts_with("Notes\n")).unwrap();
        for (reason, _) in LOSSES {
            let is_row = |line: &str| line.starts_with("| `") && line.contains(&format!("`{reason}`"));
            assert!(notes.lines().any(is_row), "docs/endpoints.md has no row for {reason}");
        }
    }
}

//! The losses that a profile can have, each a sentence and its remedy.
//!
//! To tell another, add it to [`LOSSES`]: every output has it then. Only what needs to find out something first is more
//! than that: `evidence` looks at stacks and names, `alloc_profiler::Dropped` counts.
//!
//! Path: *read path*.

use super::Facts;
use crate::kept_files;
use crate::profile::Lack;
use crate::symbols;
use alloc_profiler::MAX_STACK_DEPTH;

/// A loss, but for its name.
pub(super) struct Told {
    pub(super) ratio: f64,
    pub(super) text: String,
}

/// Tells a loss, if there is that loss.
pub(super) type Tell = fn(&Facts<'_>) -> Option<Told>;

/// Every loss by its name among the metrics, in the order in which they are told.
pub(super) const LOSSES: &[(&str, Tell)] = &[
    ("not_installed", not_installed),
    ("sampling_off", sampling_off),
    ("second_profiler", second_profiler),
    ("no_mappings", no_mappings),
    ("sandbox", sandbox),
    // mutant: D6 a default release build is not told
    ("symbols", program_symbols),
    ("program_names", program_names),
    ("library_names", library_names),
    ("library_lines", library_lines),
    ("unknown_library", unknown_library),
    ("code_in_no_file", code_in_no_file),
    ("out_of_time", out_of_time),
    // mutant: D6 stacks that could not be taken are not told
    ("unknown_stack", unknown_stack),
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

fn no_mappings(facts: &Facts<'_>) -> Option<Told> {
    let is_blind = facts.names?.gaps()?.has_files();
    let text = "/proc/self/maps cannot be read, so addresses have no names: let the process see /proc";
    (!is_blind).then(|| Told { ratio: 1.0, text: text.to_owned() })
}

fn sandbox(facts: &Facts<'_>) -> Option<Told> {
    facts.names?.gaps()?;
    let text = "the program has entered a sandbox since the profiler started, and the sandbox may kill whoever opens a file, so \
                none was opened: what had no name before has none if it is a library's, and the name of a function without its \
                line if it is the program's; set PPROF_OPEN_FILES=1 in the environment if the sandbox lets files be opened, or \
                ask for a profile once before the program enters it";
    kept_files::is_sandboxed().then(|| Told { ratio: 1.0, text: text.to_owned() })
}

/// What is known of the program's file before any address is looked up.
fn program_symbols(facts: &Facts<'_>) -> Option<Told> {
    if facts.symbols == symbols::FULL {
        return None;
    }
    let text = facts.symbols;
    let Some(names) = facts.names else { return Some(Told { ratio: 1.0, text: text.to_owned() }) };
    if !names.gaps()?.has_files() {
        return None;
    }
    Some(match facts.share(facts.evidence.program) {
        Some(share) => Told { ratio: share.ratio, text: format!("{text}. This concerns {share}") },
        None => Told { ratio: 0.0, text: text.to_owned() },
    })
}

/// What its file seemed to have, but has not: another part of the program may have been built otherwise.
fn program_names(facts: &Facts<'_>) -> Option<Told> {
    if facts.symbols != symbols::FULL {
        return None;
    }
    let share = facts.share(facts.evidence.program)?;
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "functions of the program's stand without a name or a line on the stacks of {share}, and what was inlined into \
             them is missing: build all of it with debug information ([profile.release] debug = \"limited\" in Cargo.toml, \
             -g for C)"
        ),
    })
}

fn library_names(facts: &Facts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.unnamed)?;
    let library = facts.worst_library(Lack::Name);
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "functions without a name are on the stacks of {share}, most of them in {library}, and stand there as \
             file+0xaddress: install its debug symbols, or build it without stripping it"
        ),
    })
}

fn library_lines(facts: &Facts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.without_lines)?;
    let library = facts.worst_library(Lack::Line);
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "the first row has no line, and may miss inlined functions, for {share}, most of it in {library}: install its \
             debug symbols, or build it with -g"
        ),
    })
}

fn unknown_library(facts: &Facts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.unknown_libraries)?;
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "libraries that could not be told apart are on the stacks of {share}, as [unknown library]: the profiler knows \
             1024, each time another one takes a place counting as one; keep libraries open"
        ),
    })
}

fn code_in_no_file(facts: &Facts<'_>) -> Option<Told> {
    if !facts.names?.gaps()?.has_files() {
        return None;
    }
    let share = facts.share(facts.evidence.nowhere)?;
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "code that is in no file, as a compiler at run time makes it, is on the stacks of {share}, and stands there as \
             bare addresses"
        ),
    })
}

fn out_of_time(facts: &Facts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.out_of_time)?;
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "lines and inlined functions are missing for now on the stacks of {share}, because looking them up takes longer \
             than an answer may: ask again, and those that are found by then are kept"
        ),
    })
}

fn unknown_stack(facts: &Facts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.unknown_stacks)?;
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "no stack could be taken for {share}, which stands under [unknown stack]: what allocated has no unwind tables \
             that can be read (keep .eh_frame and .eh_frame_hdr in the file; compile C with \
             -fasynchronous-unwind-tables), or had too little stack left"
        ),
    })
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
        let share = facts.share(facts.evidence.truncated);
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

/// What to do where a cap of the profiler's was reached.
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
    use super::super::evidence::Evidence;
    use super::*;
    use alloc_profiler::Snapshot;

    fn told(interval: u64, is_installed: bool, samples: f64, symbols: &'static str) -> Vec<&'static str> {
        let snapshot = Snapshot { sampling_interval: interval, ..alloc_profiler::snapshot() };
        let evidence = Evidence::default();
        let facts = Facts { snapshot: &snapshot, names: None, evidence, samples, is_installed, symbols };
        let told = LOSSES.iter().filter_map(|(reason, tell)| Some((*reason, tell(&facts)?)));
        told.map(|(reason, told)| {
            assert!(!told.text.contains('\n') && (0.0..=1.0).contains(&told.ratio), "{reason}");
            reason
        })
        .collect()
    }

    #[test]
    fn nothing_sampled_and_nothing_named_is_told_without_a_single_sample() {
        const NOTHING: [&str; 0] = [];
        assert_eq!(told(524_288, true, 0.0, symbols::FULL), NOTHING);
        assert_eq!(told(524_288, true, 9.0, "functions only: …"), ["symbols"]);
        assert_eq!(told(0, true, 9.0, symbols::FULL), ["sampling_off"]);
        assert_eq!(told(524_288, false, 0.0, symbols::FULL), ["not_installed"]);
        // A snapshot that somebody made.
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

//! This lists what stacks and their names can lack, whatever was measured. Each loss has a sentence and its remedy.
//!
//! Path: *read path*.

use super::{Evidence, StackFacts, Told};
use crate::kept_files;
use crate::symbols;

/// Tells a loss, if there is that loss.
#[cfg(feature = "http")]
type Tell = fn(&StackFacts<'_>) -> Option<Told>;

/// Every loss of names by its name, in the order in which they are told.
#[cfg(feature = "http")]
pub(crate) const ALL: &[(&str, Tell)] = &[
    ("no_mappings", no_mappings),
    ("sandbox", sandbox),
    ("symbols", program_symbols),
    ("program_names", program_names),
    ("library_symbols", library_symbols),
    ("library_names", library_names),
    ("unknown_library", unknown_library),
    ("code_in_no_file", code_in_no_file),
    ("out_of_time", out_of_time),
];

pub(crate) fn no_mappings(facts: &StackFacts<'_>) -> Option<Told> {
    let is_blind = facts.stacks?.gaps()?.has_files();
    let text = "/proc/self/maps cannot be read, so addresses have no names: let the process see /proc";
    (!is_blind).then(|| Told { ratio: 1.0, text: text.to_owned() })
}

/// What a sandbox takes away.
pub(crate) const SANDBOX: &str = "the program has entered a sandbox since the profiler started, and the sandbox may kill whoever \
    opens a file, so none was opened: what had no name before has none if it is a library's, and the name of a function \
    without its line if it is the program's; set PPROF_OPEN_FILES=1 in the environment if the sandbox lets files be opened, \
    or ask for a profile once before the program enters it";

pub(crate) fn sandbox(facts: &StackFacts<'_>) -> Option<Told> {
    facts.stacks?.gaps()?;
    kept_files::is_sandboxed().then(|| Told { ratio: 1.0, text: SANDBOX.to_owned() })
}

/// What is known of the program's file before any address is looked up.
pub(crate) fn program_symbols(facts: &StackFacts<'_>) -> Option<Told> {
    if facts.symbols == symbols::FULL {
        return None;
    }
    let text = facts.symbols.clone();
    let Some(stacks) = facts.stacks else { return Some(Told { ratio: 1.0, text }) };
    if !stacks.gaps()?.has_files() {
        return None;
    }
    Some(match facts.share(facts.evidence.program) {
        Some(share) => Told { ratio: share.ratio, text: format!("{text}. This concerns {share}") },
        None => Told { ratio: 0.0, text },
    })
}

/// What its file seemed to have, but has not: another part of the program may have been built otherwise.
pub(crate) fn program_names(facts: &StackFacts<'_>) -> Option<Told> {
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

/// What libraries lack as a whole.
pub(crate) fn library_symbols(facts: &StackFacts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.in_lacking)?;
    let text = libraries(&facts.evidence)?;
    Some(Told { ratio: share.ratio, text: format!("{text}. This concerns {share}") })
}

/// Says what the worst library lacks as a whole, and which others lack something too.
pub(crate) fn libraries(evidence: &Evidence) -> Option<String> {
    /// So many others are named.
    const NAMED: usize = 3;
    let lacking = evidence.lacking();
    let (worst, others) = lacking.split_first()?;
    let mut text = worst.verdict.text()?;
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().take(NAMED).map(|lacking| &*lacking.verdict.file).collect();
        text += &format!(". Others lack something too: {}", names.join(", "));
    }
    if others.len() > NAMED {
        text += &format!(", and {} more", others.len() - NAMED);
    }
    Some(text)
}

/// Functions without a name in libraries that have names for others, and first rows in the system's files.
pub(crate) fn library_names(facts: &StackFacts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.unnamed)?;
    let library = facts.worst_library();
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "functions without a name are on the stacks of {share}, most of them in {library}, and stand there as \
             file+0xaddress: install its debug symbols, or build it without stripping it"
        ),
    })
}

pub(crate) fn unknown_library(facts: &StackFacts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.unknown_libraries)?;
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "libraries that could not be told apart are on the stacks of {share}, as [unknown library]: the profiler knows \
             1024, each time another one takes a place counting as one; keep libraries open"
        ),
    })
}

pub(crate) fn code_in_no_file(facts: &StackFacts<'_>) -> Option<Told> {
    if !facts.stacks?.gaps()?.has_files() {
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

pub(crate) fn out_of_time(facts: &StackFacts<'_>) -> Option<Told> {
    let share = facts.share(facts.evidence.out_of_time)?;
    Some(Told {
        ratio: share.ratio,
        text: format!(
            "lines and inlined functions are missing for now on the stacks of {share}, because looking them up takes longer \
             than an answer may: ask again, and those that are found by then are kept"
        ),
    })
}

pub(crate) fn unknown_stack(facts: &StackFacts<'_>) -> Option<Told> {
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

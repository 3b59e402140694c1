//! This tells which files are the reason that functions on the stacks of a snapshot cannot be named in full, where no
//! address is named.
//!
//! The metrics and the history tell it. They would wait too long for names, so this follows from what the files say and from
//! the images that frames are in.
//!
//! Path: *read path*.

use super::{Facts, evidence, told_of};
use crate::kept_files;
use crate::sources::losses::{Loss, of_names};
use crate::symbols;
use alloc_profiler::Snapshot;

/// So many files are told of at most, since each is a series of its own to who stores them.
const MAX_FILES: usize = 16;

/// A file on the stacks of a profile that lacks names, lines or paths as a whole.
#[derive(Debug)]
pub(crate) struct FileLoss {
    /// Names the file, without its folder.
    pub(crate) file: String,
    /// What is missing: `names`, `lines` or `paths`.
    pub(crate) lacks: &'static str,
    /// How much of the profile is on stacks through it, from 0 to 1. The program counts as being on every stack.
    pub(crate) ratio: f64,
}

/// Returns what `snapshot` lacks, and the files because of which it lacks names. The program is the first.
pub(crate) fn losses_by_file(snapshot: &Snapshot) -> (Vec<Loss>, Vec<FileLoss>) {
    let facts = Facts::of_process(snapshot, &snapshot.totals(), None);
    let program = symbols::program();
    let of_program = program.iter().filter_map(|verdict| {
        Some(FileLoss { file: verdict.file.clone(), lacks: verdict.lacks()?, ratio: 1.0 })
    });
    let libraries = facts.stacks.evidence.lacking().into_iter().filter_map(|lacking| {
        let ratio = facts.stacks.share(lacking.extent)?.ratio;
        Some(FileLoss { file: lacking.verdict.file.clone(), lacks: lacking.verdict.lacks()?, ratio })
    });
    let files = of_program.chain(libraries).take(MAX_FILES).collect();
    (told_of(&facts), files)
}

/// Tells what there is to name the functions on the stacks of `snapshot` by: [`symbols::FULL`], or sentences that say what
/// the program and libraries lack.
pub(crate) fn symbols_of(snapshot: &Snapshot) -> String {
    let of_program = Some(symbols::of_program()).filter(|symbols| symbols != symbols::FULL);
    let of_libraries = of_names::libraries(&evidence(snapshot, None));
    let missing: Vec<String> = of_program.into_iter().chain(of_libraries).collect();
    match missing.is_empty() {
        false => missing.join(". "),
        true if kept_files::is_sandboxed() => of_names::SANDBOX.to_owned(),
        true => symbols::FULL.to_owned(),
    }
}

//! A verdict says what there is to name the functions of a file by, for each file that stacks are in: the program,
//! libraries and plugins.
//!
//! Each may have been built and packaged by somebody else, so one says nothing about another. A verdict follows from the
//! headers of the file and is found once. If a function turns out to have no line later, although the headers promise
//! debug information, the verdict says that from then on.
//!
//! The C library and the loader are not judged. Hardly any system has lines for them, and every thread begins in them.
//!
//! Path: *read path*. Cost: see `sources` and `units`, once for a file; then a look into a map.

use super::cache::FileIdentity;
use super::debug_info;
use super::own_crate::has_our_code;
use super::shortfall::{Names, Of, Shortfall};
use crate::kept_files;
use crate::mappings::{Mapping, Mappings};
use crate::per_process::PerProcess;
use alloc_profiler::{CodeAddress, ImageId};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many files are remembered. A program that opens more of them has them judged anew each time.
const MAX_FILES: usize = 4096;

/// What one file lacks to name its functions by.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Names the file, without its folder.
    pub(crate) file: String,
    /// Whether it is the program's.
    is_program: bool,
    shortfall: Option<Shortfall>,
    /// Whether a function of it was found to have no line.
    is_in_parts: AtomicBool,
}

impl Verdict {
    /// Judges the file of `mapping`, unless that has been done.
    pub(crate) fn of(mapping: &Mapping) -> Arc<Verdict> {
        let identity = FileIdentity::of(mapping);
        if let Some(known) = verdicts().by_file.get(&identity) {
            return known.clone();
        }
        // Files are read without the lock. Of two threads that judge one file, the first is right.
        let new = Arc::new(Verdict {
            file: mapping.file_name().to_owned(),
            is_program: mapping.is_main,
            shortfall: alloc_profiler::unsampled(|| debug_info::shortfall(mapping)),
            is_in_parts: AtomicBool::new(false),
        });
        let mut verdicts = verdicts();
        if verdicts.by_file.len() >= MAX_FILES {
            return new;
        }
        verdicts.by_file.entry(identity).or_insert(new).clone()
    }

    /// What is missing, in a line. `None` if nothing is.
    pub(crate) fn text(&self) -> Option<String> {
        // A program that has loaded a plugin with the profiler in it was built by others.
        let is_own = self.is_program && staying().plugin.is_none();
        let of = if is_own { Of::Program } else { Of::File(&self.file) };
        Some(self.shortfall()?.told(of))
    }

    /// What is missing, in a word: `names`, `lines` or `paths`. `None` if nothing is.
    pub(crate) fn lacks(&self) -> Option<&'static str> {
        Some(self.shortfall()?.lacks())
    }

    fn shortfall(&self) -> Option<&Shortfall> {
        let in_parts = || self.is_in_parts.load(Relaxed).then_some(&Shortfall::InParts);
        self.shortfall.as_ref().or_else(in_parts)
    }

    /// Notes that a function which somebody wrote has no line.
    pub(super) fn note_parts(&self) {
        self.is_in_parts.store(true, Relaxed);
    }
}

/// What is known of all files.
#[derive(Default)]
struct Verdicts {
    by_file: HashMap<FileIdentity, Arc<Verdict>>,
    /// No two images of a process have one number, so this is right for ever. There is nothing to be said of some.
    by_image: HashMap<ImageId, Option<Arc<Verdict>>>,
}

fn verdicts() -> MutexGuard<'static, Verdicts> {
    static VERDICTS: PerProcess<Mutex<Verdicts>> = PerProcess::new();
    // A panic while the lock was held cannot have left half an entry behind.
    VERDICTS.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files that stay: the program's, and the one that the profiler's code is in.
#[derive(Debug)]
struct Staying {
    /// Holds the program's verdict. `None` if nobody knows which file that is.
    program: Option<Arc<Verdict>>,
    /// The verdict of a plugin that has brought the profiler, and where its code is.
    plugin: Option<(Range<usize>, Arc<Verdict>)>,
}

fn staying() -> &'static Staying {
    static STAYING: PerProcess<Staying> = PerProcess::new();
    STAYING.get(|| {
        alloc_profiler::unsampled(|| {
            let mappings = Mappings::of_process();
            let program = mappings.as_slice().first().filter(|mapping| mapping.is_main);
            let plugin = mappings.as_slice().iter().find(|mapping| has_our_code(mapping) && !mapping.is_main);
            let range = |mapping: &Mapping| mapping.start as usize..mapping.limit as usize;
            Staying {
                program: program.map(Verdict::of),
                plugin: plugin.map(|mapping| (range(mapping), Verdict::of(mapping))),
            }
        })
    })
}

/// What [`of_program`] and [`of_own_file`] say where nothing is missing.
pub(crate) const FULL: &str = "full";

/// Tells what there is to name the program's own functions by: [`FULL`], or a sentence that says what is missing, what
/// follows from that, and what to do about it.
pub(crate) fn of_program() -> String {
    said(staying().program.as_deref())
}

/// Returns the program's verdict. `None` if nobody knows which file that is.
#[cfg(any(feature = "http", test))]
pub(crate) fn program() -> Option<Arc<Verdict>> {
    staying().program.clone()
}

/// Tells the same of the file that the profiler's code is in: the program, or a plugin that has brought the profiler.
#[cfg(feature = "http")]
pub(crate) fn of_own_file() -> String {
    // mutant: D6 a plugin is judged by its host
    match &staying().plugin {
        Some((_, plugin)) => said(Some(plugin)),
        None => of_program(),
    }
}

fn said(verdict: Option<&Verdict>) -> String {
    let unknown = || Some(Shortfall::NoDebugInformation { names: Names::None }.told(Of::Program));
    verdict.map_or_else(unknown, Verdict::text).unwrap_or_else(|| FULL.to_owned())
}

/// Finds the verdicts of the files that frames are in, for a profile whose addresses are not named.
#[derive(Default)]
pub(crate) struct OfFrames {
    /// Read once, and only if a file has not been judged yet.
    mappings: OnceCell<Mappings>,
    /// Many frames are in one image, and the lock is taken once for each.
    known: HashMap<ImageId, Option<Arc<Verdict>>>,
}

impl OfFrames {
    /// Returns the verdict of the file that `frame` is in. It is `None` for the program, which is in every stack, for the
    /// system's files, and where it is not known which file that is.
    pub(crate) fn get(&mut self, frame: CodeAddress) -> Option<Arc<Verdict>> {
        let Some(image) = frame.image() else {
            let (range, plugin) = staying().plugin.as_ref()?;
            return range.contains(&frame.address()).then(|| plugin.clone());
        };
        if let Some(known) = self.known.get(&image) {
            return known.clone();
        }
        let found = self.of_image(image, frame);
        self.known.insert(image, found.clone());
        found
    }

    fn of_image(&self, image: ImageId, frame: CodeAddress) -> Option<Arc<Verdict>> {
        if let Some(known) = verdicts().by_image.get(&image) {
            return known.clone();
        }
        // In a sandbox no file can be read, which is said for itself. Nothing is remembered of it.
        if kept_files::is_sandboxed() {
            return None;
        }
        let mappings = self.mappings.get_or_init(Mappings::of_process);
        let index = mappings.index_of(mappings.call_address(frame));
        let mapping = index.map(|index| &mappings.as_slice()[index]);
        let found = mapping.filter(|mapping| mapping.is_judged()).map(Verdict::of);
        verdicts().by_image.insert(image, found.clone());
        found
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_judged_for_itself_and_once() {
        let program = program().unwrap();
        assert_eq!((of_program(), program.text(), program.lacks()), (FULL.to_owned(), None, None));
        assert_eq!(of_own_file(), FULL);
        let gone = Mapping { path: "/nowhere/libplugin.so".into(), ..Mapping::default() };
        let plugin = Verdict::of(&gone);
        assert!(Arc::ptr_eq(&plugin, &Verdict::of(&gone)));
        assert!(
            plugin
                .text()
                .unwrap()
                .starts_with("libplugin.so, none: its file, /nowhere/libplugin.so, is gone")
        );
        assert_eq!((plugin.lacks(), program.lacks()), (Some("names"), None));
    }

    #[test]
    fn a_function_without_a_line_makes_the_file_incomplete() {
        let mapping = Mapping { inode: 7, ..Mappings::of_process().as_slice()[0].clone() };
        let verdict = Verdict::of(&mapping);
        assert_eq!(verdict.lacks(), None);
        verdict.note_parts();
        assert_eq!(Verdict::of(&mapping).lacks(), Some("lines"));
        assert!(
            verdict.text().unwrap().starts_with("not everywhere: parts of the program were built without")
        );
    }
}

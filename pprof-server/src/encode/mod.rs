//! Turns a snapshot into what readers take: a pprof profile, Go's text, a table, JSON, folded stacks.
//!
//! ```text
//! Snapshot ─▶ stacks (names, trimming) ─▶ builder ─▶ samples + proto ─▶ gzip   what `go tool pprof` and scrapers read
//!               ▲                       ├▶ text                                what `?debug=1` shows
//!      mappings + symbols               ├▶ table ─▶ json                       what a terminal shows, and a program reads
//!                                       └▶ folded                              what flame graph tools read
//! ```
//!
//! What is missing is told by `notes`, in the same words in all of them but `folded`, which has no place for words.
//!
//! Called by `http`, and by programs that write profiles themselves. Nothing here touches the live tables or
//! holds a lock of the profiler's; what it allocates is left out of the profile.
//!
//! Path: *read path*. Nothing here panics or fails, whatever the snapshot holds.

mod age;
#[cfg(feature = "http")]
mod bounded;
mod builder;
mod folded;
mod gaps;
mod images;
mod json;
mod limit;
pub(crate) mod mappings;
mod maps;
mod notes;
#[doc(hidden)]
pub mod phases;
#[doc(hidden)]
pub mod proto;
mod sample_type;
mod samples;
mod stacks;
mod table;
mod terminal;
mod text;
pub(crate) mod trim;
mod units;

use crate::Error;
use crate::process::{self, status_bytes};
pub use age::Ages;
#[cfg(feature = "http")]
pub(crate) use age::Time;
use alloc_profiler::{Snapshot, unsampled};
#[cfg(feature = "http")]
pub(crate) use bounded::BoundedText;
use flate2::Compression;
use flate2::write::GzEncoder;
pub use limit::SizeLimit;
use mappings::Mappings;
#[cfg(feature = "http")]
pub(crate) use notes::{Loss, losses};
pub use sample_type::SampleType;
use stacks::Names;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
#[cfg(feature = "http")]
pub(crate) use table::NamedStacks;
pub use table::{Frame, MAX_ROWS, TopRow, TopTable};
#[cfg(feature = "http")]
pub(crate) use units::{Bytes, Count};

/// Which of Go's two heap profiles it is: they differ in what a viewer shows first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfileKind {
    /// In-use bytes first. Go names no default, and viewers take the last sample type.
    #[default]
    Heap,
    /// Allocated bytes first.
    Allocs,
}

/// Where names come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symbolize {
    /// Nowhere: addresses, mappings and build ids only, to be named later and elsewhere. No frame is left out
    /// then, whatever [`Frames`] says: without names, plumbing cannot be told.
    None,
    /// As [`Full`](Symbolize::Full), but functions only, without files and lines: no path of the machine that built the
    /// program leaves it, and the profile is smaller. Finding the names costs the same.
    Names,
    /// Function, file and line from debug information, inlined functions included; from the symbol table where
    /// there is none.
    #[default]
    Full,
}

/// Which frames of a stack are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// The leaf-side run of allocator and standard-library functions is left out, so that the first row is the
    /// user's own function. A stack of nothing else stays whole.
    #[default]
    UserFirst,
    /// Everything.
    All,
}

/// What sets samples of the same stack apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// Nothing: one sample for each stack. The profile is smaller.
    None,
    /// The label `bytes`, as in Go: the size class, by its upper bound.
    #[default]
    Size,
    /// `bytes`, and of what is in use the label `age` too: in seconds, rounded down to one of 0, 1, 10, 60, 600, 3600,
    /// 21 600, 86 400 or 604 800. What was allocated and freed again stands apart, without an age. Only for a snapshot
    /// with ages; see `alloc_profiler::snapshot_with_ages`.
    SizeAndAge,
}

/// How a snapshot is encoded. Write `ProfileOptions { kind, ..ProfileOptions::default() }`: there may be more of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileOptions {
    /// What a viewer shows first.
    pub kind: ProfileKind,
    /// The same, chosen freely: over what `kind` says. Tables are ordered by it, folded stacks show it.
    pub sample_type: Option<SampleType>,
    /// Where names come from.
    pub symbolize: Symbolize,
    /// Which frames are kept.
    pub frames: Frames,
    /// What sets samples of a pprof profile apart, beside their stack.
    pub labels: Labels,
    /// How large a pprof profile may become, and how many folded stacks there may be.
    pub limit: SizeLimit,
}

impl ProfileOptions {
    /// The quantity to show first, or alone.
    fn shown_type(&self) -> SampleType {
        self.sample_type.unwrap_or(SampleType::first_of(self.kind))
    }
}

/// The pprof profile of `snapshot`, gzipped: what `go tool pprof` reads, and what `/debug/pprof/heap` answers.
///
/// Four values for each stack and size class, as Go has them: `alloc_objects`, `alloc_space` (bytes),
/// `inuse_objects`, `inuse_space` (bytes), all of them estimates of the whole program. Of a difference,
/// `inuse_*` may be negative.
///
/// Cost: some 3 µs for a stack of 40 frames whose names are known, so 30 ms for 10 000 of them, a quarter of it gzip.
/// The first time, names are looked up in debug information: 0.5 s and 30 MiB for 2 000 call sites scattered over a
/// program with 90 MB of it. That opens the program's file and takes a thread; [`Symbolize::None`] does neither.
#[must_use]
pub fn heap_profile(snapshot: &Snapshot, options: &ProfileOptions) -> Vec<u8> {
    heap_profile_with(snapshot, options, &[])
}

/// As [`heap_profile`], with notes of the caller's before those of the profile.
pub(crate) fn heap_profile_with(snapshot: &Snapshot, options: &ProfileOptions, said: &[String]) -> Vec<u8> {
    unsampled(|| {
        let mappings = Mappings::of_process();
        let names = Names::of(snapshot, &mappings, options.symbolize);
        gzip(builder::build(snapshot, options, &mappings, &names, said))
    })
}

/// Go's text form of the heap profile, what `/debug/pprof/heap?debug=1` answers. `go tool pprof` reads it too.
///
/// `snapshot` must not be a difference: its negative values are shown as 0, for which the format has no place.
/// Numbers stand as sampled, not scaled up; see [`heap_profile`] for the cost.
#[must_use]
pub fn heap_text(snapshot: &Snapshot, options: &ProfileOptions) -> String {
    let mut text = String::new();
    // A string is never full.
    let _ = write_heap_text(&mut text, snapshot, options, &[]);
    text
}

/// As [`heap_text`], of `max_bytes` at most, with notes of the caller's before those of the profile. `None` if it would be
/// longer, or if there is no memory for it.
#[cfg(feature = "http")]
pub(crate) fn heap_text_within(
    max_bytes: usize,
    snapshot: &Snapshot,
    options: &ProfileOptions,
    said: &[String],
) -> Option<String> {
    let mut text = BoundedText::new(max_bytes);
    write_heap_text(&mut text, snapshot, options, said).ok().map(|()| text.into_text())
}

fn write_heap_text(
    text: &mut impl fmt::Write,
    snapshot: &Snapshot,
    options: &ProfileOptions,
    said: &[String],
) -> fmt::Result {
    unsampled(|| {
        let mappings = Mappings::of_process();
        let names = Names::of(snapshot, &mappings, options.symbolize);
        let status = process::status().unwrap_or_default();
        let process = text::Process {
            maps: &mappings.text(names.addresses()),
            max_rss_bytes: status_bytes(&status, "VmHWM"),
        };
        text::write(text, snapshot, options, &names, process, said)
    })
}

/// Takes a snapshot and writes its profile to `path`, replacing what was there.
///
/// # Errors
///
/// [`Error::Write`], which names the path, if the file cannot be written.
pub fn write_heap_profile(path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    fs::write(path, heap_profile(&alloc_profiler::snapshot(), &ProfileOptions::default()))
        .map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// The stacks of `snapshot` by in-use bytes, largest first; of a difference, what grew most. Sizes on one stack
/// are added up. Of [`ProfileKind::Allocs`], by allocated bytes; by whatever [`ProfileOptions::sample_type`] says. See
/// [`heap_profile`] for the cost.
#[must_use]
pub fn top_table(snapshot: &Snapshot, options: &ProfileOptions) -> TopTable {
    unsampled(|| {
        let mappings = Mappings::of_process();
        let names = Names::of(snapshot, &mappings, options.symbolize);
        table::build(snapshot, options, &names)
    })
}

/// The first `rows` rows of the [`top_table`] as JSON, what `?format=json` answers: totals, rows with whole stacks, and
/// what is not in the rows, in whole objects and bytes that add up. See [`heap_profile`] for the cost; at most
/// [`MAX_ROWS`] rows.
#[must_use]
pub fn top_json(snapshot: &Snapshot, options: &ProfileOptions, rows: usize) -> String {
    unsampled(|| json::write(&top_table(snapshot, options), snapshot, options.kind, rows))
}

/// Folded stacks, what `?format=folded` answers and flame graph tools read: a line for each stack, `root;…;leaf value`,
/// the largest value first.
///
/// The value is [`ProfileOptions::sample_type`]'s, else in-use bytes, or allocated ones for [`ProfileKind::Allocs`]. A
/// flame graph has no place for less than nothing: of a difference, only what grew is there. Stacks beyond
/// [`SizeLimit::samples`] or 32 MiB of text are added up in one line `[other]`. See [`heap_profile`] for the cost.
#[must_use]
pub fn heap_folded(snapshot: &Snapshot, options: &ProfileOptions) -> String {
    unsampled(|| {
        let mappings = Mappings::of_process();
        let names = Names::of(snapshot, &mappings, options.symbolize);
        folded::write(snapshot, options, &names)
    })
}

/// Fast rather than small, like Go: profiles are full of repetition, and shrink to less than half anyway. The next
/// level saves a quarter of the bytes and takes twice the time.
fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    let compressed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    // Writing to a vector does not fail. Were it to, readers take the plain message just as well.
    compressed.unwrap_or(bytes)
}

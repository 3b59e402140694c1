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

#[doc(hidden)]
pub mod phases;

use crate::Error;
use crate::mappings::Mappings;
use crate::process::{self, status_bytes};
use crate::profile::Names;
#[cfg(feature = "http")]
pub(crate) use crate::profile::Time;
pub use crate::profile::{Ages, Frames, Labels, ProfileKind, ProfileOptions, SizeLimit, Symbolize};
#[cfg(feature = "http")]
pub(crate) use crate::profile::{Bytes, Count};
pub use crate::sources::heap::SampleType;
#[cfg(feature = "http")]
pub(crate) use crate::sources::heap::{Loss, losses};
use crate::writers::pprof::{self, gzip};
#[cfg(feature = "http")]
pub(crate) use crate::writers::{BoundedText, NamedStacks};
pub use crate::writers::{Frame, MAX_ROWS, TopRow, TopTable};
use crate::writers::{folded, json, legacy_text, table};
use alloc_profiler::{Snapshot, unsampled};
use std::fmt;
use std::fs;
use std::path::Path;

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
        gzip(pprof::build(snapshot, options, &mappings, &names, said))
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
        let process = legacy_text::Process {
            maps: &mappings.text(names.addresses()),
            max_rss_bytes: status_bytes(&status, "VmHWM"),
        };
        legacy_text::write(text, snapshot, options, &names, process, said)
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

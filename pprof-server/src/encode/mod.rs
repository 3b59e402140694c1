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

#[cfg(feature = "http")]
mod holder_report;
#[doc(hidden)]
pub mod phases;
#[cfg(feature = "http")]
mod task_table;
mod top_table;

use crate::Error;
#[cfg(feature = "http")]
pub(crate) use crate::profile::Bytes;
use crate::profile::Profile;
pub use crate::profile::{Ages, Frame, Frames, SizeLimit, Symbolize};
use crate::sources::heap::profile;
#[cfg(feature = "http")]
pub(crate) use crate::sources::heap::{FileLoss, Loss, are_known, is_known, losses_by_file, symbols_of};
pub use crate::sources::heap::{Labels, ProfileKind, ProfileOptions, SampleType};
#[cfg(feature = "push")]
use crate::sources::{cpu, options::Options};
pub use crate::writers::MAX_ROWS;
use crate::writers::pprof::{gzip, message};
use crate::writers::table::Table;
#[cfg(feature = "http")]
pub(crate) use crate::writers::{BoundedText, format};
use crate::writers::{folded, json, legacy_text};
use alloc_profiler::{Snapshot, unsampled};
#[cfg(feature = "http")]
pub use holder_report::held_by;
use std::fs;
use std::path::Path;
#[cfg(feature = "http")]
pub use task_table::{TaskRow, TaskTable, leaked_task_table, task_table};
pub use top_table::{TopRow, TopTable};

/// The pprof profile of `snapshot`, gzipped: what `go tool pprof` reads, and what `/debug/pprof/heap` answers.
///
/// Four values for each stack and size class, as Go has them: `alloc_objects`, `alloc_space` (bytes),
/// `inuse_objects`, `inuse_space` (bytes), all of them estimates of the whole program. Of a difference,
/// `inuse_*` may be negative.
///
/// Where less than 512 KiB of memory can be had, it is not gzipped, and `go tool pprof` reads it all the same.
///
/// Cost: some 3 µs for a stack of 40 frames whose names are known, so 30 ms for 10 000 of them, a quarter of it gzip.
/// The first time, names are looked up in debug information: 0.5 s and 30 MiB for 2 000 call sites scattered over a
/// program with 90 MB of it. That opens the program's file and takes a thread; [`Symbolize::None`] does neither.
#[must_use]
pub fn heap_profile(snapshot: &Snapshot, options: &ProfileOptions) -> Vec<u8> {
    unsampled(|| gzip(message(&profile(snapshot, options), options.limit)))
}

/// The pprof profile of CPU time, gzipped, with the names of threads and the program's labels.
#[cfg(feature = "push")]
pub(crate) fn cpu_profile(samples: capture::CpuSamples, symbolize: Symbolize, limit: SizeLimit) -> Vec<u8> {
    let options = Options { symbolize, has_labels: true };
    unsampled(|| gzip(message(&cpu::profile(samples, options), limit)))
}

/// The profile for formats that tell size classes and ages in their own way, or not at all.
fn by_size(snapshot: &Snapshot, options: &ProfileOptions) -> Profile {
    profile(snapshot, &ProfileOptions { labels: Labels::Size, ..*options })
}

/// Go's text form of the heap profile, what `/debug/pprof/heap?debug=1` answers. `go tool pprof` reads it too.
///
/// `snapshot` must not be a difference: its negative values are shown as 0, for which the format has no place.
/// Numbers stand as sampled, not scaled up; see [`heap_profile`] for the cost.
#[must_use]
pub fn heap_text(snapshot: &Snapshot, options: &ProfileOptions) -> String {
    let mut text = String::new();
    // A string is never full.
    let _ = unsampled(|| legacy_text::write(&mut text, &by_size(snapshot, options)));
    text
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
    unsampled(|| TopTable::of(Table::of(&by_size(snapshot, options))))
}

/// The first `rows` rows of the [`top_table`] as JSON, what `?format=json` answers: totals, rows with whole stacks, and
/// what is not in the rows, in whole objects and bytes that add up. See [`heap_profile`] for the cost; at most
/// [`MAX_ROWS`] rows.
#[must_use]
pub fn top_json(snapshot: &Snapshot, options: &ProfileOptions, rows: usize) -> String {
    unsampled(|| {
        let profile = by_size(snapshot, options);
        json::write(&Table::of(&profile), &profile, rows)
    })
}

/// Folded stacks, what `?format=folded` answers and flame graph tools read: a line for each stack, `root;…;leaf value`,
/// the largest value first.
///
/// The value is [`ProfileOptions::sample_type`]'s, else in-use bytes, or allocated ones for [`ProfileKind::Allocs`]. A
/// flame graph has no place for less than nothing: of a difference, only what grew is there. Stacks beyond
/// [`SizeLimit::samples`] or 32 MiB of text are added up in one line `[other]`. See [`heap_profile`] for the cost.
#[must_use]
pub fn heap_folded(snapshot: &Snapshot, options: &ProfileOptions) -> String {
    unsampled(|| folded::write(&by_size(snapshot, options), options.limit.samples))
}

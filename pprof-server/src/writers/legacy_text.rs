//! Go's legacy heap profile in text, what `?debug=1` answers: for eyes first, and `go tool pprof` reads it too.
//!
//! In it stand the numbers *as sampled*; the reader scales them up itself, by the interval in the header. Each row
//! is one stack in one size class, so that the reader's factor `1 / (1 - e^(-mean size / interval))` is the one
//! that the profiler weighed its samples with. Where the interval was changed, and samples were weighed with another one
//! than the present, that does not work: then the estimates themselves stand there, and the header says that every
//! allocation was recorded, for which the reader leaves them alone. Called by `encode::heap_text`.
//!
//! Path: *read path*.

use crate::profile::{AddressMap, Frames, Location, Names, ProfileOptions, ShownStack};
use crate::sources::heap::notes;
use alloc_profiler::{SizeTotals, Snapshot, Totals};
use std::cmp::Ordering;
use std::fmt::{self, Write};

/// Readers take no line of more than 64 KiB; a row holds 128 addresses at most, so only names can be too long.
const MAX_NAME_BYTES: usize = 4096;

/// All names together take little more than this.
const MAX_COMMENT_BYTES: usize = 24 * 1024 * 1024;

/// All rows together, without names.
const MAX_ROW_BYTES: usize = 24 * 1024 * 1024;
/// What a row takes at most beside its addresses: four numbers, what stands between them, and a line that says that names
/// are left out.
const MOST_ROW_BYTES: usize = 4 * 20 + 12 + 44;
/// A space, `0x`, and 16 digits.
const MOST_ADDRESS_BYTES: usize = 19;

/// What of the process, not of the profile, goes into the text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process<'a> {
    /// Lines as of `/proc/self/maps`, so that a reader can name addresses.
    pub(crate) maps: &'a str,
    /// Most bytes of memory ever resident.
    pub(crate) max_rss_bytes: Option<u64>,
}

/// Writes the text for `snapshot`, which must not be a difference: the format has no place for a negative total.
///
/// # Errors
///
/// Those of `text`, which may be full.
pub(crate) fn write(
    text: &mut impl Write,
    snapshot: &Snapshot,
    options: &ProfileOptions,
    names: &Names,
    process: Process<'_>,
    said: &[String],
) -> fmt::Result {
    let is_as_sampled = sizes(snapshot).all(|size| is_weighed_with(snapshot.sampling_interval, size));
    let interval = if is_as_sampled { snapshot.sampling_interval } else { 1 };
    let mut rows = rows(snapshot, interval, options.frames, names);
    rows.sort_by(Row::by_inuse_bytes);
    header(text, interval, &rows)?;
    let first_named = first_named(&rows, names, MAX_COMMENT_BYTES);
    let first_shown = first_shown(&rows, MAX_ROW_BYTES);
    for (index, row) in rows.iter().enumerate().skip(first_shown) {
        row.write(text, names)?;
        if index >= first_named {
            row.stack.locations().try_for_each(|location| frame(text, names, location))?;
        } else {
            text.write_str("#\t(names left out: the text is too long)\n")?;
        }
        text.write_char('\n')?;
    }
    text.write_str("\n# Notes\n")?;
    if first_shown > 0 {
        writeln!(
            text,
            "# {first_shown} rows, those with the least in use, are left out: the text would be too long"
        )?;
    }
    for note in said.iter().chain(&notes(snapshot, names)) {
        writeln!(text, "# {}", one_line(note))?;
    }
    memory(text, snapshot, process.max_rss_bytes)?;
    // What follows this line is read as a memory map up to the end.
    text.write_str("\nMAPPED_LIBRARIES:\n")?;
    text.write_str(process.maps)
}

/// One stack in one size class.
struct Row<'a> {
    /// Without the plumbing at the leaf, as in the other profile: the reader would show the allocator first.
    stack: ShownStack<'a>,
    size_class: u64,
    inuse: Sampled,
    alloc: Sampled,
}

/// Numbers as sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sampled {
    objects: i64,
    bytes: i64,
}

impl Sampled {
    /// Undoes the weights: as many objects as there are samples, of their mean size. With `is_exact`, every
    /// object is a sample, or the reader is told so.
    fn new(samples: i64, objects: f64, bytes: f64, is_exact: bool) -> Sampled {
        let sampled = if is_exact {
            Sampled { objects: objects.round() as i64, bytes: bytes.round() as i64 }
        } else if objects > 0.0 {
            Sampled { objects: samples, bytes: (samples as f64 * (bytes / objects)).round() as i64 }
        } else {
            Sampled::default()
        };
        // Bytes without an object are an error to the reader, and it knows no negative totals.
        if sampled.objects <= 0 || sampled.bytes < 0 { Sampled::default() } else { sampled }
    }
}

impl Row<'_> {
    fn by_inuse_bytes(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.inuse.bytes, row.alloc.bytes);
        let by_bytes = key(self).cmp(&key(other));
        by_bytes.then_with(|| self.stack.cmp(&other.stack)).then(self.size_class.cmp(&other.size_class))
    }

    /// `objects: bytes [objects: bytes] @ addresses`: return addresses, from which the reader takes one off.
    fn write(&self, text: &mut impl Write, names: &Names) -> fmt::Result {
        let Row { inuse, alloc, stack, .. } = self;
        write!(text, "{}: {} [{}: {}] @", inuse.objects, inuse.bytes, alloc.objects, alloc.bytes)?;
        for address in stack.locations().filter_map(|location| names.return_address(location.place)) {
            write!(text, " 0x{address:x}")?;
        }
        text.write_char('\n')
    }
}

fn sizes(snapshot: &Snapshot) -> impl Iterator<Item = &SizeTotals> {
    snapshot.stacks.iter().flat_map(|stack| &stack.by_size).chain(&snapshot.overflow)
}

/// Whether the reader, who knows `interval` and the mean size, comes to what the profiler has, to a tenth. (Sizes of a class
/// differ by a quarter at most, which is some hundredths.)
fn is_weighed_with(interval: u64, size: &SizeTotals) -> bool {
    let Totals { alloc_objects, alloc_bytes, alloc_samples, .. } = size.totals;
    let Totals { inuse_objects, inuse_bytes, inuse_samples, .. } = size.totals;
    let is_close = |samples: i64, objects: f64, bytes: f64| {
        let weight = -1.0 / (-bytes / objects / interval as f64).exp_m1();
        samples <= 0 || objects <= 0.0 || (weight * samples as f64 / objects - 1.0).abs() < 0.1
    };
    interval <= 1
        || is_close(alloc_samples, alloc_objects, alloc_bytes)
            && is_close(inuse_samples, inuse_objects, inuse_bytes)
}

fn rows<'a>(snapshot: &Snapshot, interval: u64, frames: Frames, names: &'a Names) -> Vec<Row<'a>> {
    let is_exact = interval <= 1;
    let stacks = names.stacks(frames).zip(snapshot.stacks.iter().map(|stack| &stack.by_size));
    let sizes = stacks
        .chain([(ShownStack::overflow(), &snapshot.overflow)])
        .flat_map(|(stack, by_size)| by_size.iter().map(move |size| (stack, size)));
    sizes
        .map(|(stack, size)| {
            let Totals { alloc_objects, alloc_bytes, alloc_samples, .. } = size.totals;
            let Totals { inuse_objects, inuse_bytes, inuse_samples, .. } = size.totals;
            Row {
                stack,
                size_class: size.size_class,
                inuse: Sampled::new(inuse_samples, inuse_objects, inuse_bytes, is_exact),
                alloc: Sampled::new(alloc_samples, alloc_objects, alloc_bytes, is_exact),
            }
        })
        .collect()
}

fn header(text: &mut impl Write, interval: u64, rows: &[Row<'_>]) -> fmt::Result {
    let sum = |value: fn(&Row<'_>) -> i64| rows.iter().fold(0_i64, |sum, row| sum.saturating_add(value(row)));
    let inuse_objects = sum(|row| row.inuse.objects);
    let inuse_bytes = sum(|row| row.inuse.bytes);
    let alloc_objects = sum(|row| row.alloc.objects);
    let mut alloc_bytes = sum(|row| row.alloc.bytes);
    // The reader takes two equal pairs for an old format that has one pair only.
    if alloc_bytes == inuse_bytes {
        alloc_bytes = alloc_bytes.saturating_add(1);
    }
    // The reader halves it. Off counts as every allocation, whose numbers it leaves alone: the rows hold estimates.
    let twice_interval = interval.clamp(1, i64::MAX as u64 / 2) * 2;
    writeln!(
        text,
        "heap profile: {inuse_objects}: {inuse_bytes} [{alloc_objects}: {alloc_bytes}] @ heap/{twice_interval}"
    )
}

/// The first of `rows` that is shown: the heaviest, which are the last, are, as far as `bytes_left` reaches.
fn first_shown(rows: &[Row<'_>], mut bytes_left: usize) -> usize {
    for (index, row) in rows.iter().enumerate().rev() {
        let bytes = MOST_ROW_BYTES + MOST_ADDRESS_BYTES * row.stack.locations().count();
        match bytes_left.checked_sub(bytes) {
            Some(left) => bytes_left = left,
            None => return index + 1,
        }
    }
    0
}

/// The first of `rows` that has its functions in a comment, by name. Names repeat for every row, and ten thousand deep
/// stacks make hundreds of megabytes of them; so the heaviest rows, which are the last, have theirs, until no bytes are
/// left.
fn first_named(rows: &[Row<'_>], names: &Names, mut bytes_left: usize) -> usize {
    let mut lengths: AddressMap<Location, usize> = AddressMap::default();
    let mut length_at = |location| {
        *lengths.entry(location).or_insert_with(|| {
            let mut length = Length(0);
            // What only counts is never full.
            let _ = frame(&mut length, names, location);
            length.0
        })
    };
    for (index, row) in rows.iter().enumerate().rev() {
        if bytes_left == 0 {
            return index + 1;
        }
        let bytes = row.stack.locations().map(&mut length_at).sum();
        bytes_left = bytes_left.saturating_sub(bytes);
    }
    0
}

/// Counts the bytes that are written.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// One comment line for each function at `location`.
fn frame(text: &mut impl Write, names: &Names, location: Location) -> fmt::Result {
    let address = names.address(location.place);
    let lines = names.lines(location);
    if lines.is_empty() {
        writeln!(text, "#\t0x{address:x}")?;
    }
    for line in lines {
        let function = one_line(&line.function.name);
        write!(text, "#\t0x{address:x}\t{function}")?;
        let offset = names.function_offset(location);
        if offset > 0 {
            write!(text, "+0x{offset:x}")?;
        }
        if !line.function.file.is_empty() {
            write!(text, "\t{}:{}", one_line(&line.function.file), line.line)?;
        }
        text.write_char('\n')?;
    }
    Ok(())
}

/// `name`, cut to what fits into a line.
fn one_line(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].replace(['\n', '\r'], " ")
}

/// What Go has in `runtime.MemStats`, under Go's names where they mean the same. Estimates, but for the last two:
/// memory of the profiler's own and of the process.
fn memory(text: &mut impl Write, snapshot: &Snapshot, max_rss_bytes: Option<u64>) -> fmt::Result {
    let totals = snapshot.totals();
    let lines = [
        ("Alloc", totals.inuse_bytes),
        ("TotalAlloc", totals.alloc_bytes),
        ("Mallocs", totals.alloc_objects),
        ("Frees", totals.alloc_objects - totals.inuse_objects),
        ("HeapAlloc", totals.inuse_bytes),
        ("HeapObjects", totals.inuse_objects),
        ("BuckHashSys", snapshot.own_memory.mapped_bytes as f64),
    ];
    text.write_str("\n# runtime.MemStats\n")?;
    for (name, value) in lines {
        writeln!(text, "# {name} = {}", value.round() as i64)?;
    }
    if let Some(bytes) = max_rss_bytes {
        writeln!(text, "# MaxRSS = {bytes}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::Mappings;
    use crate::profile::Symbolize;
    use alloc_profiler::{StackTotals, StackTrace};

    const INTERVAL: u64 = 1024;

    /// `samples` live and twice as many allocated, of `size` bytes each, weighed as the profiler does.
    fn weighed(size: u64, samples: i64) -> SizeTotals {
        let weight = 1.0 / (1.0 - (-(size as f64) / INTERVAL as f64).exp());
        let objects = samples as f64 * weight;
        SizeTotals {
            size_class: size,
            totals: Totals {
                alloc_objects: 2.0 * objects,
                alloc_bytes: 2.0 * objects * size as f64,
                alloc_samples: 2 * samples,
                inuse_objects: objects,
                inuse_bytes: objects * size as f64,
                inuse_samples: samples,
                ..Totals::default()
            },
            ..SizeTotals::default()
        }
    }

    fn snapshot(interval: u64) -> Snapshot {
        let stack = |address: usize, by_size: Vec<SizeTotals>| StackTotals {
            id: 0,
            trace: StackTrace::of_return_addresses([address, 0x2000]),
            by_size,
        };
        Snapshot {
            sampling_interval: interval,
            stacks: vec![
                stack(0x1001, vec![weighed(64, 7), weighed(4096, 1)]),
                stack(0x1101, vec![weighed(64, 0)]),
            ],
            overflow: vec![weighed(64, 1)],
            ..alloc_profiler::snapshot()
        }
    }

    fn text_of(snapshot: &Snapshot, symbolize: Symbolize) -> String {
        let names = Names::of(snapshot, &Mappings::default(), symbolize);
        let process = Process { maps: "00-10 r-xp 0 00:00 1 /app\n", max_rss_bytes: Some(7) };
        let options = ProfileOptions { symbolize, ..ProfileOptions::default() };
        let mut text = String::new();
        write(&mut text, snapshot, &options, &names, process, &[]).unwrap();
        text
    }

    #[test]
    fn the_heaviest_rows_have_names_if_not_all_can() {
        let snapshot = snapshot(INTERVAL);
        let names = Names::of(&snapshot, &Mappings::default(), Symbolize::None);
        let mut rows = rows(&snapshot, INTERVAL, Frames::All, &names);
        rows.sort_by(Row::by_inuse_bytes);
        let first = |bytes| first_named(&rows, &names, bytes);
        // Each of those with two frames takes 18 bytes.
        assert_eq!((rows.len(), first(0), first(1), first(18), first(19)), (4, 4, 3, 3, 2));
        assert_eq!(first(MAX_COMMENT_BYTES), 0);
        let row = |addresses| MOST_ROW_BYTES + addresses * MOST_ADDRESS_BYTES;
        let shown = |bytes| first_shown(&rows, bytes);
        assert_eq!((shown(0), shown(row(2)), shown(2 * row(2) - 1), shown(MAX_ROW_BYTES)), (4, 3, 3, 0));
    }

    #[test]
    fn rows_hold_what_was_sampled() {
        let text = text_of(&snapshot(INTERVAL), Symbolize::None);
        let start = "heap profile: 9: 4608 [18: 9216] @ heap/2048\n\
            0: 0 [0: 0] @ 0x1101 0x2000\n#\t0x1100\n#\t0x1fff\n\n\
            1: 64 [2: 128] @\n#\t0x1\t[profiler overflow]\n\n\
            7: 448 [14: 896] @ 0x1001 0x2000\n#\t0x1000\n#\t0x1fff\n\n\
            1: 4096 [2: 8192] @ 0x1001 0x2000\n#\t0x1000\n#\t0x1fff\n\n\
            \n# Notes\n# in use: ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with("# MaxRSS = 7\n\nMAPPED_LIBRARIES:\n00-10 r-xp 0 00:00 1 /app\n"), "{text}");
    }

    /// The reader would scale them by the present interval.
    #[test]
    fn rows_of_another_interval_are_estimates() {
        let (as_sampled, estimates) = (
            text_of(&snapshot(INTERVAL), Symbolize::None),
            text_of(&snapshot(64 * INTERVAL), Symbolize::None),
        );
        assert!(
            as_sampled.contains(" @ heap/2048\n") && as_sampled.contains("\n7: 448 [14: 896] @"),
            "{as_sampled}"
        );
        // 7 samples of 64 bytes stand for 115.5 blocks.
        assert!(
            estimates.contains(" @ heap/2\n") && estimates.contains("\n116: 7394 [231: 14789] @"),
            "{estimates}"
        );
    }

    #[test]
    fn names_stand_in_comments() {
        let text = text_of(&snapshot(INTERVAL), Symbolize::Full);
        assert!(text.contains("@ 0x1001 0x2000\n#\t0x1000\t0x1000\n#\t0x1fff\t0x1fff\n\n"), "{text}");
    }

    #[test]
    fn without_an_interval_the_estimates_stand_as_they_are() {
        for interval in [0, 1] {
            let text = text_of(&snapshot(interval), Symbolize::None);
            assert!(text.lines().next().unwrap().ends_with("@ heap/2"), "{text}");
            let estimate = weighed(64, 7).totals;
            let row = format!("\n{:.0}: {:.0} [", estimate.inuse_objects, estimate.inuse_bytes);
            assert!(text.contains(&row), "{row} in {text}");
        }
    }

    #[test]
    fn equal_totals_are_told_apart() {
        let nothing = Snapshot { stacks: Vec::new(), overflow: Vec::new(), ..snapshot(INTERVAL) };
        assert!(text_of(&nothing, Symbolize::None).starts_with("heap profile: 0: 0 [0: 1] @ heap/2048\n\n"));
    }

    #[test]
    fn no_number_breaks_the_format() {
        assert_eq!(Sampled::new(0, 0.0, 5.0, false), Sampled::default());
        assert_eq!(Sampled::new(-2, -2.0, -5.0, false), Sampled::default());
        assert_eq!(Sampled::new(1, f64::NAN, f64::NAN, true), Sampled::default());
        assert_eq!(Sampled::new(1, 0.2, 5.0, true), Sampled::default());
    }

    #[test]
    fn names_fit_into_a_line() {
        assert_eq!(one_line("a\nb"), "a b");
        assert_eq!(one_line(&"é".repeat(5000)).len(), MAX_NAME_BYTES);
    }
}

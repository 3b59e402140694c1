//! This writes Go's legacy text, which answers `?debug=1`. It is for eyes first, and `go tool pprof` reads it too.
//!
//! Each row has a line with its figures and its addresses, and below it a comment with a line for each function. The
//! form of the profile says what the figures are. A list of mappings at the end lets the reader find names by itself.
//!
//! Path: *read path*.

use super::bounded::BoundedText;
use crate::profile::{
    Estimate, Label, LabelValue, LegacyForm, Location, LocationMap, Profile, Row, ShownStack, Stacks,
};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::{self, Write};

/// Readers take no line of more than 64 KiB. A row holds 128 addresses at most, so only names can be too long.
const MAX_NAME_BYTES: usize = 4096;

/// All names together take little more than so many bytes.
const MAX_COMMENT_BYTES: usize = 24 * 1024 * 1024;

/// All rows together take at most so many bytes, without names.
const MAX_ROW_BYTES: usize = 24 * 1024 * 1024;
/// A row takes at most so many bytes beside its addresses: four numbers, what stands between them, and a line that says
/// that names are left out.
const MOST_ROW_BYTES: usize = 4 * 20 + 12 + 44;
/// An address takes a space, `0x`, and 16 digits.
const MOST_ADDRESS_BYTES: usize = 19;

/// Writes the text for `profile`, which must not be a difference: the format has no place for a negative total.
///
/// # Errors
///
/// The errors of `text`, which may be full, are returned. So is a want of memory for names.
pub(crate) fn write(text: &mut impl Write, profile: &Profile) -> fmt::Result {
    let stacks = &profile.stacks;
    let legacy = (profile.legacy)(profile);
    let mut rows = rows(profile, &*legacy);
    rows.sort_by(TextRow::by_weight);
    writeln!(text, "{}", legacy.header(&mut rows.iter().map(|row| row.values)))?;
    let mut comments = Comments::of(stacks, MAX_COMMENT_BYTES);
    let first_named = first_named(&rows, &mut comments, MAX_COMMENT_BYTES)?;
    let first_shown = first_shown(&rows, MAX_ROW_BYTES);
    for (index, row) in rows.iter().enumerate().skip(first_shown) {
        legacy.write_figures(row.values, text)?;
        row.write_addresses(text, stacks, &*legacy)?;
        if index >= first_named {
            row.stack.locations().try_for_each(|location| text.write_str(comments.at(location)?))?;
        } else {
            text.write_str("#\t(names left out: the text is too long)\n")?;
        }
        text.write_char('\n')?;
    }
    text.write_str("\n# Notes\n")?;
    if first_shown > 0 {
        let state = profile.types.last().map_or("", |of| of.family.state);
        writeln!(
            text,
            "# {first_shown} rows, those with the least {state}, are left out: the text would be too long"
        )?;
    }
    for note in &profile.notes {
        writeln!(text, "# {}", one_line(note))?;
    }
    legacy.write_statistics(text)?;
    // The reader takes what follows this line for a memory map, up to the end.
    writeln!(text, "\n{}", legacy.mappings_line())?;
    text.write_str(&stacks.mappings().text(stacks.addresses()))
}

/// One row of the profile, as the text has it.
struct TextRow<'a> {
    /// Holds the stack without the plumbing at the leaf, as in the other formats. Otherwise the reader would show the
    /// allocator first.
    stack: ShownStack<'a>,
    weight: (i64, i64),
    labels: &'a [Label],
    values: &'a [Estimate],
}

impl TextRow<'_> {
    fn by_weight(&self, other: &Self) -> Ordering {
        let by_weight = self.weight.cmp(&other.weight).then_with(|| self.stack.cmp(&other.stack));
        by_weight.then_with(|| self.labels.cmp(other.labels))
    }

    /// Writes `@`, and return addresses, from which the reader subtracts one.
    fn write_addresses(
        &self,
        text: &mut impl Write,
        stacks: &Stacks,
        legacy: &dyn LegacyForm,
    ) -> fmt::Result {
        text.write_str(" @")?;
        let return_addresses =
            self.stack.locations().filter_map(|location| stacks.return_address(location.place));
        let mut count = 0;
        for address in return_addresses {
            write!(text, " 0x{address:x}")?;
            count += 1;
        }
        // The reader wants one address at least in such rows.
        if count == 0 && legacy.is_counted() {
            text.write_str(" 0x1")?;
        }
        text.write_char('\n')?;
        self.write_labels(text)
    }

    /// Writes the labels that are texts, as Go does.
    fn write_labels(&self, text: &mut impl Write) -> fmt::Result {
        let named = self.labels.iter().filter_map(|label| match &label.value {
            LabelValue::Text(value) => Some((label.key, one_line(value))),
            LabelValue::Number(..) => None,
        });
        for (index, (key, value)) in named.clone().enumerate() {
            write!(text, "{}{key:?}:{value:?}", if index == 0 { "# labels: {" } else { ", " })?;
        }
        if named.count() > 0 { text.write_str("}\n") } else { Ok(()) }
    }
}

fn rows<'a>(profile: &'a Profile, legacy: &dyn LegacyForm) -> Vec<TextRow<'a>> {
    let text_row = |stack, row: Row<'a>| TextRow {
        stack,
        weight: legacy.weight(row.values),
        labels: profile.rows.labels(row.labels),
        values: row.values,
    };
    let text_rows = |(stack, rows)| Iterator::map(rows, move |row| text_row(stack, row));
    profile.shown_stacks().flat_map(text_rows).collect()
}

/// Returns the first of `rows` that is shown. The heaviest rows, which are the last, are shown as far as `bytes_left`
/// reaches.
fn first_shown(rows: &[TextRow<'_>], mut bytes_left: usize) -> usize {
    for (index, row) in rows.iter().enumerate().rev() {
        let bytes = MOST_ROW_BYTES + MOST_ADDRESS_BYTES * row.stack.locations().count();
        match bytes_left.checked_sub(bytes) {
            Some(left) => bytes_left = left,
            None => return index + 1,
        }
    }
    0
}

/// Returns the first of `rows` whose functions are named in a comment. Names repeat for every row, and those of ten
/// thousand deep stacks take hundreds of megabytes. So the heaviest rows, which are the last, have theirs until no
/// bytes are left.
///
/// # Errors
///
/// The errors of [`Comments::at`] are returned.
fn first_named(
    rows: &[TextRow<'_>],
    comments: &mut Comments<'_>,
    mut bytes_left: usize,
) -> Result<usize, fmt::Error> {
    for (index, row) in rows.iter().enumerate().rev() {
        if bytes_left == 0 {
            return Ok(index + 1);
        }
        for location in row.stack.locations() {
            bytes_left = bytes_left.saturating_sub(comments.at(location)?.len());
        }
    }
    Ok(0)
}

/// Writes the comment about each location, with a line for each function. Thousands of rows share their locations, so
/// each comment is put together once.
struct Comments<'a> {
    stacks: &'a Stacks,
    by_location: LocationMap<String>,
    /// Limits each comment.
    max_bytes: usize,
}

impl<'a> Comments<'a> {
    fn of(stacks: &'a Stacks, max_bytes: usize) -> Comments<'a> {
        Comments { stacks, by_location: LocationMap::new(stacks.place_count()), max_bytes }
    }

    /// Returns the comment about `location`.
    ///
    /// # Errors
    ///
    /// There is one if the comment would be too long, or if there is no memory for it.
    fn at(&mut self, location: Location) -> Result<&str, fmt::Error> {
        if self.by_location.get(location).is_none() {
            // mutant: D13 comments ask for memory that they must have
            let mut comment = BoundedText::new(self.max_bytes);
            write_comment(&mut comment, self.stacks, location)?;
            self.by_location.insert(location, comment.into_text());
        }
        self.by_location.get(location).map(String::as_str).ok_or(fmt::Error)
    }
}

fn write_comment(text: &mut impl Write, stacks: &Stacks, location: Location) -> fmt::Result {
    let address = stacks.address(location.place);
    let lines = stacks.lines(location);
    if lines.is_empty() {
        return writeln!(text, "#\t0x{address:x}");
    }
    for line in lines {
        write!(text, "#\t0x{address:x}\t{}", one_line(&line.function.name))?;
        let offset = stacks.function_offset(location);
        if offset != 0 {
            write!(text, "+0x{offset:x}")?;
        }
        if !line.function.file.is_empty() {
            write!(text, "\t{}:{}", one_line(&line.function.file), line.line)?;
        }
        text.write_char('\n')?;
    }
    Ok(())
}

/// Returns `name`, cut to what fits into a line.
fn one_line(name: &str) -> Cow<'_, str> {
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = &name[..end];
    if name.contains(['\n', '\r']) { name.replace(['\n', '\r'], " ").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::{Mapping, Mappings};
    use crate::profile::{Frames, Symbolize};
    use crate::sources::heap::{self, ProfileOptions};
    use alloc_profiler::internal::literal;
    use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace, Totals};

    const INTERVAL: u64 = 1024;

    /// Totals of `samples` live samples and twice as many allocated ones, of `size` bytes each, weighed as the profiler
    /// does.
    fn weighed(size: u64, samples: i64) -> SizeTotals {
        let weight = 1.0 / (1.0 - (-(size as f64) / INTERVAL as f64).exp());
        let objects = samples as f64 * weight;
        literal!(SizeTotals {
            size_class: size,
            totals: literal!(Totals {
                alloc_objects: 2.0 * objects,
                alloc_bytes: 2.0 * objects * size as f64,
                alloc_samples: 2 * samples,
                inuse_objects: objects,
                inuse_bytes: objects * size as f64,
                inuse_samples: samples,
                ..Totals::default()
            }),
            ..SizeTotals::default()
        })
    }

    fn snapshot(interval: u64) -> Snapshot {
        let stack = |address: usize, by_size: Vec<SizeTotals>| {
            literal!(StackTotals {
                trace: StackTrace::of_return_addresses([address, 0x2000]),
                by_size,
                ..StackTotals::default()
            })
        };
        literal!(Snapshot {
            sampling_interval: interval,
            stacks: vec![
                stack(0x1001, vec![weighed(64, 7), weighed(4096, 1)]),
                stack(0x1101, vec![weighed(64, 0)]),
            ],
            overflow: vec![weighed(64, 1)],
            ..alloc_profiler::snapshot()
        })
    }

    fn profile_of(snapshot: &Snapshot, symbolize: Symbolize, frames: Frames) -> Profile {
        let mapping = Mapping { limit: 0x10, inode: 1, path: "/app".into(), ..Mapping::default() };
        let stacks = heap::stacks(snapshot, Mappings::new(vec![mapping]), symbolize);
        heap::profile_of(snapshot, &ProfileOptions { symbolize, frames, ..ProfileOptions::default() }, stacks)
    }

    fn text_of(snapshot: &Snapshot, symbolize: Symbolize) -> String {
        let mut text = String::new();
        write(&mut text, &profile_of(snapshot, symbolize, Frames::UserFirst)).unwrap();
        text
    }

    #[test]
    fn the_heaviest_rows_have_names_if_not_all_can() {
        let profile = profile_of(&snapshot(INTERVAL), Symbolize::None, Frames::All);
        let stacks = &profile.stacks;
        let mut comments = Comments::of(stacks, MAX_COMMENT_BYTES);
        let mut rows = rows(&profile, &*(profile.legacy)(&profile));
        rows.sort_by(TextRow::by_weight);
        let mut first = |bytes| first_named(&rows, &mut comments, bytes).unwrap();
        // Each of the rows with two frames takes 18 bytes.
        assert_eq!((rows.len(), first(0), first(1), first(18), first(19)), (4, 4, 3, 3, 2));
        assert_eq!(first(MAX_COMMENT_BYTES), 0);
        let row = |addresses| MOST_ROW_BYTES + addresses * MOST_ADDRESS_BYTES;
        let shown = |bytes| first_shown(&rows, bytes);
        assert_eq!((shown(0), shown(row(2)), shown(2 * row(2) - 1), shown(MAX_ROW_BYTES)), (4, 3, 3, 0));
        // What is refused memory is refused the room for a comment in the same way, and then there is no text.
        let mut refused = Comments::of(stacks, 8);
        assert!(first_named(&rows, &mut refused, 1).is_err());
        assert_eq!(refused.at(Location { place: 0, skipped_lines: 0 }), Err(fmt::Error));
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
        let end = "\n\nMAPPED_LIBRARIES:\n0-10 r-xp 00000000 00:00 1 /app\n";
        assert!(text.contains("\n# BuckHashSys = ") && text.ends_with(end), "{text}");
        assert_eq!(text.contains("\n# MaxRSS = "), cfg!(target_os = "linux"), "{text}");
    }

    /// The reader would scale the figures by the present interval, so estimates stand there instead.
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
        let nothing = literal!(Snapshot { stacks: Vec::new(), overflow: Vec::new(), ..snapshot(INTERVAL) });
        assert!(text_of(&nothing, Symbolize::None).starts_with("heap profile: 0: 0 [0: 1] @ heap/2048\n\n"));
    }

    #[test]
    fn names_fit_into_a_line() {
        assert_eq!(one_line("a\nb"), "a b");
        assert_eq!(one_line(&"é".repeat(5000)).len(), MAX_NAME_BYTES);
    }
}

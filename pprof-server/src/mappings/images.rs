//! This finds which file the code in each executable range belongs to, and where in the file it is.
//!
//! Mostly the kernel says so. It does not where a program has put its code on pages of another kind, such as huge ones:
//! they are copies without a file, or with a file in memory. So each loaded file's program headers, as they are in
//! memory, are asked what belongs where: whatever is executable within one of their code segments belongs to that file.
//!
//! `mappings` calls this. Path: *read path*.

use super::elf_image::Image;
use super::files::{self, OpenFile};
use super::maps::{self, Line};
use std::collections::HashMap;

/// So many files before a range are asked whether it is theirs: others may be mapped between a file's segments.
const CANDIDATES: usize = 16;
/// So many lines, from where a file begins, are looked through for another part of it.
const LINES_OF_FILE: usize = 64;

/// Tells where a file's image lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MappedImage {
    pub(super) start: u64,
    pub(super) fingerprint: u64,
}

/// An executable range, and the file that it belongs to.
pub(super) struct CodeRange<'a> {
    /// Where the range is, and which file it belongs to; its offset is the one in this file.
    pub(super) line: Line<'a>,
    /// The image of the file, read from memory.
    pub(super) image: Option<&'a Image>,
}

/// All lines of `/proc/self/maps`, and those of them at which files begin.
pub(super) struct Images<'a> {
    lines: Vec<Line<'a>>,
    /// Indices of the lines at which a file begins, ascending.
    bases: Vec<usize>,
    /// Holds the same indices by inode.
    bases_by_inode: HashMap<u64, Vec<usize>>,
}

/// What was found where a line begins, for each line that was looked at.
pub(super) type Known = HashMap<u64, Option<Image>>;

impl<'a> Images<'a> {
    pub(super) fn of(text: &'a [u8]) -> Images<'a> {
        let lines: Vec<Line<'a>> = maps::lines(text).collect();
        let is_base = |line: &Line<'_>| line.offset == 0 && line.is_readable && line.is_file_or_vdso();
        let bases: Vec<usize> = (0..lines.len()).filter(|&index| is_base(&lines[index])).collect();
        let mut bases_by_inode: HashMap<u64, Vec<usize>> = HashMap::new();
        bases.iter().for_each(|&base| bases_by_inode.entry(lines[base].inode).or_default().push(base));
        Images { lines, bases, bases_by_inode }
    }

    /// Reads memory wherever it must be known which file begins there.
    pub(super) fn look(&self) -> Known {
        let Some(memory) = files::memory() else { return Known::new() };
        let mut known = Known::new();
        for (index, line) in self.code() {
            let own = self.base_of(line);
            if own.is_none_or(|own| self.see(&mut known, &memory, own).is_none()) {
                for candidate in self.candidates(index) {
                    self.see(&mut known, &memory, candidate);
                }
            }
        }
        known
    }

    /// Returns the executable ranges of files, in ascending order.
    pub(super) fn code_ranges<'k>(&self, known: &'k Known) -> Vec<CodeRange<'k>>
    where
        'a: 'k,
    {
        let image_at = |index: usize| known.get(&self.lines[index].start)?.as_ref();
        let range_of = |(index, &line): (usize, &Line<'a>)| {
            if let Some(image) = self.base_of(&line).and_then(image_at) {
                return Some(CodeRange { line, image: Some(image) });
            }
            let owner = self.candidates(index).find_map(|base| {
                let image = image_at(base)?;
                self.as_part_of(&line, base, image).map(|line| CodeRange { line, image: Some(image) })
            });
            owner.or_else(|| line.is_file_or_vdso().then_some(CodeRange { line, image: None }))
        };
        self.code().filter_map(range_of).collect()
    }

    /// Returns those of `known` at which an image begins.
    pub(super) fn mapped(known: &Known) -> Vec<MappedImage> {
        let image = |(&start, image): (&u64, &Option<Image>)| {
            image.as_ref().map(|image| MappedImage { start, fingerprint: image.fingerprint })
        };
        known.iter().filter_map(image).collect()
    }

    fn code(&self) -> impl Iterator<Item = (usize, &Line<'a>)> {
        self.lines.iter().enumerate().filter(|(_, line)| line.is_executable)
    }

    /// Finds the line at which the file of a line begins.
    fn base_of(&self, line: &Line<'_>) -> Option<usize> {
        let bases = self.bases_by_inode.get(&line.inode)?;
        let end = bases.partition_point(|&base| self.lines[base].start <= line.start);
        let mut before = bases[..end].iter().rev().copied();
        before.find(|&base| line.is_file_or_vdso() && self.lines[base].is_of_same_file(line))
    }

    /// Yields the lines at which the file of a range may begin: the nearest ones before, and the range itself.
    fn candidates(&self, index: usize) -> impl Iterator<Item = usize> {
        let end = self.bases.partition_point(|&base| base < index);
        let before = self.bases[..end].iter().rev().copied().take(CANDIDATES);
        std::iter::once(index).filter(|&index| self.lines[index].is_readable).chain(before)
    }

    /// Returns the range as a part of the file that begins at the line `base`. It is one if it lies in a code segment
    /// of the file, and if the file is loaded there rather than just mapped to be read.
    fn as_part_of(&self, line: &Line<'a>, base: usize, image: &Image) -> Option<Line<'a>> {
        let bias = image.bias_of_base(self.lines[base].start)?;
        let offset = image.offset_of_code(line.start.wrapping_sub(bias), line.limit.wrapping_sub(bias))?;
        let begin = &self.lines[base];
        let is_headless = begin.start == line.start;
        let file = image.pages().find_map(|(address, offset)| {
            let address = bias.wrapping_add(address);
            let there = self.line_at(address)?;
            let is_loaded = there.start != begin.start
                && there.is_file_or_vdso()
                && there.offset.wrapping_sub(there.start) == offset.wrapping_sub(address)
                && (is_headless || there.is_of_same_file(begin));
            is_loaded.then_some(there)
        })?;
        Some(Line { offset, inode: file.inode, path: file.path, ..*line })
    }

    fn line_at(&self, address: u64) -> Option<&Line<'a>> {
        let after = self.lines.partition_point(|line| line.start <= address);
        self.lines.get(after.checked_sub(1)?).filter(|line| address < line.limit)
    }

    /// Returns the image that begins at the line `base`.
    fn see<'k>(&self, known: &'k mut Known, memory: &OpenFile, base: usize) -> Option<&'k Image> {
        let start = self.lines[base].start;
        // mutant: D5 a build id is as far from the headers as in the file
        let look = || Image::in_memory(memory, start, |offset| self.address_of(base, offset));
        known.entry(start).or_insert_with(look).as_ref()
    }

    /// Returns where the byte at `offset` is mapped, in the file that begins at the line `base`. It is not always as
    /// far behind the first byte as in the file.
    fn address_of(&self, base: usize, offset: u64) -> Option<u64> {
        let has_it = |line: &&Line<'_>| {
            let is_within = offset.wrapping_sub(line.offset) < line.limit.wrapping_sub(line.start);
            is_within && line.is_readable && line.is_of_same_file(&self.lines[base])
        };
        let line = self.lines[base..].iter().take(LINES_OF_FILE).find(has_it)?;
        Some(line.start.wrapping_add(offset.wrapping_sub(line.offset)))
    }
}

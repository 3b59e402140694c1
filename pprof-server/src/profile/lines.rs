//! Stacks by what people read of them: functions and lines.
//!
//! Path: *read path*.

use super::address_map::AddressMap;
use super::shown_stack::{Location, ShownStack};
use super::stacks::Stacks;
use crate::symbols::SourceLine;
use std::collections::HashMap;

/// One function on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub struct Frame {
    /// The name that its author would call it by, whatever types it was compiled for. It is `file+0xaddress` where
    /// there is no name, or `0xaddress` if names were not asked for.
    pub function: String,
    /// The source file; empty if unknown.
    pub file: String,
    /// The line in `file`; 0 if unknown.
    pub line: u32,
    /// True if it is inlined into the next frame wherever this line is on a stack.
    pub is_inlined: bool,
}

/// Frames are text. We compare their numbers, and spell them out for the rows that are kept.
pub(crate) struct DistinctLines<'a> {
    stacks: &'a Stacks,
    frames: Vec<Frame>,
    /// The number of each function and place. A line is the same whether or not it is inlined into its caller: that
    /// differs between the types that one function was compiled for.
    ids: HashMap<(String, String, u32), u32>,
    by_location: AddressMap<Location, Vec<u32>>,
}

impl<'a> DistinctLines<'a> {
    pub(crate) fn new(stacks: &'a Stacks) -> Self {
        DistinctLines { stacks, frames: Vec::new(), ids: HashMap::new(), by_location: AddressMap::default() }
    }

    /// Returns the numbers of all frames on `stack`, leaf first.
    pub(crate) fn of_stack(&mut self, stack: ShownStack<'_>) -> Vec<u32> {
        let mut all = Vec::new();
        for location in stack.locations() {
            if !self.by_location.contains_key(&location) {
                let ids = self.of_location(location);
                self.by_location.insert(location, ids);
            }
            all.extend(&self.by_location[&location]);
        }
        all
    }

    fn of_location(&mut self, location: Location) -> Vec<u32> {
        let lines = self.stacks.lines(location);
        if lines.is_empty() {
            let function = format!("{:#x}", self.stacks.address(location.place));
            return vec![self.id(Frame { function, ..Frame::default() })];
        }
        let frame = |(index, line): (usize, &SourceLine)| Frame {
            function: line.function.name.to_string(),
            file: line.function.file.to_string(),
            line: line.line,
            is_inlined: index + 1 < lines.len(),
        };
        lines.iter().enumerate().map(|line| self.id(frame(line))).collect()
    }

    fn id(&mut self, frame: Frame) -> u32 {
        let next = self.frames.len() as u32;
        // mutant: D1 an inlined line is another one
        let id = *self.ids.entry((frame.function.clone(), frame.file.clone(), frame.line)).or_insert(next);
        match self.frames.get_mut(id as usize) {
            Some(known) => known.is_inlined &= frame.is_inlined,
            None => self.frames.push(frame),
        }
        id
    }

    pub(crate) fn frames(&self, ids: &[u32]) -> impl Iterator<Item = &Frame> {
        ids.iter().map(|&id| &self.frames[id as usize])
    }
}

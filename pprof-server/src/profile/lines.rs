//! This turns stacks into what people read of them: functions and lines.
//!
//! Path: *read path*.

use super::location_map::LocationMap;
use super::shown_stack::{Location, ShownStack};
use super::stacks::Stacks;
#[cfg(feature = "http")]
use crate::symbols::Origin;
use crate::symbols::SourceLine;
use std::collections::HashMap;

/// Describes one function on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub struct Frame {
    /// The name that its author would call it by, whatever types it was compiled for. It is `file+0xaddress` where
    /// there is no name, or `0xaddress` if names were not asked for.
    pub function: String,
    /// Holds the path of the source file; it is empty if unknown.
    pub file: String,
    /// Holds the line in `file`; it is 0 if unknown.
    pub line: u32,
    /// True if it is inlined into the next frame wherever this line is on a stack.
    pub is_inlined: bool,
}

#[cfg(feature = "http")]
impl Frame {
    /// Whose code it is.
    pub(crate) fn origin(&self) -> Origin {
        Origin::of(&self.function, &self.file)
    }
}

/// Frames are text. We compare their numbers, and spell them out for the rows that are kept.
pub(crate) struct DistinctLines<'a> {
    stacks: &'a Stacks,
    lines: Lines<'a>,
    by_location: LocationMap<Vec<u32>>,
}

/// Every line that has a number.
#[derive(Default)]
struct Lines<'a> {
    frames: Vec<Frame>,
    /// Numbers each function and place. A line is the same whether or not it is inlined into its caller: that
    /// differs between the types that one function was compiled for.
    ids: HashMap<(&'a str, &'a str, u32), u32>,
    /// Whose code each frame is, for those that were asked about.
    #[cfg(feature = "http")]
    origins: Vec<Origin>,
}

impl<'a> DistinctLines<'a> {
    pub(crate) fn new(stacks: &'a Stacks) -> Self {
        let by_location = LocationMap::new(stacks.place_count());
        DistinctLines { stacks, lines: Lines::default(), by_location }
    }

    /// Returns the numbers of all frames on `stack`, leaf first.
    pub(crate) fn of_stack(&mut self, stack: ShownStack<'_>) -> Vec<u32> {
        self.by_location.of_stack(stack, |location| self.lines.of_location(self.stacks, location))
    }

    /// Returns those of the frames that are the program's own code, up to the runtime that runs it; all of them if none is.
    #[cfg(feature = "http")]
    pub(crate) fn own_code(&mut self, ids: &[u32]) -> Vec<u32> {
        let Lines { frames, origins, .. } = &mut self.lines;
        origins.extend(frames[origins.len()..].iter().map(Frame::origin));
        let origin = |id: &u32| origins[*id as usize];
        let in_task = ids.iter().take_while(|id| origin(id) != Origin::Runtime);
        let own: Vec<u32> = in_task.filter(|id| origin(id) == Origin::Own).copied().collect();
        if own.is_empty() { ids.to_vec() } else { own }
    }

    pub(crate) fn frames(&self, ids: &[u32]) -> impl Iterator<Item = &Frame> {
        ids.iter().map(|&id| &self.lines.frames[id as usize])
    }
}

impl<'a> Lines<'a> {
    fn of_location(&mut self, stacks: &'a Stacks, location: Location) -> Vec<u32> {
        let lines = stacks.lines(location);
        let Some(outermost) = lines.len().checked_sub(1) else {
            let function = format!("{:#x}", stacks.address(location.place));
            self.frames.push(Frame { function, ..Frame::default() });
            return vec![self.frames.len() as u32 - 1];
        };
        lines.iter().enumerate().map(|(index, line)| self.id(line, index < outermost)).collect()
    }

    fn id(&mut self, line: &'a SourceLine, is_inlined: bool) -> u32 {
        let SourceLine { function, line } = line;
        let next = self.frames.len() as u32;
        // mutant: D1 an inlined line is another one
        let id = *self.ids.entry((&function.name, &function.file, *line)).or_insert(next);
        match self.frames.get_mut(id as usize) {
            Some(known) => known.is_inlined &= is_inlined,
            None => self.frames.push(Frame {
                function: function.name.to_string(),
                file: function.file.to_string(),
                line: *line,
                is_inlined,
            }),
        }
        id
    }
}

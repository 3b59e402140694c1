//! Sites, as the holders' profile shows them: by the one line that a person would name the stack by.
//!
//! Path: *read path*.

use crate::profile::{Frame, Frames, Location, Stacks};
use crate::sources::suspects::named_frame;
use crate::symbols::SourceLine;
use alloc_profiler::internal::LiveBlocks;
use std::collections::HashMap;

/// These are the sites of a list of blocks.
pub(super) struct Sites {
    pub(super) sites: Vec<Site>,
    /// This is the index of the site of each stack.
    of_stack: Vec<u32>,
    /// These are the functions on each stack, where somebody looks for one.
    functions: Vec<Vec<String>>,
}

/// A line that allocates.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) line: Option<SourceLine>,
    /// This is the address of its code.
    pub(super) near: u64,
}

/// The site of blocks whose stack was not kept.
pub(super) const UNKNOWN: u32 = 0;

impl Sites {
    /// Finds the sites of all stacks in `listed`, which are those of `stacks`.
    pub(super) fn of(listed: &LiveBlocks, stacks: &Stacks, keeps_functions: bool) -> Sites {
        let mut sites = vec![Site { line: None, near: 0 }];
        let mut known: HashMap<(String, String, u32), u32> = HashMap::new();
        let (mut of_stack, mut functions) = (Vec::new(), Vec::new());
        for index in 0..listed.stacks.len() {
            let lines = lines(stacks, index);
            let frames: Vec<Frame> = lines.iter().map(|(_, line)| frame(line)).collect();
            if keeps_functions {
                functions.push(frames.iter().map(|frame| frame.function.clone()).collect());
            }
            let Some((near, line)) = lines.get(named_frame(&frames)) else {
                of_stack.push(UNKNOWN);
                continue;
            };
            let key = (line.function.name.to_string(), line.function.file.to_string(), line.line);
            let site = *known.entry(key).or_insert_with(|| {
                sites.push(Site { line: Some((*line).clone()), near: *near });
                sites.len() as u32 - 1
            });
            of_stack.push(site);
        }
        Sites { sites, of_stack, functions }
    }

    /// Returns the number of the site of a stack.
    pub(super) fn of_stack(&self, stack: Option<usize>) -> u32 {
        stack.and_then(|stack| self.of_stack.get(stack).copied()).unwrap_or(UNKNOWN)
    }

    /// Whether one of the functions on a stack has `text` in its name.
    pub(super) fn has_function(&self, stack: usize, text: &str) -> bool {
        self.functions.get(stack).is_some_and(|functions| functions.iter().any(|name| name.contains(text)))
    }
}

impl Site {
    /// Writes the site as a sentence names it.
    pub(super) fn text(&self) -> String {
        match &self.line {
            Some(line) if line.function.file.is_empty() => line.function.name.to_string(),
            Some(SourceLine { function, line }) => format!("{} ({}:{line})", function.name, function.file),
            None => "a site that is not known".to_owned(),
        }
    }

    /// Whether it is the site that is named by this frame.
    pub(super) fn is(&self, frame: &Frame) -> bool {
        self.line.as_ref().is_some_and(|line| {
            *line.function.name == *frame.function
                && *line.function.file == *frame.file
                && line.line == frame.line
        })
    }
}

fn lines(stacks: &Stacks, index: usize) -> Vec<(u64, &SourceLine)> {
    let locations = stacks.shown(index, Frames::UserFirst).locations();
    let of_location = |location: Location| {
        let near = stacks.address(location.place);
        stacks.lines(location).iter().map(move |line| (near, line))
    };
    locations.flat_map(of_location).collect()
}

fn frame(line: &SourceLine) -> Frame {
    Frame {
        function: line.function.name.to_string(),
        file: line.function.file.to_string(),
        line: line.line,
        is_inlined: false,
    }
}

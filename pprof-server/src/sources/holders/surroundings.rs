//! What the search needs to know of the process: its memory, its threads, and what of both is the profiler's own.
//!
//! Path: *read path*.

use crate::mappings::data_ranges::{DataKind, DataRange, data_ranges, is_of_system};
use crate::mappings::{Mapping, Mappings};
use crate::symbols::variables;
use alloc_profiler::internal::for_each_mapping;
use capture::StackPointer;
use holders::{Pace, Region, RegionKind, Scene, Thread};

/// What the names of the profiler's own threads begin with.
const OWN_THREADS: &str = "pprof-";

/// What the search needs to know of the process.
pub(in crate::sources) struct Surroundings {
    pub(in crate::sources) regions: Vec<Region>,
    pub(in crate::sources) threads: Vec<Thread>,
    /// The names of the threads are in the order of their numbers.
    pub(in crate::sources) stack_pointers: Vec<StackPointer>,
    pub(in crate::sources) thread_local_bytes: u64,
    /// These ranges have addresses of blocks and hold none.
    pub(in crate::sources) left_out: Vec<(u64, u64)>,
    /// Where the profiler's own variables are, if there is a symbol table.
    pub(in crate::sources) own_variables: Vec<(u64, u64)>,
    /// Whether all memory of the profiler's own is known.
    pub(in crate::sources) knows_own: bool,
    pub(super) ranges: Vec<DataRange>,
}

impl Surroundings {
    /// Looks at the process as it is now.
    ///
    /// # Errors
    ///
    /// A sentence says that threads cannot be listed.
    pub(in crate::sources) fn of_process(mappings: &Mappings) -> Result<Surroundings, String> {
        let ranges = data_ranges();
        let all = capture::stack_pointers().map_err(|error| {
            format!("the threads of the program cannot be listed ({error}); allow reading /proc/self/task")
        })?;
        let here = 0_u8;
        let mut left_out = vec![range_around(&ranges, &raw const here as u64)];
        let (own, stack_pointers): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|thread| thread.name.starts_with(OWN_THREADS));
        let own_stacks = own.iter().filter_map(|thread| thread.address);
        left_out.extend(own_stacks.map(|address| range_around(&ranges, address)));
        let knows_own =
            for_each_mapping(|start, bytes| left_out.push((start as u64, (start + bytes) as u64)));
        let program = mappings.as_slice().first().filter(|mapping| mapping.is_main);
        let regions = ranges.iter().map(|range| Region {
            start: range.start,
            limit: range.limit,
            kind: match &range.kind {
                DataKind::Variables(path) if is_of_system(path) => RegionKind::Allocator,
                DataKind::Variables(_) => RegionKind::Statics,
                DataKind::MainStack => RegionKind::MainStack,
                DataKind::Other => RegionKind::Other,
            },
        });
        Ok(Surroundings {
            regions: regions.collect(),
            threads: stack_pointers
                .iter()
                .map(|thread| Thread { id: thread.id, stack_pointer: thread.address })
                .collect(),
            thread_local_bytes: program.and_then(variables::thread_local_bytes).unwrap_or(0),
            stack_pointers,
            left_out,
            own_variables: own_variables(&ranges, mappings),
            knows_own,
            ranges,
        })
    }

    /// Returns what a search at this pace is told.
    pub(in crate::sources) fn scene(&self, pace: Pace) -> Scene<'_> {
        Scene {
            regions: &self.regions,
            threads: &self.threads,
            thread_local_bytes: self.thread_local_bytes,
            left_out: &self.left_out,
            own_variables: &self.own_variables,
            pace,
        }
    }

    /// Returns the name of a thread.
    pub(in crate::sources) fn thread_name(&self, id: u32) -> &str {
        self.stack_pointers.iter().find(|thread| thread.id == id).map_or("", |thread| &thread.name)
    }

    /// Returns the image that has the variable at `address`.
    pub(super) fn image<'m>(&self, mappings: &'m Mappings, address: u64) -> Option<&'m Mapping> {
        let range = self.ranges.iter().find(|range| (range.start..range.limit).contains(&address))?;
        let DataKind::Variables(path) = &range.kind else { return None };
        mappings.as_slice().iter().find(|mapping| mapping.path == *path)
    }
}

fn range_around(ranges: &[DataRange], address: u64) -> (u64, u64) {
    let range = ranges.iter().find(|range| (range.start..range.limit).contains(&address));
    range.map_or((address, address), |range| (range.start, range.limit))
}

fn own_variables(ranges: &[DataRange], mappings: &Mappings) -> Vec<(u64, u64)> {
    let mut own = Vec::new();
    for range in ranges {
        let DataKind::Variables(path) = &range.kind else { continue };
        if let Some(image) = mappings.as_slice().iter().find(|mapping| mapping.path == *path) {
            own.extend(variables::own_in(image, (range.start, range.limit)));
        }
    }
    own
}

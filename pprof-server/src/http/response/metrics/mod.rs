//! This tells the profiler's figures in the text that Prometheus reads.
//!
//! They answer one question first: is it a leak, or memory that the allocator keeps? They go from what the program has
//! in use to what its allocator holds, to what is resident, and to what the control group allows.
//!
//! Path: *read path*. Everything is read when it is asked for; nothing is kept between.

#[cfg(test)]
mod tests;
mod writer;

use std::fmt;

use alloc_profiler::{CAllocations, Dropped, MallocStats, OwnMemory, Snapshot, Totals};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{self, DescriptorEncoder};
use prometheus_client::registry::{Registry, Unit};

use super::drops;
use crate::cgroup::CgroupMemory;
use crate::encode::{FileLoss, Loss, is_known, losses_by_file};
use crate::history::MEMORY_REMEDY;
use crate::http::request::accept_header::MetricsFormat;
use crate::process::{cgroup_memory, resident_bytes};
use writer::Writer;

/// Returns the text of all figures; `missing_records` is how often memory was too short for a record of the past. With
/// `with_malloc` the system's allocator is asked too, which may hold up other threads.
pub(crate) fn text(
    snapshot: &Snapshot,
    missing_records: u64,
    is_installed: bool,
    with_malloc: bool,
    format: MetricsFormat,
) -> String {
    let mut registry = Registry::default();
    let (losses, files) = losses_by_file(snapshot);
    registry.register_collector(Box::new(Figures {
        is_installed,
        totals: estimates(snapshot, is_installed),
        sampling_interval: snapshot.sampling_interval,
        dropped: snapshot.dropped,
        own_memory: snapshot.own_memory,
        malloc: if with_malloc { alloc_profiler::malloc_stats() } else { None },
        resident_bytes: resident_bytes(),
        cgroup: cgroup_memory(),
        losses,
        files,
        missing_records,
    }));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match format {
        MetricsFormat::OpenMetrics => encoding::text::encode(&mut text, &registry),
        // mutant: D12 the classic format ends as OpenMetrics does
        MetricsFormat::Classic => encoding::prometheus_text::encode(&mut text, &registry),
    };
    text
}

/// The sums of `snapshot`, unless they are those of a program that nobody has looked at.
fn estimates(snapshot: &Snapshot, is_installed: bool) -> Option<Totals> {
    let (is_known, totals) = (is_known(snapshot, is_installed), snapshot.totals());
    // mutant: D12 figures of nothing are told
    is_known.then_some(totals)
}

/// All there is to tell, as of one moment.
#[derive(Debug)]
struct Figures {
    is_installed: bool,
    /// The estimates; `None` if nothing could be sampled, so that nothing is known.
    totals: Option<Totals>,
    sampling_interval: u64,
    dropped: Dropped,
    own_memory: OwnMemory,
    malloc: Option<MallocStats>,
    resident_bytes: Option<u64>,
    cgroup: CgroupMemory,
    losses: Vec<Loss>,
    files: Vec<FileLoss>,
    missing_records: u64,
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Writer::to(encoder);
        self.in_use(&mut to)?;
        self.held(&mut to)?;
        self.allocated(&mut to)?;
        self.profiler(&mut to)?;
        self.lost(&mut to)
    }
}

impl Figures {
    fn in_use(&self, to: &mut Writer<'_>) -> fmt::Result {
        let Some(Totals { inuse_bytes, inuse_objects, inuse_samples, .. }) = self.totals else {
            return Ok(());
        };
        to.bytes(
            "alloc_profiler_inuse",
            "Bytes that the program has allocated and not freed. An estimate from alloc_profiler_inuse_samples samples, \
             with an error of alloc_profiler_inuse_standard_error_bytes. Grows with a leak; stays when the allocator \
             merely keeps pages",
            whole(inuse_bytes),
        )?;
        if let Some(error) = self.totals.and_then(|totals| totals.inuse_bytes_standard_error()) {
            to.bytes(
                "alloc_profiler_inuse_standard_error",
                "One standard error of alloc_profiler_inuse_bytes: the truth is within one of it in two of three cases, and \
                 within two in 19 of 20. 0: every sample was taken with certainty. Absent if there are no samples",
                whole(error),
            )?;
        }
        to.gauge(
            "alloc_profiler_inuse_objects",
            "Objects that the program has allocated and not freed. An estimate; it rests on the same samples",
            whole(inuse_objects),
        )?;
        to.gauge(
            "alloc_profiler_inuse_samples",
            "Samples in use: what the estimates of memory in use rest on",
            whole(inuse_samples as f64),
        )
    }

    fn held(&self, to: &mut Writer<'_>) -> fmt::Result {
        if let Some(MallocStats { held_bytes, inuse_bytes, free_bytes, .. }) = self.malloc {
            to.bytes(
                "glibc_malloc_held",
                "Bytes that glibc's malloc has got from the system: in use and free together. Exact",
                held_bytes,
            )?;
            to.bytes(
                "glibc_malloc_inuse",
                "Bytes in allocated blocks of glibc's malloc, its headers and blocks of C code included. Exact. Far above \
                 alloc_profiler_inuse_bytes, memory is held by C code that is not counted (alloc_profiler_c_allocations) or by \
                 padding",
                inuse_bytes,
            )?;
            to.bytes(
                "glibc_malloc_free",
                "Bytes that glibc's malloc keeps free for later. Exact. Retention, not a leak: heap?gc=1 gives whole pages \
                 of it back",
                free_bytes,
            )?;
        }
        if let Some(bytes) = self.resident_bytes {
            to.bytes("process_resident_memory", "Resident memory size in bytes", bytes)?;
        }
        if let Some(bytes) = self.cgroup.usage_bytes {
            to.bytes(
                "cgroup_memory_usage",
                "Bytes that the process's control group has: page cache and other processes in it included",
                bytes,
            )?;
        }
        if let Some(bytes) = self.cgroup.limit_bytes {
            to.bytes(
                "cgroup_memory_limit",
                "Bytes that the process's control group may have: the smallest limit of it and those around it. Absent if \
                 there is none",
                bytes,
            )?;
        }
        Ok(())
    }

    fn allocated(&self, to: &mut Writer<'_>) -> fmt::Result {
        let Some(Totals { alloc_bytes, alloc_objects, alloc_samples, .. }) = self.totals else {
            return Ok(());
        };
        to.counter(
            "alloc_profiler_allocated",
            "Bytes that the program has allocated since its start, freed ones included. An estimate from \
             alloc_profiler_samples_total samples, with an error of alloc_profiler_allocated_standard_error_bytes",
            Some(&Unit::Bytes),
            whole(alloc_bytes),
        )?;
        if let Some(error) = self.totals.and_then(|totals| totals.alloc_bytes_standard_error()) {
            to.bytes(
                "alloc_profiler_allocated_standard_error",
                "One standard error of alloc_profiler_allocated_bytes_total. Absent if there are no samples",
                whole(error),
            )?;
        }
        to.counter(
            "alloc_profiler_allocated_objects",
            "Objects that the program has allocated since its start, freed ones included. An estimate",
            None,
            whole(alloc_objects),
        )?;
        to.counter(
            "alloc_profiler_samples",
            "Allocations sampled since the start",
            None,
            whole(alloc_samples as f64),
        )
    }

    fn profiler(&self, to: &mut Writer<'_>) -> fmt::Result {
        to.gauge(
            "alloc_profiler_installed",
            "1 if a SamplingAllocator is the program's global allocator; 0 if not, and then there are no estimates",
            self.is_installed.into(),
        )?;
        to.gauge(
            "alloc_profiler_c_allocations",
            "1 if what C and C++ code allocates is in the figures; 0 if they are of Rust's allocations alone",
            (alloc_profiler::c_allocations() != CAllocations::NotCounted).into(),
        )?;
        to.bytes(
            "alloc_profiler_sampling_interval",
            "Mean bytes between two samples. 1: every allocation is recorded from then on; 0: sampling is off",
            self.sampling_interval,
        )?;
        // Samples whose stack is not whole are not dropped, and are counted apart.
        let Dropped { truncated_stacks, cut_stacks, .. } = self.dropped;
        let dropped: Vec<(&str, u64)> = drops::by_reason(self.dropped)
            .iter()
            .filter(|drops| !["truncated_stacks", "cut_stacks"].contains(&drops.reason))
            .map(|drops| (drops.reason, drops.count))
            .collect();
        to.counters(
            "alloc_profiler_dropped_samples",
            "Samples that a figure misses or has too much. stacks_full, low_stack, no_stack: without their stack, but counted; live_full, \
             live_busy, replaced_records: missing from what is in use; missed_removals: perhaps still in use although freed",
            "reason",
            &dropped,
        )?;
        to.counter(
            "alloc_profiler_truncated_stacks",
            "Samples whose stack was too deep to be kept whole: outermost frames are missing",
            None,
            truncated_stacks,
        )?;
        to.counter(
            "alloc_profiler_cut_stacks",
            "Samples whose stack ends at a function without unwind tables: outermost frames are missing",
            None,
            cut_stacks,
        )?;
        let OwnMemory { mapped_bytes, limit_bytes, stacks, .. } = self.own_memory;
        to.bytes(
            "alloc_profiler_own_memory",
            "Bytes that the profiler has mapped for itself. Exact; in no other alloc_profiler figure",
            mapped_bytes,
        )?;
        to.bytes("alloc_profiler_own_memory_limit", "Bytes that it may map", limit_bytes)?;
        to.gauge("alloc_profiler_stacks", "Distinct stacks that the profiler keeps", stacks)
    }

    fn lost(&self, to: &mut Writer<'_>) -> fmt::Result {
        let values: Vec<_> = self.losses.iter().map(|loss| ([("reason", loss.reason)], loss.ratio)).collect();
        to.gauges(
            "pprof_loss_ratio",
            "What profiles lack, each loss that there is, as the share of the profile that it concerns, from 0 to 1. \
             Profiles say it in a sentence, with what to do about it",
            &values,
        )?;
        let values: Vec<_> = self
            .files
            .iter()
            .map(|FileLoss { file, lacks, ratio }| ([("file", &**file), ("lacks", lacks)], *ratio))
            .collect();
        to.gauges(
            "pprof_file_loss_ratio",
            "The program, or a library on its stacks, whose file lacks something to name functions by, and the share of the \
             profile on stacks through it, from 0 to 1. Lacks names: and all else. Lacks lines: and inlined functions. Lacks \
             paths: those of the names of inlined functions",
            &values,
        )?;
        let help = format!(
            "Moments of the past that are missing, since memory was too short for a record; {MEMORY_REMEDY}"
        );
        to.counter("pprof_missing_records", &help, None, self.missing_records)
    }
}

/// Returns the estimate as a whole number. `as` saturates, and nothing is negative.
fn whole(estimate: f64) -> u64 {
    estimate.round() as u64
}

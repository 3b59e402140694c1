//! What the text says, and that it is what Prometheus reads.

use super::*;
use alloc_profiler::SizeTotals;
use alloc_profiler::internal::literal;

fn figures() -> Snapshot {
    let totals = literal!(Totals {
        alloc_objects: 20.6,
        alloc_bytes: 2048.5,
        alloc_samples: 9,
        inuse_objects: 10.4,
        inuse_bytes: 1024.4,
        inuse_samples: 4,
        alloc_bytes_variance: 50.0 * 50.0,
        inuse_bytes_variance: 30.0 * 30.0,
        ..Totals::default()
    });
    literal!(Snapshot {
        sampling_interval: 512,
        stacks: Vec::new(),
        overflow: vec![literal!(SizeTotals { size_class: 8, totals, ..SizeTotals::default() })],
        dropped: literal!(Dropped {
            stacks_full: 1,
            live_full: 2,
            live_busy: 3,
            missed_removals: 4,
            low_stack: 6,
            truncated_stacks: 5,
            cut_stacks: 9,
            no_stack: 10,
            replaced_records: 11,
            ..Dropped::default()
        }),
        own_memory: literal!(OwnMemory {
            mapped_bytes: 6,
            limit_bytes: 7,
            stacks: 8,
            live_samples: 4,
            ..OwnMemory::default()
        }),
        ..alloc_profiler::snapshot()
    })
}

#[test]
fn every_figure_has_its_line() {
    let text = text(&figures(), 12, true, false, MetricsFormat::OpenMetrics);
    for line in [
        "alloc_profiler_inuse_bytes 1024",
        "alloc_profiler_inuse_objects 10",
        "alloc_profiler_inuse_samples 4",
        "alloc_profiler_inuse_standard_error_bytes 30",
        "alloc_profiler_allocated_standard_error_bytes 50",
        "alloc_profiler_allocated_bytes_total 2049",
        "alloc_profiler_allocated_objects_total 21",
        "alloc_profiler_samples_total 9",
        "alloc_profiler_installed 1",
        "alloc_profiler_c_allocations 0",
        "alloc_profiler_sampling_interval_bytes 512",
        "alloc_profiler_dropped_samples_total{reason=\"stacks_full\"} 1",
        "alloc_profiler_dropped_samples_total{reason=\"missed_removals\"} 4",
        "alloc_profiler_dropped_samples_total{reason=\"low_stack\"} 6",
        "alloc_profiler_dropped_samples_total{reason=\"no_stack\"} 10",
        "alloc_profiler_dropped_samples_total{reason=\"replaced_records\"} 11",
        "alloc_profiler_truncated_stacks_total 5",
        "alloc_profiler_cut_stacks_total 9",
        "alloc_profiler_own_memory_bytes 6",
        "alloc_profiler_own_memory_limit_bytes 7",
        "alloc_profiler_stacks 8",
        "pprof_missing_records_total 12",
        "# EOF",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
    assert!(!text.contains("glibc_malloc"), "{text}");
    #[cfg(target_os = "linux")]
    assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
}

#[test]
fn what_nobody_has_looked_at_is_left_out() {
    let nothing = || literal!(Snapshot { overflow: Vec::new(), ..figures() });
    let off = literal!(Snapshot { sampling_interval: 0, ..nothing() });
    let freed = literal!(Totals { inuse_samples: -1, ..Totals::default() });
    let freed = literal!(SizeTotals { totals: freed, ..SizeTotals::default() });
    for (snapshot, is_installed, is_told) in [
        (literal!(Snapshot { sampling_interval: 0, overflow: vec![freed], ..figures() }), true, true),
        (nothing(), false, false),
        (nothing(), true, true),
        (off, true, false),
        // What was sampled before it was turned off is known.
        (literal!(Snapshot { sampling_interval: 0, ..figures() }), true, true),
        (figures(), false, true),
    ] {
        let text = text(&snapshot, 0, is_installed, false, MetricsFormat::Classic);
        for name in ["alloc_profiler_inuse_bytes", "alloc_profiler_allocated_bytes_total"] {
            assert_eq!(text.lines().any(|line| line.starts_with(name)), is_told, "{is_installed} {text}");
        }
        assert!(text.contains("\nalloc_profiler_own_memory_bytes 6\n"), "{text}");
    }
}

/// What the format asks for: type, unit and help before the values, help without line ends, `# EOF` last.
#[test]
fn the_format_is_openmetrics() {
    let text = text(&figures(), 0, false, true, MetricsFormat::OpenMetrics);
    let mut described = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            described = rest.split(' ').next().unwrap();
            assert!(rest.len() > described.len() + 5, "{line}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap();
            assert_eq!(name.strip_suffix("_total").unwrap_or(name), described, "{line}");
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
        }
    }
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

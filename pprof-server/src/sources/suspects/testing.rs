//! Reports to test with.
//!
//! Path: *read path*.

use super::kind::Kind;
use super::method::Growth;
use super::tasks::{Change, Growths, Wait};
use super::{Report, Suspect, SuspectStack};
use crate::profile::{Ages, Frame};
use alloc_profiler::Totals;
use alloc_profiler::internal::literal;
use std::time::{Duration, UNIX_EPOCH};

/// A report on one leak.
pub(super) fn report() -> Report {
    let growth = Growth {
        kind: Kind::Leak,
        z: 6.0,
        since: 1,
        until: 2,
        first: 0,
        is_steady: true,
        in_doubt: Kind::Leak,
        bytes: 3096.0,
        error_bytes: 512.0,
    };
    let frame = |function: &str, line| Frame {
        function: function.into(),
        file: format!("src/{function}.rs"),
        line,
        is_inlined: false,
    };
    let suspect = Suspect {
        growth,
        full_in: Some(Duration::from_secs(10_800)),
        totals: literal!(Totals {
            inuse_bytes: 4096.0,
            inuse_objects: 1024.0,
            inuse_samples: 40,
            inuse_bytes_variance: 640.0 * 640.0,
            ..Totals::default()
        }),
        ages: Some(Ages { median: Duration::from_secs(60), max: Duration::from_secs(7200) }),
        bytes: vec![0.0, 1000.0, 4096.0],
        stacks: vec![
            SuspectStack { inuse_bytes: 3072.0, frames: vec![frame("f", 7), frame("g", 8)] },
            SuspectStack { inuse_bytes: 1024.0, frames: vec![frame("f", 7)] },
        ],
        stack_count: 3,
        stack_ids: vec![3],
        held_by: None,
        tasks: None,
    };
    Report {
        is_known: true,
        time: UNIX_EPOCH + Duration::from_secs(3600),
        ages: vec![3600.0, 1800.0, 0.0],
        too_early: None,
        suspects: vec![suspect],
        task_growths: Growths::default(),
        notes: vec!["a note".into()],
    }
}

pub(super) fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame { function: function.into(), file: file.into(), line, is_inlined: false }
}

pub(super) fn wait(spawned_by: &str, frames: &[Frame], count: f64, error: f64, samples: i64) -> Wait {
    let ages = Some(Ages { median: Duration::from_secs(20), max: Duration::from_secs(90) });
    Wait { spawned_by: spawned_by.into(), frames: frames.to_vec(), count, error, samples, ages }
}

/// A report on `f`, which has spawned tasks that wait at two lines and some of which nothing is known.
pub(super) fn report_with_tasks() -> Report {
    const TOKIO: &str =
        "/home/me/.cargo/registry/src/index.crates.io-1/tokio-1.54.1/src/sync/mpsc/bounded.rs";
    let mut report = report();
    let change = |count, error| Change { count, error };
    let growths = [("f", vec![change(990.0, 90.0), change(400.0, 40.0), change(0.0, 0.0)])];
    report.task_growths = Growths(growths.map(|(name, changes)| (name.to_owned(), changes)).into());
    let recv = frame("tokio::sync::mpsc::bounded::Receiver::recv", TOKIO, 245);
    let waits = [
        wait(
            "f",
            &[recv.clone(), frame("shop::read", "src/read.rs", 7), frame("shop::serve", "src/serve.rs", 8)],
            900.0,
            30.0,
            60,
        ),
        wait("g", std::slice::from_ref(&recv), 500.0, 20.0, 50),
        wait("f", &[], 90.0, 40.0, 5),
    ];
    report.add_waits(&waits, UNIX_EPOCH + Duration::from_secs(3600), &["tasks: a note".to_owned()]);
    report
}

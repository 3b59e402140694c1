//! A running program finds its own names although its file has been replaced, as an upgrade in place does.
#![cfg(target_os = "linux")]

use alloc_profiler::internal::literal;
use alloc_profiler::{SizeTotals, Snapshot, StackTotals, StackTrace, Totals};
use pprof_server::{ProfileOptions, heap_profile, top_table};
use std::{env, fs};
use workspace_tests::scraper_rules;

/// Set in the child, which is a copy of this test binary.
const IS_CHILD: &str = "REPLACED_BINARY_CHILD";

#[test]
fn names_survive_the_replacement_of_the_file() {
    if env::var_os(IS_CHILD).is_some() {
        return replace_own_file_and_look();
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("replaced-binary");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let output = workspace_tests::program(&copy).arg("--nocapture").env(IS_CHILD, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn replace_own_file_and_look() {
    let program = env::current_exe().unwrap();
    fs::remove_file(&program).unwrap();
    fs::write(&program, "another build").unwrap();

    let ips = backtrace::Backtrace::new_unresolved();
    let totals =
        literal!(Totals { inuse_bytes: 8.0, inuse_objects: 1.0, inuse_samples: 1, ..Totals::default() });
    let stack = literal!(StackTotals {
        trace: StackTrace::of_return_addresses(ips.frames().iter().map(|frame| frame.ip() as usize)),
        by_size: vec![literal!(SizeTotals { size_class: 8, totals, ..SizeTotals::default() })],
        ..StackTotals::default()
    });
    let snapshot = literal!(Snapshot { stacks: vec![stack], ..alloc_profiler::snapshot() });
    let table = top_table(&snapshot, &ProfileOptions::default());
    let frame = &table.rows[0].frames[0];
    assert_eq!(frame.function, "replaced_binary::replace_own_file_and_look");
    assert!(frame.line > 0);

    let profile = scraper_rules(&heap_profile(&snapshot, &ProfileOptions::default()));
    let path = &profile.string_table[profile.mapping[0].filename_index as usize];
    assert_eq!(path, program.to_str().unwrap());
    assert_ne!(profile.mapping[0].build_id_index, 0);
}

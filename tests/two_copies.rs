//! D10: a plugin that brings a profiler of its own is found out, and said in every profile from the first on.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::ffi::CString;

use alloc_profiler::{other_copies, set_sampling_interval, snapshot};
use pprof_server::{ProfileOptions, Symbolize, heap_profile};
use workspace_tests::examples::path_of;
use workspace_tests::scraper_rules;

#[global_allocator]
static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();

/// What the comments of a profile say of other copies.
fn said() -> Vec<String> {
    // Names are not what this is about, and take their time.
    let options = ProfileOptions::default().with_symbolize(Symbolize::None);
    let profile = scraper_rules(&heap_profile(&snapshot(), &options));
    let comments = profile.comment_index.iter().map(|&index| profile.string_table[index as usize].clone());
    comments.filter(|comment| comment.contains("profiler of its own")).collect()
}

#[test]
fn a_plugin_with_a_profiler_of_its_own_is_said() {
    set_sampling_interval(1);
    assert_eq!((other_copies(), said()), (vec![], vec![]));
    let path = path_of("libsecond_copy.so");
    let name = CString::new(path.to_str().expect("UTF-8")).expect("no zero");
    const BYTES: usize = 12_345_678;
    let before = snapshot();
    // SAFETY: a library of ours, whose function has this type; it stays open.
    let kept = unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null(), "{}", path.display());
        let keep = libc::dlsym(handle, c"keep".as_ptr());
        assert!(!keep.is_null());
        std::mem::transmute::<*mut libc::c_void, extern "C" fn(usize) -> f64>(keep)(BYTES)
    };
    // Two tables: this is why it must be said.
    assert!(kept >= BYTES as f64);
    assert!(snapshot().since(&before).totals().inuse_bytes < BYTES as f64);
    let copies = other_copies();
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!((&copies[0].path, &*copies[0].version), (&path, env!("CARGO_PKG_VERSION")));
    let said = said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("libsecond_copy.so"), "{said:?}");
}

//! A profile goes to a file in one call; where it cannot, the error names the path, and the program goes on.

use std::error::Error as _;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};
use std::{env, fs};

use pprof_server::write_heap_profile;
use workspace_tests::{check_valid, scraper_rules};

#[global_allocator]
static ALLOCATOR: pprof_server::alloc_profiler::SamplingAllocator =
    pprof_server::alloc_profiler::SamplingAllocator::new();

/// A folder of our own, which is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_file_is_a_valid_profile_and_replaces_what_was_there() {
    let folder = Folder::new("dumps");
    let path = folder.0.join("heap.out");
    fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    write_heap_profile(&path).unwrap();
    let profile = fs::read(&path).unwrap();
    check_valid(&profile);
    scraper_rules(&profile);
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let folder = Folder::new("refused");
    for (path, kind) in [
        (folder.0.join("no such folder/heap.out"), ErrorKind::NotFound),
        (folder.0.clone(), ErrorKind::IsADirectory),
        (PathBuf::new(), ErrorKind::NotFound),
    ] {
        let error = write_heap_profile(&path).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot write a heap profile to {}: ", path.display())), "{text}");
        let cause = error.source().and_then(|source| source.downcast_ref::<IoError>()).expect("a cause");
        assert_eq!(cause.kind(), kind, "{text}");
    }
    // And the next one works.
    write_heap_profile(folder.0.join("heap.out")).unwrap();
}

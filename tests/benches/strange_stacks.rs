//! What a sampled allocation and its free cost where the stack is a fiber's, or has frames of a library that may be
//! unloaded: `cargo bench -p workspace-tests --bench strange_stacks`. Each stack is some frames deep. docs/performance.md
//! has the costs.
//!
//! A fiber's stack has no end that we could know, so pages are tried out. What is known of an unloadable library's code must
//! not be believed later, so it is worked out anew each time.

use std::ffi::CString;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs, mem};

use alloc_profiler::SamplingAllocator;
use corosensei::Coroutine;
use corosensei::stack::DefaultStack;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const PAIRS: u32 = 5_000;
const TRIALS: usize = 15;
const FRAMES: u32 = 10;

/// Calls back with so many frames of its own below.
type Deep = extern "C" fn(frames: u32, call_back: extern "C" fn());

const LIBRARY: &str = r#"
#[unsafe(no_mangle)]
pub extern "C" fn deep(frames: u32, call_back: extern "C" fn()) {
    if frames <= 1 { call_back() } else { deep(frames - 1, call_back) }
    std::hint::black_box(frames);
}
"#;

extern "C" fn deep_here(frames: u32, call_back: extern "C" fn()) {
    if frames <= 1 {
        call_back()
    } else {
        black_box(deep_here as Deep)(frames - 1, call_back)
    }
    black_box(frames);
}

/// The median of what sampling adds, and prints it.
extern "C" fn measure() {
    let nanos = |interval: u64| {
        alloc_profiler::set_sampling_interval(interval);
        let start = Instant::now();
        for _ in 0..PAIRS {
            drop(black_box(Box::new([1_u64; 8])));
        }
        let nanos = start.elapsed().as_nanos() as f64 / f64::from(PAIRS);
        alloc_profiler::set_sampling_interval(0);
        nanos
    };
    let mut added: Vec<f64> = (0..TRIALS).map(|_| nanos(1) - nanos(0)).collect();
    added.sort_by(f64::total_cmp);
    println!("{:.0} ns ({:.0} to {:.0})", added[TRIALS / 2], added[TRIALS / 4], added[TRIALS * 3 / 4]);
}

fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, library) = (folder.join("deep.rs"), folder.join("libdeep.so"));
    fs::write(&source, LIBRARY).expect("a file");
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args([
        "--crate-type=cdylib",
        "--edition=2024",
        "-Copt-level=1",
        "-Cpanic=abort",
        "-Clink-arg=-Wl,--build-id",
        "-o",
    ]);
    let status = rustc.arg(&library).arg(&source).status().expect("a compiler");
    assert!(status.success());
    library
}

fn load(library: &Path) -> Deep {
    let path = CString::new(library.to_str().expect("text")).expect("no zero in it");
    // SAFETY: the library is ours, needs no initialization, and stays open; the function has this type.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null(), "{library:?} does not load");
        mem::transmute::<*mut libc::c_void, Deep>(libc::dlsym(handle, c"deep".as_ptr()))
    }
}

fn main() {
    let deep_in_library = load(&build());
    print!("{FRAMES} frames on a thread's own stack: ");
    deep_here(FRAMES, measure);
    print!("{FRAMES} frames on a fiber: ");
    let stack = DefaultStack::new(256 << 10).expect("a stack");
    Coroutine::<(), (), ()>::with_stack(stack, |_, ()| deep_here(FRAMES, measure)).resume(());
    print!("1 frame of a library that may be unloaded: ");
    deep_in_library(1, measure);
    print!("{FRAMES} frames of a library that may be unloaded: ");
    deep_in_library(FRAMES, measure);
}

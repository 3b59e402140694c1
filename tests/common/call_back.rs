//! A library that calls back into the program, in C and in Rust, built here as a user would and loaded while we run.

use std::env;
use std::ffi::{CString, c_void};
use std::fs;
use std::hint::black_box;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::again::c_compiler;

/// Holds the source of the library in C. `call_back` has another function inlined, which calls the program.
pub const IN_C: &str = r"
typedef void *(*allocate)(void);
static inline __attribute__((always_inline)) void *inlined(allocate function) {
    return function();
}
void call_back(allocate function, void **block) {
    *block = inlined(function);
}
";

/// Holds the source of the same library in Rust.
pub const IN_RUST: &str = r#"
use std::ffi::c_void;
#[inline(always)]
fn inlined(function: extern "C" fn() -> *mut c_void) -> *mut c_void {
    function()
}
#[unsafe(no_mangle)]
pub extern "C" fn call_back(function: extern "C" fn() -> *mut c_void, block: &mut *mut c_void) {
    *block = inlined(function);
}
"#;

type Allocate = extern "C" fn() -> *mut c_void;
type CallBack = extern "C" fn(Allocate, &mut *mut c_void);

/// Makes a command that compiles a library in C.
#[must_use]
pub fn cc(flags: &[&str]) -> Command {
    let mut cc = c_compiler();
    cc.args(["-shared", "-fPIC", "-O1", "-fno-optimize-sibling-calls"]).args(flags);
    cc
}

/// Makes a command that compiles a library in Rust.
#[must_use]
pub fn rustc(flags: &[&str]) -> Command {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--crate-type=cdylib", "--edition=2024", "-Copt-level=3", "-Cpanic=abort"]).args(flags);
    rustc
}

/// Compiles `source`, which is the name of a file and its text, to `libNAME.so` in `folder`.
///
/// # Panics
///
/// It panics if the library cannot be built.
pub fn compile(folder: &Path, name: &str, source: (&str, &str), compiler: &mut Command) -> PathBuf {
    let (file, text) = source;
    let (file, library) = (folder.join(file), folder.join(format!("lib{name}.so")));
    fs::write(&file, text).unwrap();
    let output = compiler.arg("-o").args([&library, &file]).output().expect("a compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Loads the library and has it call back: 5 MiB are leaked through it, and recorded as the only thing that is.
///
/// # Panics
///
/// It panics if the library does not load.
pub fn leak_through(library: &Path) {
    let path = CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the library is ours, needs no initialization, and is never unloaded; the function has this type.
    let call_back = unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null(), "{} does not load", library.display());
        let function = libc::dlsym(handle, c"call_back".as_ptr());
        assert!(!function.is_null());
        mem::transmute::<*mut c_void, CallBack>(function)
    };
    alloc_profiler::set_sampling_interval(1);
    call_back(allocate, &mut std::ptr::null_mut());
    alloc_profiler::set_sampling_interval(0);
}

/// The library calls this function of the program's, so that the first row of the stack has its line.
extern "C" fn allocate() -> *mut c_void {
    black_box(vec![1_u8; 5 << 20]).leak().as_mut_ptr().cast()
}

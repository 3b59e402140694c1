//! These names of crates, modules, files and functions tell plumbing, and where threads begin.
//!
//! Path: *read path*.

/// Crates that are plumbing as a whole.
pub(super) const CRATES: [&str; 20] = [
    "alloc",
    "core",
    "std",
    "hashbrown",
    "allocator_api2",
    "alloc_profiler",
    "__rustc",
    "compiler_builtins",
    "std_detect",
    "panic_unwind",
    "backtrace",
    "framehop",
    "mimalloc",
    "libmimalloc_sys",
    "tikv_jemallocator",
    "tikv_jemalloc_sys",
    "jemallocator",
    "snmalloc_rs",
    "snmalloc_sys",
    // Where C++'s standard library has what only it uses; the rest of it is in `std`, as Rust's is.
    "__gnu_cxx",
];

/// Modules that are plumbing in crates that otherwise are not. The line that spawned a task allocates it; a channel or
/// a socket of tokio's is a thing of its own.
pub(super) const MODULES: [&str; 5] =
    ["tokio::runtime::", "tokio::task::", "tokio::util::", "tokio::loom::", "capture::locks::"];

/// The plumbing crates and modules again, by their source in the folder that the registry's crates are unpacked to.
/// Where the names of inlined functions are bare, as under `debug = "line-tables-only"`, only the file tells.
pub(super) const SOURCES: [(&str, &str); 6] = [
    ("hashbrown-", ""),
    ("allocator-api2-", ""),
    ("tokio-", "runtime/"),
    ("tokio-", "task/"),
    ("tokio-", "util/"),
    ("tokio-", "loom/"),
];

/// Allocation functions of C; and the prefixes of those that other allocators export, of what the compiler makes:
/// `__rust_alloc`, and `__rust_try` around every task, which never has debug information; and of C++'s `new`.
pub(super) const C_FUNCTIONS: [&str; 16] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "free",
    "cfree",
    "mallocx",
    "rallocx",
    "xallocx",
    "sdallocx",
    "dallocx",
];
pub(super) const C_PREFIXES: [&str; 11] = [
    "__rust_",
    "__rg_",
    "__rdl_",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign",
    "_int_malloc",
    "_rjem_",
    "mi_",
    "operator new",
];

/// Lists the functions outside of `main` and of a thread's closure, as glibc and musl call them.
pub(super) const ENTRY_NAMES: [&str; 11] = [
    "_start",
    "main",
    "__libc_start_main",
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "start_thread",
    "clone",
    "clone3",
    "__clone",
    "__clone3",
    "start",
];
/// The functions of a stripped library have no names. Their synthetic ones begin with these names of files.
pub(super) const ENTRY_FILES: [&str; 5] = ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl"];

/// Lists the traits of an allocator. An implementation for a type of the user's calls ours in turn.
pub(super) const ALLOCATOR_TRAITS: [&str; 2] = ["core::alloc::global::GlobalAlloc", "core::alloc::Allocator"];

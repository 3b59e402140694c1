//! The tests of `other_builds` and `scripts/check-binaries.py` run this program. It leaks, serves, tells where, and waits for
//! the end of its standard input.
//!
//! With `LEAK_MAPPINGS` it has so many more mappings. With `LEAK_REMAP` its code is first copied to pages of another
//! kind, as programs do that want their code on huge pages.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};
use std::hint::black_box;

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[inline(never)]
fn leak() -> Vec<u8> {
    black_box(inlined())
}

#[inline(always)]
fn inlined() -> Vec<u8> {
    vec![1; 5 << 20]
}

unsafe extern "C" {
    fn mmap(at: *mut c_void, bytes: usize, prot: c_int, flags: c_int, file: c_int, offset: c_long) -> *mut c_void;
    fn mremap(at: *mut c_void, old: usize, new: usize, flags: c_int, ...) -> *mut c_void;
    fn mprotect(at: *mut c_void, bytes: usize, prot: c_int) -> c_int;
    fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
    fn ftruncate(file: c_int, bytes: c_long) -> c_int;
}

/// Copies `bytes` of code at `start` to pages without a file, or with a file in memory, and puts these in its place.
fn remap(start: usize, bytes: usize, is_file: bool) {
    let (read_write, read_execute, shared, private_anonymous, fixed) = (3, 5, 1, 0x22, 3);
    let old = std::ptr::with_exposed_provenance_mut::<c_void>(start);
    // SAFETY: a copy of the code takes its place in one step.
    unsafe {
        let file = if is_file { memfd_create(c"code".as_ptr(), 0) } else { -1 };
        let flags = if is_file { shared } else { private_anonymous };
        assert!(!is_file || ftruncate(file, bytes as c_long) == 0);
        let copy = mmap(std::ptr::null_mut(), bytes, read_write, flags, file, 0);
        assert_ne!(copy.addr(), usize::MAX);
        std::ptr::copy_nonoverlapping(old, copy, bytes);
        assert_eq!(mprotect(copy, bytes, read_execute), 0);
        assert_eq!(mremap(copy, bytes, bytes, fixed, old), old);
    }
}

/// Remaps the whole range of the program's code (`all`), all but its first page (`part`), or all of it to a file in
/// memory (`file`).
fn remap_code(how: &str) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let here = leak as fn() -> Vec<u8> as usize;
    let (start, end) = maps
        .lines()
        .filter_map(|line| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
        })
        .find(|&(start, end)| (start..end).contains(&here))
        .unwrap();
    let start = if how == "part" { start + 4096 } else { start };
    remap(start, end - start, how == "file");
}

/// Maps the first page of the program's file so many times, every second time as code, so that no two neighbours are
/// alike.
fn map_pages(count: usize) {
    use std::os::fd::AsRawFd;
    let program = std::fs::File::open("/proc/self/exe").unwrap();
    let (read, read_execute, private, private_fixed, bytes) = (1, 5, 2, 0x12, 4096);
    // SAFETY: the first mapping is at a place of the system's choice, and all others lie within it.
    unsafe {
        let file = program.as_raw_fd();
        let start = mmap(std::ptr::null_mut(), count * bytes, read, private, file, 0);
        for index in 0..count {
            let protection = if index % 2 == 0 { read_execute } else { read };
            let at = start.byte_add(index * bytes);
            assert_eq!(mmap(at, bytes, protection, private_fixed, file, 0), at);
        }
    }
}

fn main() {
    pprof_server::alloc_profiler::set_sampling_interval(1);
    if let Ok(how) = std::env::var("LEAK_REMAP") {
        remap_code(&how);
    }
    if let Ok(count) = std::env::var("LEAK_MAPPINGS") {
        map_pages(count.parse().unwrap());
    }
    let leaked = leak();
    let server = serve("127.0.0.1:0").unwrap();
    println!("served at {}", server.local_addr());
    std::io::read_to_string(std::io::stdin()).unwrap();
    drop(leaked);
}

//! C code allocates where Rust does not: before `main`, under the C library's own locks, while libraries come and go, in children of
//! `fork`.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use alloc_profiler::{CAllocations, c_allocations, set_sampling_interval, snapshot};
use pprof_server::ProfileOptions;

use crate::harness::{assert_consistent, isolated, pick, run};
use crate::library::{Library, build};

/// Returns the bytes in use that C allocated, by functions of which one has `name` in its own.
fn bytes_by(name: &str) -> i64 {
    let profile =
        workspace_tests::decode(&pprof_server::heap_profile(&snapshot(), &ProfileOptions::default()));
    let text = |index: i64| &*profile.string_table[index as usize];
    let has_name = |location: &u64| {
        let location = &profile.location[*location as usize - 1];
        let mut names =
            location.line.iter().map(|line| text(profile.function[line.function_id as usize - 1].name_index));
        names.any(|function| function.contains(name))
    };
    let by_c = profile.sample.iter().filter(|sample| {
        sample.label.iter().any(|label| (text(label.key_index), text(label.str_index)) == ("allocator", "c"))
    });
    by_c.filter(|sample| sample.location_id.iter().any(has_name)).map(|sample| sample.value[3]).sum()
}

const EARLY: &str = r#"
#include <stdlib.h>
#include <string.h>
static void *kept;
__attribute__((constructor)) static void early_constructor(void) {
    kept = calloc(64, 1 << 20);
    for (int each = 0; each < 100000; each++) free(realloc(malloc(each % 700), each % 900));
}
__attribute__((destructor)) static void late_destructor(void) {
    free(kept);
    free(strdup("after main"));
}
"#;

/// A constructor runs before `main`, before anything of ours was called but what the loader calls first.
#[test]
fn what_constructors_allocate_is_counted() {
    if std::env::var_os("HAZARD").is_none() {
        let folder = tempfile::tempdir().unwrap();
        let early = build(folder.path(), "early", EARLY, &[]);
        let name = "hazards::what_constructors_allocate_is_counted";
        let ended = run(name, &[("LD_PRELOAD", early.to_str().unwrap())]);
        return assert!(ended.status.success(), "{ended}");
    }
    assert!(bytes_by("early_constructor") >= 64 << 20, "{} bytes", bytes_by("early_constructor"));
}

#[test]
fn a_program_says_whether_c_is_counted() {
    isolated(1, || assert_eq!(c_allocations(), CAllocations::Counted));
}

const ASKS_FOR_ITS_STACK: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>

static pthread_key_t key;

static void at_thread_end(void *block) {
    free(block);
    free(malloc(333));
}

/* glibc has the thread's lock while it allocates the attributes. */
static void *thread(void *unused) {
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return NULL;
    pthread_attr_destroy(&attributes);
    pthread_setspecific(key, malloc(77));
    return malloc(11);
}

int threads(int count) {
    if (pthread_key_create(&key, at_thread_end) != 0) return -1;
    for (int each = 0; each < count; each++) {
        pthread_t one, two;
        void *result;
        if (pthread_create(&one, NULL, thread, NULL) || pthread_create(&two, NULL, thread, NULL)) return -2;
        if (pthread_join(one, &result) || result == NULL) return -3;
        free(result);
        if (pthread_join(two, &result) || result == NULL) return -4;
        free(result);
    }
    return 0;
}
"#;

/// C's threads know nothing of Rust, and hold locks of the C library while they allocate.
#[test]
fn threads_of_c_allocate_until_they_end() {
    isolated(1, || {
        let library = Library::of("threads", ASKS_FOR_ITS_STACK);
        let threads: extern "C" fn(i32) -> i32 = library.function("threads");
        set_sampling_interval(1);
        // A thread that waits for itself would wait until the harness ends it, which takes long.
        // SAFETY: it ends this process, which is the test's own.
        unsafe { libc::alarm(pick(120, 1200)) };
        assert_eq!(threads(pick(300, 10_000)), 0);
        let snapshot = snapshot();
        assert_consistent(&snapshot);
        assert_eq!(snapshot.dropped.no_stack + snapshot.dropped.low_stack, 0);
    });
}

const COMES_AND_GOES: &str = r#"
#include <stdlib.h>
static __thread char *of_thread;
static __thread char large[4096];
static void *of_library;
__attribute__((constructor)) static void begin(void) { of_library = malloc(5000); }
__attribute__((destructor)) static void end(void) { free(of_library); }
void use(void) {
    free(of_thread);
    of_thread = malloc(100 + (large[0] = 1));
}
void leave(void) { free(of_thread); of_thread = NULL; }
"#;

/// The loader allocates under its own lock, and the first use of a library's thread-locals allocates too.
#[test]
fn libraries_come_and_go_while_c_allocates() {
    isolated(1, || {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|name| build(folder.path(), name, COMES_AND_GOES, &[]));
        set_sampling_interval(1);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut workers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        while !is_over.load(Relaxed) {
                            // SAFETY: the block is freed in the same breath.
                            unsafe { libc::free(libc::calloc(3, 50)) };
                        }
                    })
                })
                .collect();
            for path in paths.iter().cycle().take(pick(60, 3_000)) {
                let library = Library::load(path);
                let [use_it, leave]: [extern "C" fn(); 2] =
                    ["use", "leave"].map(|name| library.function(name));
                thread::scope(|scope| {
                    scope.spawn(|| {
                        use_it();
                        leave();
                    });
                    use_it();
                });
                leave();
                library.close();
            }
            is_over.store(true, Relaxed);
            workers.drain(..).for_each(|worker| worker.join().unwrap());
        });
        assert_consistent(&snapshot());
    });
}

/// Forks while other threads allocate, and allocates in the child and in a handler that is called there.
#[test]
fn children_of_fork_allocate_in_c() {
    extern "C" fn in_child() {
        // SAFETY: the block is freed in the same breath.
        unsafe { libc::free(libc::malloc(60)) };
    }

    isolated(1, || {
        set_sampling_interval(1);
        // SAFETY: the handler allocates, which glibc allows.
        assert_eq!(unsafe { libc::pthread_atfork(Some(in_child), Some(in_child), Some(in_child)) }, 0);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for size in 1..4 {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut block = std::ptr::null_mut();
                    while !is_over.load(Relaxed) {
                        // SAFETY: the block is this thread's own.
                        block = unsafe { libc::realloc(block, size * 70) };
                        // SAFETY: it was given up.
                        unsafe { libc::free(libc::malloc(size * 100)) };
                    }
                    // SAFETY: the block is this thread's own.
                    unsafe { libc::free(block) };
                });
            }
            for _ in 0..pick(100, 5_000) {
                // SAFETY: the child allocates and frees in C, and ends.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    // SAFETY: each block is freed in the same breath.
                    (1..500)
                        .for_each(|size| unsafe { libc::free(libc::realloc(libc::malloc(size), 2 * size)) });
                    // SAFETY: it ends the child.
                    unsafe { libc::_exit(i32::from(alloc_profiler::testing::duplicate_inserts() > 0)) };
                }
                let mut status = 0;
                // SAFETY: the call fills the status in.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            }
            is_over.store(true, Relaxed);
        });
    });
}

const OWN_MALLOC: &str = r#"
#include <stddef.h>
static char room[1 << 20];
static size_t used;
void *malloc(size_t size) {
    void *block = room + used;
    used += (size + 15) / 16 * 16;
    return used <= sizeof room ? block : NULL;
}
void free(void *block) {
    if (block != NULL && ((char *)block < room || (char *)block >= room + sizeof room)) __builtin_trap();
}
void *own(size_t size) { return malloc(size); }
int is_own(char *block) { return block >= room && block < room + sizeof room; }
void give_back(void *block) { free(block); }
"#;

/// A library that has a `malloc` of its own, and is bound to it, goes on with that. Its blocks are not counted, and the program's are.
#[test]
fn a_library_keeps_a_malloc_of_its_own() {
    isolated(1, || {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::load(&build(folder.path(), "own", OWN_MALLOC, &["-Wl,-Bsymbolic"]));
        let own: extern "C" fn(usize) -> *mut c_void = library.function("own");
        let is_own: extern "C" fn(*mut c_void) -> i32 = library.function("is_own");
        let give_back: extern "C" fn(*mut c_void) = library.function("give_back");
        set_sampling_interval(1);
        let before = snapshot();
        let block = own(1 << 16);
        assert_eq!(is_own(block), 1);
        // SAFETY: a block of the program's, which is leaked.
        assert_eq!(is_own(unsafe { libc::malloc(1000) }), 0);
        give_back(block);
        let growth = snapshot().since(&before);
        let by_c = growth.stacks.iter().flat_map(|stack| &stack.by_size).filter(|size| size.is_by_c);
        let bytes: f64 = by_c.map(|size| size.totals.inuse_bytes).sum();
        assert_eq!(bytes, 1000.0);
    });
}

const IN_CPP: &str = r#"
#include <string>
#include <vector>
namespace shop {
template <typename T> struct Pool {
    std::vector<T> items;
    __attribute__((noinline)) void fill(size_t count) { items.resize(count); }
};
}
extern "C" __attribute__((noinline)) void fill_pool() {
    static shop::Pool<double> pool;
    pool.fill(1 << 20);
    static std::string *text = new std::string(3 << 20, 'x');
    if (text->empty()) delete text;
}
"#;

/// C++ allocates by `operator new`, which calls `malloc`. Its functions have the names that are in the source.
#[test]
fn functions_of_cpp_are_named_as_in_the_source() {
    isolated(1, || {
        let library = Library::of("cpp_pool", IN_CPP);
        let fill: extern "C" fn() = library.function("fill_pool");
        set_sampling_interval(1);
        fill();
        set_sampling_interval(0);
        assert_eq!(bytes_by("shop::Pool<double>::fill"), 8 << 20);
        assert_eq!(bytes_by("fill_pool"), (8 << 20) + (3 << 20) + 1 + 32);
    });
}

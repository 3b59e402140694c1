//! A8: a library is closed, and another one takes its place in memory.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::{fs, mem, ptr};

use alloc_profiler::{set_sampling_interval, snapshot};
use pprof_server::internal::proto::Profile;
use pprof_server::{ProfileOptions, Symbolize, heap_profile, heap_text};
use workspace_tests::{c_compiler, scraper_rules};

use crate::harness::{assert_consistent, isolated, pick};

/// No other block here has this size, whose class is 20480.
const BYTES: usize = 20_000;
const SIZE_CLASS: i64 = 20_480;
/// So many blocks are allocated in each visit to a library.
const BLOCKS: i64 = 10;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn allocate() {
    for _ in 0..BLOCKS {
        KEPT.with_borrow_mut(|kept| kept.push(black_box(vec![1; BYTES])));
    }
}

/// Builds a library with one function, named after it, that calls its argument. All libraries are alike but for names,
/// and for the room that the function takes on the stack, which changes no address.
fn build(folder: &Path, name: &str, room_bytes: usize) -> PathBuf {
    build_with(folder, name, room_bytes, "-Wl,--build-id")
}

fn build_with(folder: &Path, name: &str, room_bytes: usize, build_id: &str) -> PathBuf {
    let (source, library) = (folder.join(format!("{name}.c")), folder.join(format!("lib{name}.so")));
    let text = format!(
        "int {name}_calls(void (*function)(void)) {{
            volatile char room[{room_bytes}];
            for (int index = 0; index < {room_bytes}; index++) room[index] = 1;
            function();
            return room[0];
        }}\n"
    );
    fs::write(&source, text).expect("a file");
    let compiler = c_compiler()
        .args(["-shared", "-fPIC", "-O1", "-g", build_id, "-o"])
        .args([&library, &source])
        .status()
        .expect("a compiler of C");
    assert!(compiler.success(), "{compiler}");
    library
}

/// An opened library, and where it lies.
struct Opened {
    handle: *mut c_void,
    calls: extern "C" fn(extern "C" fn()) -> c_int,
    base: usize,
}

fn open(library: &Path) -> Opened {
    let name = library.file_stem().and_then(|stem| stem.to_str()?.strip_prefix("lib")).expect("lib….so");
    let symbol = CString::new(format!("{name}_calls")).expect("no zero");
    // SAFETY: the library was made above, and its function is of this type; `info` is filled in where it is found.
    unsafe {
        let handle = libc::dlopen(c_path(library).as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null(), "{:?}", CStr::from_ptr(libc::dlerror()));
        let function = libc::dlsym(handle, symbol.as_ptr());
        let mut info: libc::Dl_info = mem::zeroed();
        assert_ne!(libc::dladdr(function, &raw mut info), 0);
        let calls = mem::transmute::<*mut c_void, extern "C" fn(extern "C" fn()) -> c_int>(function);
        Opened { handle, calls, base: info.dli_fbase.addr() }
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("UTF-8")).expect("no zero")
}

/// Allocates from within a library, closes it, and tells where it was.
fn visit(library: &Path) -> usize {
    let opened = open(library);
    assert_eq!((opened.calls)(allocate), 1);
    close(library, &opened);
    opened.base
}

fn close(library: &Path, opened: &Opened) {
    // SAFETY: it was opened once, and nothing of it is used any more.
    unsafe {
        assert_eq!(libc::dlclose(opened.handle), 0);
        let still_there = libc::dlopen(c_path(library).as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD);
        assert_eq!(still_there, ptr::null_mut(), "it stayed");
    }
}

/// Returns the blocks in use under frames whose name begins with `beginning`.
fn blocks_under(profile: &Profile, beginning: &str) -> i64 {
    let names = |location_id: u64| {
        let location = &profile.location[location_id as usize - 1];
        let functions = location.line.iter().map(|line| &profile.function[line.function_id as usize - 1]);
        functions.map(|function| &profile.string_table[function.name_index as usize])
    };
    let is_under =
        |locations: &[u64]| locations.iter().flat_map(|id| names(*id)).any(|n| n.starts_with(beginning));
    let samples =
        profile.sample.iter().filter(|sample| sample.label.iter().any(|label| label.num == SIZE_CLASS));
    samples.filter(|sample| is_under(&sample.location_id)).map(|sample| sample.value[2]).sum()
}

/// Counts the same by file, where nothing was named.
fn blocks_in(profile: &Profile, library: &Path) -> i64 {
    let is_in = |location_id: &u64| {
        let mapping = profile.location[*location_id as usize - 1].mapping_id.checked_sub(1);
        mapping.is_some_and(|index| {
            let file = profile.mapping[index as usize].filename_index;
            Path::new(&profile.string_table[file as usize]) == library
        })
    };
    let samples =
        profile.sample.iter().filter(|sample| sample.label.iter().any(|label| label.num == SIZE_CLASS));
    samples.filter(|sample| sample.location_id.iter().any(is_in)).map(|sample| sample.value[2]).sum()
}

fn profile(symbolize: Symbolize) -> Profile {
    scraper_rules(&heap_profile(&snapshot(), &ProfileOptions::default().with_symbolize(symbolize)))
}

/// If `read_meanwhile`, a profile is read while the first library is there, and its names are kept.
fn one_takes_the_place_of_another(folder: &Path, read_meanwhile: bool) {
    let (first, other) = (build(folder, "first_library", 600), build(folder, "other_library", 1200));
    set_sampling_interval(1);
    let opened = open(&first);
    (opened.calls)(allocate);
    if read_meanwhile {
        assert_eq!(blocks_under(&profile(Symbolize::Full), "first_library_calls"), BLOCKS);
    }
    close(&first, &opened);
    let there = open(&other);
    assert_eq!(there.base, opened.base, "the test is void: the other library lies elsewhere");
    assert_eq!(there.calls as usize, opened.calls as usize, "the test is void: they are not alike");
    let assert_named = |first_beginning: &str, first_visits: i64, other_visits: i64| {
        let named = profile(Symbolize::Full);
        assert_eq!(blocks_under(&named, first_beginning), first_visits * BLOCKS);
        assert_eq!(blocks_under(&named, "other_library_calls"), other_visits * BLOCKS);
        // Frames of the two libraries end at different places, so the frames beyond them are found only by the right
        // library's rules.
        let beyond = blocks_under(&named, "hazards::libraries::one_takes_the_place_of_another");
        assert_eq!(beyond, (first_visits + other_visits) * BLOCKS);
        let bare = profile(Symbolize::None);
        assert_eq!(blocks_in(&bare, &first), first_visits * BLOCKS);
        assert_eq!(blocks_in(&bare, &other), other_visits * BLOCKS);
    };
    // At first nothing was allocated in the other library, and then something was.
    assert_named("first_library_calls", 1, 0);
    (there.calls)(allocate);
    assert_named("first_library_calls", 1, 1);
    // A path that is now another file's is no longer asked for names; the library is still told.
    fs::remove_file(&first).expect("it is there");
    fs::copy(&other, &first).expect("a file");
    assert_named("libfirst_library.so+0x", 1, 1);
    // The text names no libraries. In it, no address of the first library lies in a mapping.
    let text = heap_text(&snapshot(), &ProfileOptions::default().with_symbolize(Symbolize::None));
    let call = format!("{:#x}", there.calls as usize >> 12);
    let of_class = |line: &&str| line.contains(&format!("{}:", BLOCKS)) && line.contains(&call);
    assert_eq!(text.lines().filter(of_class).count(), 1, "the other's alone:\n{text}");

    // The first comes back to where it was.
    close(&other, &there);
    let again = build(folder, "first_library", 600);
    assert_eq!(visit(&again), opened.base);
    assert_named("first_library_calls", 2, 1);
    assert_consistent(&snapshot());
}

/// Without a build id, nothing in their first pages tells two builds of the same sizes apart.
fn frames_of_another_build_are_not_believed(folder: &Path) {
    let first = build_with(folder, "some_library", 600, "-Wl,--build-id=none");
    set_sampling_interval(1);
    let base = visit(&first);
    let again = build_with(folder, "some_library", 1200, "-Wl,--build-id=none");
    assert_eq!(visit(&again), base, "the test is void: the other build lies elsewhere");
    let named = profile(Symbolize::Full);
    let beyond = blocks_under(&named, "hazards::libraries::frames_of_another_build");
    assert_eq!(beyond, 2 * BLOCKS);
}

fn in_a_folder(work: impl FnOnce(&Path)) {
    work(tempfile::tempdir().expect("a folder").path());
}

#[test]
fn a_library_may_be_built_anew() {
    isolated(1, || in_a_folder(frames_of_another_build_are_not_believed));
}

#[test]
fn another_library_may_take_the_place_of_one_that_was_closed() {
    isolated(pick(1, 5), || in_a_folder(|folder| one_takes_the_place_of_another(folder, false)));
}

#[test]
fn names_that_are_kept_are_not_given_to_another_library() {
    isolated(pick(1, 5), || in_a_folder(|folder| one_takes_the_place_of_another(folder, true)));
}

/// Many libraries come and go. Each is a library of its own, and all of them together cost little.
#[test]
fn libraries_may_come_and_go() {
    isolated(1, || {
        in_a_folder(|folder| {
            set_sampling_interval(1);
            let libraries: Vec<PathBuf> =
                (0..4).map(|n| build(folder, &format!("library_{n}"), 600 + 600 * n)).collect();
            let visits = pick(50, 500);
            for _ in 0..visits {
                for library in &libraries {
                    visit(library);
                }
            }
            let named = profile(Symbolize::Full);
            for n in 0..4 {
                assert_eq!(blocks_under(&named, &format!("library_{n}_calls")), visits * BLOCKS);
            }
            // Each has a number for each place that it was at, and all of them were found.
            let paths: Vec<_> = alloc_profiler::images().map(|image| image.path).collect();
            assert!(paths.iter().filter(|path| path.ends_with(b".so")).count() >= 4, "{paths:?}");
            assert!(!paths.contains(&&b"[unknown library]"[..]), "{paths:?}");
            assert_consistent(&snapshot());
        })
    });
}

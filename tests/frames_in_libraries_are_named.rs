//! A library that calls back into the program stands on the stack between: its functions, inlined ones too, are named
//! with file and line, in the library's own mapping.
//!
//! The library is in C, and in Rust with a C interface, each built here as a user would, and loaded while we run; and in C
//! once more, with its headers and its build id where tools put them that change finished files.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, mem};

use pprof_server::{SamplingAllocator, serve};
use workspace_tests::client::get;
use workspace_tests::{check_valid, go_tool_pprof, scraper_rules, with_headers_at_the_end};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const IN_C: &str = r#"
typedef void *(*allocate)(void);
static inline __attribute__((always_inline)) void *inlined(allocate function) {
    return function();
}
void call_back(allocate function, void **block) {
    *block = inlined(function);
}
"#;

const IN_RUST: &str = r#"
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

/// What the library calls.
extern "C" fn allocate() -> *mut c_void {
    let block = black_box(vec![1_u8; 5 << 20]);
    // Leaked: it is looked for among what is in use.
    block.leak().as_mut_ptr().cast()
}

/// Writes `source` to a file, and compiles it there.
fn build(name: &str, source: &str, compiler: &mut Command) -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("libraries-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (source_file, library) =
        (folder.join(name), folder.join(format!("lib{}.so", name.replace('.', "_"))));
    fs::write(&source_file, source).unwrap();
    let output = compiler.arg("-o").arg(&library).arg(&source_file).output().expect("a compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (source_file, library)
}

fn load(library: &Path) -> CallBack {
    let path = CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the library is ours, needs no initialization, and is never unloaded; the function has this type.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null(), "{library:?} does not load");
        let function = libc::dlsym(handle, c"call_back".as_ptr());
        assert!(!function.is_null());
        mem::transmute::<*mut c_void, CallBack>(function)
    }
}

#[test]
fn frames_in_libraries_are_named() {
    let [mut cc, mut cc_again] = [(); 2].map(|()| Command::new("cc"));
    for cc in [&mut cc, &mut cc_again] {
        cc.args(["-shared", "-fPIC", "-g", "-O1", "-Wl,--build-id"]);
    }
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--crate-type=cdylib", "--edition=2024", "-g", "-Copt-level=1", "-Cpanic=abort"]);
    let libraries = [
        ("caller.c", IN_C, build("caller.c", IN_C, &mut cc), "inlined"),
        ("caller.rs", IN_RUST, build("caller.rs", IN_RUST, &mut rustc), "caller::inlined"),
        ("changed.c", IN_C, build("changed.c", IN_C, &mut cc_again), "inlined"),
    ];
    let changed = &libraries[2].2.1;
    fs::write(changed, with_headers_at_the_end(&fs::read(changed).unwrap())).unwrap();
    let server = serve("127.0.0.1:0").unwrap();
    for (name, source, (source_file, library), inlined) in &libraries {
        pprof_server::alloc_profiler::set_sampling_interval(1);
        load(library)(allocate, &mut std::ptr::null_mut());
        pprof_server::alloc_profiler::set_sampling_interval(0);

        let profile = get(server.local_addr(), "/debug/pprof/heap").body;
        check_valid(&profile);
        let decoded = scraper_rules(&profile);
        let text = |index: i64| &*decoded.string_table[index as usize];
        let mapping =
            decoded.mapping.iter().find(|mapping| text(mapping.filename_index) == library.to_str().unwrap());
        let mapping = mapping.unwrap_or_else(|| panic!("{name}: {library:?} is not in the profile"));
        // There is one address in it, and there are two functions at that.
        let mut locations = decoded.location.iter().filter(|location| location.mapping_id == mapping.id);
        let location = locations.next().expect("its frame");
        assert_eq!(locations.next(), None, "{name}");
        let line_of = |code: &str| source.lines().position(|line| line.trim() == code).unwrap() as i64 + 1;
        let frames: Vec<_> = location
            .line
            .iter()
            .map(|line| {
                let function = &decoded.function[line.function_id as usize - 1];
                (text(function.name_index), text(function.filename_index), line.line)
            })
            .collect();
        let inner = source.lines().find(|line| line.contains("function()")).unwrap().trim();
        let outer = source.lines().find(|line| line.contains("inlined(function);")).unwrap().trim();
        let file = source_file.to_str().unwrap();
        assert_eq!(frames, [(*inlined, file, line_of(inner)), ("call_back", file, line_of(outer))], "{name}");
        // The stack goes on to who called the library.
        let sample = decoded.sample.iter().find(|sample| sample.location_id.contains(&location.id)).unwrap();
        let functions = sample.location_id.iter().flat_map(|&id| &decoded.location[id as usize - 1].line);
        let mut names =
            functions.map(|line| text(decoded.function[line.function_id as usize - 1].name_index));
        // `#[test]` makes a constant of the function's name too, so `v0` tells the function from it by a number.
        let own = "frames_in_libraries_are_named::frames_in_libraries_are_named";
        assert!(
            names.any(|name| name.split('#').next() == Some(own)),
            "{name}: the stack ends in the library"
        );

        // And so Go shows it.
        let focused = format!("-focus={}", library.file_name().unwrap().to_str().unwrap());
        let top =
            go_tool_pprof(&["-top", "-cum", "-lines", "-unit=mb", "-nodefraction=0", &focused], &profile);
        for row in [
            format!(" {inlined} {file}:{} (inline)", line_of(inner)),
            format!(" call_back {file}:{}", line_of(outer)),
        ] {
            assert!(
                top.lines().any(|line| line.ends_with(&row) && line.contains("5MB")),
                "{name} {row}: {top}"
            );
        }
        let list = go_tool_pprof(&["-list=^call_back$", "-unit=mb", &focused], &profile);
        let listed = list.lines().find(|line| line.contains(outer)).unwrap_or_else(|| panic!("{list}"));
        assert!(listed.contains(" 5MB "), "{name}: {list}");
    }
    fs::remove_dir_all(libraries[0].2.0.parent().unwrap()).unwrap();
}

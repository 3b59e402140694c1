//! A program that is stripped, linked statically, or has its debug information in a file beside it, is profiled as any
//! other: what names it has are in the profile, and what is missing is named later from the unstripped file.
//!
//! The program is this test binary, stripped, or one that is built here.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::hint::black_box;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;
use workspace_tests::client::get;
use workspace_tests::{check_valid, go_tool_pprof, go_tool_pprof_at, scraper_rules};

#[path = "builds/default_release.rs"]
mod default_release;
#[path = "builds/matrix.rs"]
mod matrix;
#[path = "builds/plugins.rs"]
mod plugins;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Set in the child, which is a stripped copy of this test binary.
const IS_CHILD: &str = "OTHER_BUILDS_CHILD";

#[inline(never)]
fn leak_in_other_builds() -> Vec<u8> {
    black_box(vec![1; 5_000_000])
}

/// The child: leaks, serves, tells where, and waits for the end of its standard input.
fn serve_a_leak() {
    pprof_server::alloc_profiler::set_sampling_interval(1);
    let leaked = leak_in_other_builds();
    let server = serve("127.0.0.1:0").unwrap();
    println!("\nserved at {}", server.local_addr());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(leaked);
}

/// A running program that serves.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(file: &Path, arguments: &[&str]) -> Program {
        Program::start_by(Command::new(file).args(arguments))
    }

    fn start_by(command: &mut Command) -> Program {
        command.env(IS_CHILD, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        // A file that was written just now is busy for as long as a child of another thread, between its `fork` and its
        // `exec`, holds the descriptor that it was written by.
        let given_up = Instant::now() + Duration::from_secs(60);
        let mut child = loop {
            match command.spawn() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < given_up => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                started => break started.unwrap(),
            }
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| line.strip_prefix("served at ")?.parse().ok()).expect("an address");
        // What the child's harness says at the end must not meet a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Program { child, address }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A file of ours, which is removed when this is dropped.
struct ScratchFile(PathBuf);

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// This binary, of which `strip` with `arguments` has taken something away.
fn strip(name: &str, arguments: &[&str]) -> ScratchFile {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let stripped = Command::new("strip")
        .args(arguments)
        .arg("-o")
        .arg(&file)
        .arg(env::current_exe().unwrap())
        .status()
        .expect("`strip` comes with the linker: install binutils");
    assert!(stripped.success());
    ScratchFile(file)
}

/// `programs/{program}.rs`, compiled and linked with `flags`; what it depends on is what this test depends on.
fn build(name: &str, program: &str, flags: &[&str]) -> PathBuf {
    // `<target>/<profile>/deps/<this>`
    let this = env::current_exe().unwrap();
    let [dependencies, profile, target] = [1, 2, 3].map(|up| this.ancestors().nth(up).unwrap());
    let is_debug = profile.ends_with("debug");
    // It tells where the library lies that this test is linked with. Nothing is left to be built if all of the workspace was tested: other
    // packages want features that this one does not have by itself.
    let told = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["test", "--workspace", "--no-run", "--test", "other_builds", "--message-format", "json"])
        .args(["--profile", if is_debug { "dev" } else { "release" }])
        .arg("--target-dir")
        .arg(target)
        .output()
        .expect("cargo starts");
    let told = String::from_utf8(told.stdout).unwrap();
    let library = told.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_library = message["target"]["name"] == "pprof_server" && message["profile"]["test"] == false;
        message["filenames"][0].as_str().filter(|_| is_library).map(str::to_owned)
    });
    let library = library.unwrap_or_else(|| panic!("cargo does not tell of the library: {told}"));

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "-C", "debuginfo=limited", "-C"])
        .arg(if is_debug { "opt-level=0" } else { "opt-level=3" })
        .args(flags)
        .arg(format!("--extern=pprof_server={library}"))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("-o")
        .arg(&file)
        // As cargo does it for members of a workspace.
        .current_dir(workspace)
        .arg(source(program).strip_prefix(workspace).unwrap())
        .output()
        .expect("rustc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/programs/{program}.rs"))
}

fn rows(top: &str) -> impl Iterator<Item = &str> {
    top.lines().skip_while(|line| !line.contains("flat%")).skip(1)
}

fn first_row(top: &str) -> &str {
    rows(top).next().unwrap_or_default()
}

/// Functions, files and lines of the leak, inlined ones too, are in the profile, which is returned.
fn assert_leak_is_named(program: &Program) -> Vec<u8> {
    let profile = get(program.address, "/debug/pprof/heap").body;
    check_valid(&profile);
    scraper_rules(&profile);
    let line_of = |code: &str| {
        let source = include_str!("programs/leak.rs");
        source.lines().position(|line| line.trim() == code).unwrap() + 1
    };
    let (inlined, leak) = ("vec![1; 5 << 20]", "black_box(inlined())");
    let place_of = |code| format!("{}:{}", source("leak").display(), line_of(code));
    let top = go_tool_pprof(&["-top", "-lines", "-unit=mb", "-nodefraction=0"], &profile);
    assert!(first_row(&top).ends_with(&format!(" leak::inlined {} (inline)", place_of(inlined))), "{top}");
    let caller = format!(" leak::leak {}", place_of(leak));
    assert!(rows(&top).any(|row| row.ends_with(&caller) && row.contains(" 5MB ")), "{top}");

    let list = go_tool_pprof(&["-list=^leak::(inlined|leak)$", "-unit=mb"], &profile);
    for (flat, code) in [("5MB", inlined), (".", leak)] {
        // The columns are flat, cumulative, the line's number and the line.
        let expected = format!("{flat} 5MB {}: {code}", line_of(code));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(list.lines().any(|line| words(line) == expected), "{expected}: {list}");
    }
    profile
}

#[test]
fn addresses_are_named_later_by_the_whole_file() {
    if env::var_os(IS_CHILD).is_some() {
        return serve_a_leak();
    }
    let test = "addresses_are_named_later_by_the_whole_file";
    let file = strip(test, &[]);
    let program = Program::start(&file.0, &["--exact", test, "--nocapture"]);
    let name = file.0.file_name().unwrap().to_str().unwrap();
    let profile = get(program.address, "/debug/pprof/heap").body;
    check_valid(&profile);
    let decoded = scraper_rules(&profile);
    assert_ne!(decoded.mapping[0].build_id_index, 0, "what tells the whole file");
    // Each address is a row of its own, by the file and the file's own address.
    let top = go_tool_pprof(&["-top"], &profile);
    assert!(first_row(&top).contains(&format!(" {name}+0x")), "{top}");
    let table = get(program.address, "/debug/pprof/heap?format=text&top=1");
    assert!(table.text().contains(&format!("  {name}+0x")), "{}", table.text());

    // Without names, the profile is named by whoever has the whole file.
    let whole = env::current_exe().unwrap();
    let bare = format!("http://{}/debug/pprof/heap?symbolize=none", program.address);
    let top = go_tool_pprof_at(&["-top", "-cum", "-nodefraction=0", whole.to_str().unwrap()], &bare);
    assert!(top.contains("leak_in_other_builds"), "{top}");
    // With nothing but the stripped one, POST finds no names, and that is no error.
    let top = go_tool_pprof_at(&["-top", "-symbolize=remote"], &bare);
    assert!(first_row(&top).contains(&format!("[{name}]")), "{top}");
}

#[test]
fn the_symbol_table_is_enough_for_functions() {
    if env::var_os(IS_CHILD).is_some() {
        return serve_a_leak();
    }
    let test = "the_symbol_table_is_enough_for_functions";
    let file = strip(test, &["--strip-debug"]);
    let program = Program::start(&file.0, &["--exact", test, "--nocapture"]);
    let profile = get(program.address, "/debug/pprof/heap").body;
    scraper_rules(&profile);
    let top = go_tool_pprof(&["-top"], &profile);
    assert!(first_row(&top).ends_with("other_builds::leak_in_other_builds"), "{top}");
    let bare = format!("http://{}/debug/pprof/heap?symbolize=none", program.address);
    let top = go_tool_pprof_at(&["-top", "-cum", "-nodefraction=0", "-symbolize=remote"], &bare);
    assert!(top.contains("other_builds::leak_in_other_builds"), "{top}");
}

#[test]
fn a_statically_linked_program_is_named_in_full() {
    let file = build("static", "leak", &["-C", "target-feature=+crt-static"]);
    let program = Program::start(&file, &[]);
    let maps = fs::read_to_string(format!("/proc/{}/maps", program.child.id())).unwrap();
    assert!(!maps.contains(".so"), "it is not static: {maps}");
    let profile = scraper_rules(&assert_leak_is_named(&program));
    // Position-independent: not where a program of fixed addresses lies.
    let program = &profile.mapping[0];
    assert!(program.memory_start > 1 << 40, "{program:x?}");
    assert_eq!(profile.string_table[program.filename_index as usize], file.to_str().unwrap());
}

/// Programs are linked so with jemalloc under its feature `unprefixed_malloc_on_supported_platforms`.
#[test]
fn a_malloc_that_is_linked_in_is_not_taken_for_glibc_s() {
    let object = ScratchFile(Path::new(env!("CARGO_TARGET_TMPDIR")).join("other_malloc.o"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/other_malloc.c");
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-fno-builtin", "-fPIC", "-c", "-o"]).args([&object.0, &source]);
    assert!(compile.status().expect("there is a C compiler").success());
    let link = format!("-Clink-arg={}", object.0.display());
    for (name, flags, expected) in [("glibc-malloc", &[][..], 3), ("linked-malloc", &[link.as_str()][..], 0)]
    {
        let program = Program::start(&build(name, "mallocs", flags), &[]);
        let metrics = get(program.address, "/metrics?malloc=1");
        let of_glibc = metrics.text().lines().filter(|line| line.starts_with("glibc_malloc_")).count();
        assert_eq!(of_glibc, expected, "{name}: {}", metrics.text());
    }
}

#[test]
fn debug_information_in_a_package_beside_it_is_read() {
    let file = build("packaged", "leak", &["-C", "split-debuginfo=packed"]);
    assert_leak_is_named(&Program::start(&file, &[]));

    // It came from there: a copy without the package does not know what was inlined.
    let alone = ScratchFile(file.with_file_name(format!("unpackaged-{}", std::process::id())));
    assert!(file.with_extension("dwp").exists());
    fs::copy(&file, &alone.0).unwrap();
    let profile = get(Program::start(&alone.0, &[]).address, "/debug/pprof/heap").body;
    let top = go_tool_pprof(&["-top", "-nodefraction=0"], &profile);
    // Optimised, `leak` itself may be among it.
    assert!(first_row(&top).contains(" leak::") && !top.contains("leak::inlined"), "{top}");
}

/// What is leaked by each function of `programs/names.rs` in MiB, with all of its callees. A function that was compiled for
/// several types is one, and two of different types' implementations are two.
const LEAKED: [(&str, u32); 13] = [
    ("names::pool::Pool::fill", 2),
    ("names::pool::Pool<i8>::drain", 1),
    ("names::pool::Pool<i16>::drain", 2),
    ("<names::pool::Pool as names::encode::Encode>::encode", 2),
    ("names::encode::Encode::twice", 2),
    ("<alloc::vec::Vec<u8> as names::encode::Encode>::encode", 1),
    ("<alloc::vec::Vec<alloc::string::String> as names::encode::Encode>::encode", 2),
    ("names::pool::Pool<u8>::elsewhere", 1),
    ("names::generic", 2),
    ("names::deep", 3),
    ("<names::Error as core::convert::From<core::fmt::Error>>::from", 1),
    ("<names::Error as core::convert::From<core::num::error::ParseIntError>>::from", 2),
    ("names::leak (inline)", 22),
];

/// By the compiler's own mangling, and by the one that Rust has from 1.97 on: names are the same, and fit into a row.
#[test]
fn names_are_the_same_by_either_mangling() {
    for (name, flags) in [("names-by-default", &[][..]), ("names-v0", &["-C", "symbol-mangling-version=v0"])]
    {
        // Optimised, functions with the same code become one.
        let file = build(name, "names", &[&["--crate-name=names", "-C", "opt-level=0"], flags].concat());
        let program = Program::start(&file, &[]);
        let profile = get(program.address, "/debug/pprof/heap").body;
        check_valid(&profile);
        let decoded = scraper_rules(&profile);
        let text = |index: i64| &*decoded.string_table[index as usize];
        for function in &decoded.function {
            let (shown, mangled) = (text(function.name_index), text(function.system_name_index));
            assert!(shown.chars().count() <= 120 && mangled.len() <= 1024, "{shown} of {mangled}");
        }
        let top = go_tool_pprof(&["-top", "-cum", "-unit=mb", "-nodefraction=0"], &profile);
        for (function, mib) in LEAKED {
            let row = rows(&top).find(|row| row.ends_with(&format!("%  {function}")));
            let row = row.unwrap_or_else(|| panic!("{name}: no {function} in {top}"));
            assert_eq!(row.split_whitespace().nth(3).unwrap(), format!("{mib}MB"), "{name}: {top}");
        }
        // It has 100 000 characters, and keeps its beginning and its end.
        let deep = rows(&top).find(|row| row.contains("  <names::P<names::P<")).unwrap_or(&top);
        assert!(deep.contains('…') && deep.ends_with(" as names::encode::Encode>::encode"), "{deep}");

        let folded = get(program.address, "/debug/pprof/heap?format=folded");
        let generic = "names::main;names::generic;names::leak 2097152\n";
        assert!(folded.text().contains(generic), "{name}: {}", folded.text());
        // The calls are in one line of the source, so the stacks are the same.
        let table = get(program.address, "/debug/pprof/heap?format=json&top=1000");
        let table: serde_json::Value = serde_json::from_str(table.text()).unwrap();
        let rows = table["rows"].as_array().unwrap();
        let of_generic: Vec<_> =
            rows.iter().filter(|row| row["stack"][1]["function"] == "names::generic").collect();
        assert_eq!(of_generic.len(), 1, "{name}: {table}");
        assert_eq!(of_generic[0]["values"]["inuse_objects"], 2, "{name}: {table}");
    }
}

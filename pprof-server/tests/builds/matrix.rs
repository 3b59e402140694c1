//! A program as linkers, packagers and kernels leave it: the line that leaks is named, or the profile says in a sentence why
//! not. `scripts/check-binaries.py` has many more cells of this matrix.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;
use workspace_tests::client::get;
use workspace_tests::{check_valid, scraper_rules, with_headers_at_the_end};

use super::{Program, build};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// Segments are further apart then, and between them nobody can read.
const PAGES_OF_2_MIB: &str = "link-arg=-Wl,-z,max-page-size=2097152";

/// What a profile shows of the leak.
struct Shown {
    /// Holds the functions of the first row with their lines, innermost first; a line is 0 if unknown.
    first: Vec<(String, i64)>,
    comments: String,
    symbols: String,
}

/// What `program` shows.
fn shown(program: &Program) -> Shown {
    let body = get(program.address, "/debug/pprof/heap").body;
    check_valid(&body);
    let profile = scraper_rules(&body);
    let text = |index: i64| profile.string_table[index as usize].clone();
    let location = profile.sample[0].location_id[0];
    let location = profile.location.iter().find(|other| other.id == location).unwrap();
    let first = location.line.iter().map(|line| {
        let function = profile.function.iter().find(|function| function.id == line.function_id).unwrap();
        (text(function.name_index), line.line)
    });
    let history = get(program.address, "/debug/pprof/history");
    let history: serde_json::Value = serde_json::from_str(history.text()).unwrap();
    Shown {
        first: first.collect(),
        comments: profile.comment_index.iter().map(|&index| text(index) + "\n").collect(),
        symbols: history["symbols"].as_str().unwrap().to_owned(),
    }
}

fn line_of(code: &str) -> i64 {
    let source = include_str!("../programs/leak.rs");
    source.lines().position(|line| line.trim() == code).unwrap() as i64 + 1
}

/// Function and line are right, the inlined one's too.
fn assert_named(cell: &str, program: &Program) {
    let Shown { first, comments, symbols } = shown(program);
    let expected = [("leak::inlined", "vec![1; 5 << 20]"), ("leak::leak", "black_box(inlined())")];
    let expected = expected.map(|(function, code)| (function.to_owned(), line_of(code)));
    assert!(first.starts_with(&expected) || first == expected[..1], "{cell}: {first:?} {symbols} {comments}");
    assert_eq!(symbols, "full", "{cell}");
}

/// No line is wrong, and a comment says why there is none, as does what the page shows.
fn assert_explained(cell: &str, because: &str, program: &Program) {
    let Shown { first, comments, symbols } = shown(program);
    assert!(first.iter().all(|(_, line)| *line == 0), "{cell}: {first:?}");
    assert!(comments.contains(because) && symbols.contains(because), "{cell}: {symbols} {comments}");
}

/// Keeps a folder, and a copy of a program in it.
struct Cell {
    folder: TempDir,
    program: PathBuf,
}

impl Cell {
    fn of(program: &Path) -> Cell {
        Cell::named(program, "leak")
    }

    fn named(program: &Path, name: &str) -> Cell {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let copy = folder.path().join(name);
        fs::copy(program, &copy).unwrap();
        Cell { folder, program: copy }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn objcopy(&self, arguments: &[&str]) -> &Cell {
        let done = Command::new("objcopy").args(arguments).current_dir(self.folder.path()).output();
        let done = done.expect("`objcopy` comes with the linker: install binutils");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        self
    }

    /// Puts its debug information into a file of its own, at `to`.
    fn take_apart(&self, to: &str) {
        fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        self.objcopy(&["--only-keep-debug", "leak", to]).objcopy(&["--strip-all", "leak"]);
        self.objcopy(&[&format!("--add-gnu-debuglink={to}"), "leak"]);
    }

    fn start(&self) -> Program {
        Program::start(&self.program, &[])
    }
}

#[test]
fn a_debug_file_apart_is_found_or_the_profile_says_that_it_is_not() {
    let program = build("matrix-apart", "leak", &["-C", "link-arg=-Wl,--build-id"]);
    let whole = Cell::of(&program);
    for (cell, to) in [("beside", "leak.debug"), ("in .debug", ".debug/leak.debug")] {
        let apart = Cell::of(&program);
        apart.take_apart(to);
        assert_named(cell, &apart.start());
        fs::remove_file(apart.path(to)).unwrap();
        assert_explained(cell, "into a file of its own, leak.debug, which is not there", &apart.start());
        // Something else of that name.
        fs::copy(env::current_exe().unwrap(), apart.path(to)).unwrap();
        assert_explained(cell, "or belongs to another build", &apart.start());
    }
    whole.objcopy(&["--compress-debug-sections=zlib", "leak"]);
    assert_named("compressed", &whole.start());
    let large = fs::File::create(whole.path("large")).unwrap();
    large.set_len(70 << 20).unwrap();
    whole.objcopy(&["--add-section=.debug_macro=large", "leak"]);
    whole.objcopy(&["--compress-debug-sections=zlib", "leak"]);
    assert_explained("large", "inflated, more than the 64 MiB", &whole.start());
    whole.objcopy(&["--strip-debug", "leak"]);
    assert_explained("without debug information", "built without debug information", &whole.start());
    whole.objcopy(&["--strip-all", "leak"]);
    assert_explained("stripped", "stripped of its symbols", &whole.start());
}

#[test]
fn a_program_is_known_however_it_was_started_and_whatever_became_of_its_file() {
    let program = build("matrix-started", "leak", &["-C", PAGES_OF_2_MIB]);
    let plain = Cell::of(&program);
    assert_named("pages of 2 MiB", &plain.start());
    let path = plain.program.to_str().unwrap();
    assert_named("by the loader", &Program::start(LOADER.as_ref(), &[path]));
    for name in ["lea\nk", "lea\\012k", "a leak", "ein undichter Öltank"] {
        assert_named(name, &Cell::named(&program, name).start());
    }
    let mut command = Command::new(&plain.program);
    assert_named("by another name", &Program::start_by(command.arg0("/nowhere/other")));
    for how in ["all", "part", "file"] {
        let mut command = Command::new(&plain.program);
        assert_named(how, &Program::start_by(command.env("LEAK_REMAP", how)));
    }

    let mut command = Command::new(&plain.program);
    let program_with_many = Program::start_by(command.env("LEAK_MAPPINGS", "60000"));
    let maps = fs::read_to_string(format!("/proc/{}/maps", program_with_many.child.id())).unwrap();
    assert!(maps.lines().count() > 60_000, "they are there");
    assert_named("60 000 mappings", &program_with_many);
    let profile = scraper_rules(&get(program_with_many.address, "/debug/pprof/heap").body);
    for mapping in &profile.mapping {
        assert!(profile.location.iter().any(|location| location.mapping_id == mapping.id), "{mapping:?}");
    }
    let text = get(program_with_many.address, "/debug/pprof/heap?debug=1");
    let (_, maps) = text.text().split_once("MAPPED_LIBRARIES:\n").unwrap();
    assert_eq!(maps.lines().count(), profile.mapping.len(), "{maps}");
    drop(program_with_many);

    let running = plain.start();
    let by_loader = Program::start(LOADER.as_ref(), &[path]);
    fs::remove_file(&plain.program).unwrap();
    assert_named("deleted", &running);
    assert_explained("deleted, by the loader", "is gone", &by_loader);
    let other = Cell::of(&program);
    let running = other.start();
    let by_loader = Program::start(LOADER.as_ref(), &[other.program.to_str().unwrap()]);
    fs::copy(env::current_exe().unwrap(), other.path("new")).unwrap();
    fs::rename(other.path("new"), &other.program).unwrap();
    assert_named("replaced", &running);
    assert_explained("replaced, by the loader", "is not what is running", &by_loader);
}

#[test]
fn a_program_is_known_wherever_tools_have_put_its_headers_and_its_build_id() {
    let cell = Cell::of(&build("matrix-headers", "leak", &["-C", "link-arg=-Wl,--build-id"]));
    fs::write(&cell.program, with_headers_at_the_end(&fs::read(&cell.program).unwrap())).unwrap();
    assert_named("headers at the end", &cell.start());
}

#[test]
fn split_debug_information_is_found_or_the_profile_says_that_it_is_not() {
    let program = build("matrix-split", "leak", &["-C", "split-debuginfo=packed"]);
    let package = program.with_extension("dwp");
    let split = Cell::of(&program);
    assert_explained("no package", "(split-debuginfo)", &split.start());
    fs::write(split.path("leak.dwp"), "nothing of that kind").unwrap();
    assert_explained("no package of that kind", "(split-debuginfo)", &split.start());
    fs::copy(&package, split.path("leak.dwp")).unwrap();
    assert_named("packed", &split.start());

    // Of libraries there is some, in an optimised program of the standard one alone.
    let program = build("matrix-none", "leak", &["-C", "debuginfo=0"]);
    assert_explained("none of its own", "built without debug information", &Cell::of(&program).start());

    let program = build("matrix-lines", "leak", &["-C", "debuginfo=line-tables-only"]);
    let Shown { comments, symbols, .. } = shown(&Cell::of(&program).start());
    let because = "built with debug = \"line-tables-only\"";
    assert!(comments.contains(because) && symbols.contains(because), "{symbols} {comments}");
}

//! Go's own opinion on our profiles, by its parser and its viewer, as a developer has them installed.
//!
//! A test that asks Go fails where there is no Go, and says what to do. Skipping would look like passing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Parses `profile` with Go's `profile` package and runs its `CheckValid`.
///
/// Returns what it says of a valid one, such as `valid types=alloc_objects/count,… default= period=524288
/// duration=0 samples=3 … totals=[1 64 1 64]`.
///
/// # Panics
///
/// It panics if the profile is not valid, or if Go is missing.
pub fn check_valid(profile: &[u8]) -> String {
    static CHECKER: OnceLock<PathBuf> = OnceLock::new();
    let file = ScratchFile::new(profile);
    let output = run(Command::new(CHECKER.get_or_init(build_checker)).arg(&file.path));
    let said = text_of(&output);
    assert!(output.status.success(), "Go rejects the profile: {said}");
    said.trim().to_owned()
}

/// Returns what `go tool pprof <arguments> <profile>` prints, standard error first.
///
/// # Panics
///
/// It panics if the command fails, or if Go is missing.
pub fn go_tool_pprof(arguments: &[&str], profile: &[u8]) -> String {
    let file = ScratchFile::new(profile);
    go_tool_pprof_at(arguments, file.path.to_str().expect("our own path is UTF-8"))
}

/// Does as [`go_tool_pprof`] does, with whatever pprof can be pointed at: the path of a profile, or the address that it
/// is served at.
///
/// # Panics
///
/// It panics if the command fails, or if Go is missing.
pub fn go_tool_pprof_at(arguments: &[&str], source: &str) -> String {
    // What pprof fetches it also saves, by default below the home directory.
    let saved = scratch_directory().join(format!("fetched-{}-{}", std::process::id(), next_number()));
    let output = run(Command::new(pprof()).args(arguments).arg(source).env("PPROF_TMPDIR", &saved));
    let _ = fs::remove_dir_all(&saved);
    let said = text_of(&output);
    assert!(output.status.success(), "go tool pprof {arguments:?} {source} failed: {said}");
    said
}

/// Returns the program that `go tool pprof` runs. Go itself takes longer to find it, each time, than it takes to run.
///
/// # Panics
///
/// It panics if Go is missing.
pub fn pprof() -> &'static Path {
    static PPROF: OnceLock<PathBuf> = OnceLock::new();
    PPROF.get_or_init(|| {
        // Newer versions of Go build it on first use, and can tell only then where it is.
        run(Command::new("go").args(["tool", "pprof", "-h"]));
        let found = run(Command::new("go").args(["tool", "-n", "pprof"]));
        PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())
    })
}

/// Builds `tests/go/checkvalid` once for each version of Go and of its source. Test processes may do so at the
/// same time: each builds in a folder of its own, and the last one to finish wins.
fn build_checker() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go/checkvalid");
    let go_version = text_of(&run(Command::new("go").arg("version")));
    let mut hasher = DefaultHasher::new();
    (go_version, fs::read(source.join("main.go")).expect("the checker's source is there")).hash(&mut hasher);
    let checker = scratch_directory().join(format!("checkvalid-{:016x}", hasher.finish()));
    if checker.exists() {
        return checker;
    }
    let goroot = text_of(&run(Command::new("go").args(["env", "GOROOT"])));
    let module = checker.with_extension(std::process::id().to_string());
    let package = Path::new(goroot.trim()).join("src/cmd/vendor/github.com/google/pprof/profile");
    copy_go_files(&source, &module);
    copy_go_files(&package, &module.join("profile"));
    let mut build = Command::new("go");
    build.current_dir(&module).args(["build", "-o", "checkvalid", "."]);
    // Nothing is to be fetched, neither modules nor another toolchain.
    build.env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("GOFLAGS", "");
    let output = run(&mut build);
    assert!(output.status.success(), "cannot build the checker in {module:?}: {}", text_of(&output));
    fs::rename(module.join("checkvalid"), &checker).expect("a file can be renamed within its file system");
    fs::remove_dir_all(&module).expect("our own folder can be removed");
    checker
}

fn copy_go_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target folder is ours");
    let entries = fs::read_dir(from).unwrap_or_else(|error| panic!("cannot read {from:?}: {error}"));
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".go") && !name.ends_with("_test.go") || name == "go.mod" {
            fs::copy(entry.path(), to.join(&*name)).expect("a source file can be copied");
        }
    }
}

/// Runs `command`, which needs Go.
fn run(command: &mut Command) -> Output {
    const REMEDY: &str = "Go is missing: scripts/test.sh installs it.";
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {:?}: {error}. {REMEDY}", command.get_program()));
    // A version manager's stand-in for a program that is not installed exits like a shell.
    assert!(output.status.code() != Some(127), "{} {REMEDY}", text_of(&output));
    output
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Returns a folder within the target directory. The test binary stands in `<target>/<profile>/deps`.
fn scratch_directory() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own path");
    let profile_directory = program.ancestors().nth(2).expect("a test binary stands in `deps`");
    let scratch = profile_directory.join("go-scratch");
    fs::create_dir_all(&scratch).expect("the target directory is ours");
    scratch
}

/// Returns a number that is not given twice in this process.
fn next_number() -> u32 {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

/// A profile that is on disk for as long as it is looked at.
struct ScratchFile {
    path: PathBuf,
}

impl ScratchFile {
    fn new(contents: &[u8]) -> ScratchFile {
        let path = scratch_directory().join(format!("profile-{}-{}", std::process::id(), next_number()));
        fs::write(&path, contents).expect("the target directory is ours");
        ScratchFile { path }
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // If it is left behind, it costs some space in the target directory.
        let _ = fs::remove_file(&self.path);
    }
}

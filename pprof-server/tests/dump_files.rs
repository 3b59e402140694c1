//! Profiles are written to files by themselves: on a signal, at exit, and before memory is full. Where they cannot be, the
//! program goes on, and one line says so.
//!
//! Each case is a process of its own: `tests/programs/grow`.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use workspace_tests::{check_valid, examples, scraper_rules};

/// The longest that a test waits for a file.
const PATIENCE: Duration = Duration::from_secs(60);

fn grow(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = examples::command("grow");
    command.args(arguments).env("PPROF_DUMP", folder).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Output, String) {
    let output = grow(folder, arguments, variables).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

/// The finished files in `folder` whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_there() {
        assert!(started.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The one profile of that cause is valid, and it and the suspects are there whole.
fn check_dump(folder: &Path, cause: &str) -> PathBuf {
    let profiles = files(folder, &format!("-{cause}.heap.pb.gz"));
    assert_eq!(profiles.len(), 1, "{profiles:?} of {cause}");
    let profile = fs::read(&profiles[0]).unwrap();
    check_valid(&profile);
    scraper_rules(&profile);
    let report = fs::read_to_string(profiles[0].to_str().unwrap().replace(".heap.pb.gz", ".txt")).unwrap();
    // The program is a few seconds old.
    assert!(report.starts_with("Too early: ") && report.contains("\nIn use: "), "{report}");
    assert!(files(folder, ".part").is_empty());
    profiles[0].clone()
}

fn send(signal: &str, child: &Child) {
    let kill = Command::new("sh").args(["-c", "kill -$0 $1", signal, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
}

fn wait_until_leaked(child: &mut Child) -> BufReader<std::process::ChildStdout> {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "leaked\n");
    out
}

/// Lets the program go on to its end; what it said on standard error.
fn finish(mut child: Child, mut out: impl Read) -> String {
    drop(child.stdin.take());
    let (mut rest, mut errors) = (String::new(), String::new());
    out.read_to_string(&mut rest).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(child.wait().unwrap().success(), "{errors}");
    assert_eq!(rest, "went on\n");
    errors
}

#[test]
fn a_program_that_ends_leaves_a_profile() {
    for (address, how) in [("127.0.0.1:0", "exit"), ("127.0.0.1:0", "wait"), ("off", "exit")] {
        let folder = tempfile::tempdir().unwrap();
        let variables =
            [("PPROF_DUMP_AT_EXIT", "1"), ("PPROF_ADDR", address), ("ALLOC_PROFILER_INTERVAL", "1")];
        let (output, errors) = run(folder.path(), &["0", "4", how], &variables);
        assert!(output.status.success(), "{errors}");
        let profile = check_dump(folder.path(), "exit");
        let line = format!("the program ends: heap profile written to {}\n", profile.display());
        assert!(errors.ends_with(&line), "{errors}");
        // There was memory for names.
        let report = fs::read_to_string(&files(folder.path(), ".txt")[0]).unwrap();
        assert!(report.contains("grow::leak_here"), "{report}");
    }
}

#[test]
fn a_signal_has_a_profile_each_time_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("PPROF_DUMP_SIGNAL", "USR2"), ("PPROF_QUIET", "1")];
    let mut child = grow(folder.path(), &["0", "4", "wait"], &variables).spawn().unwrap();
    let out = wait_until_leaked(&mut child);
    for count in 1..=3 {
        send("USR2", &child);
        wait_for("profile", || files(folder.path(), "-signal.heap.pb.gz").len() == count);
    }
    assert_eq!(finish(child, out), "");
    for profile in files(folder.path(), "-signal.heap.pb.gz") {
        check_valid(&fs::read(profile).unwrap());
    }
}

/// Nothing is suspected before a leak is half a minute old, so a dump is asked for until then.
#[test]
fn a_dump_says_who_holds_what_grows() {
    const LONGEST: Duration = Duration::from_secs(180);
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("PPROF_DUMP_SIGNAL", "USR2"),
        ("PPROF_RECORD", "1s"),
        ("ALLOC_PROFILER_INTERVAL", "65536"),
        ("PPROF_QUIET", "1"),
    ];
    let mut child = grow(folder.path(), &["1", "1000", "forever"], &variables).spawn().unwrap();
    let started = Instant::now();
    // The newest file is the last one. Its lines are wrapped.
    let report = || {
        let text = fs::read_to_string(files(folder.path(), "-signal.txt").pop()?).unwrap();
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let mut last = String::new();
    // While there are few samples, words that were left behind may hide that most of them are lost. No variable has them.
    while !last.contains("lost: no pointer to them was found") {
        assert!(started.elapsed() < LONGEST, "nobody says who holds what grows: {last}");
        assert!(!last.contains("held by static") && !last.contains("held by thread-local"), "{last}");
        std::thread::sleep(Duration::from_secs(2));
        send("USR2", &child);
        last = report().unwrap_or_default();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let suspect = last.find("grow::leak_here").unwrap_or_else(|| panic!("{last}"));
    // The blocks were given to `Box::leak`, and nobody has their addresses.
    let said = last.find("lost: no pointer to them was found").unwrap_or_else(|| panic!("{last}"));
    assert!(suspect < said, "{last}");
}

#[test]
fn a_handler_of_the_program_stays() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("PPROF_DUMP_SIGNAL", "USR2"), ("PPROF_QUIET", "1")];
    let mut child = grow(folder.path(), &["handler", "0", "1", "wait"], &variables).spawn().unwrap();
    let out = wait_until_leaked(&mut child);
    send("USR2", &child);
    let errors = finish(child, out);
    assert!(
        errors.contains("the program takes that signal itself") && errors.lines().count() == 1,
        "{errors}"
    );
    assert!(files(folder.path(), "").is_empty());
}

#[test]
fn memory_near_its_limit_has_a_profile_at_each_level() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("PPROF_DUMP_LIMIT", "200MiB"), ("PPROF_QUIET", "1")];
    // 200 MiB in 4 s; on a busy machine some levels may be passed between two looks, but not the last one.
    let mut child = grow(folder.path(), &["50", "210", "wait"], &variables).spawn().unwrap();
    let out = wait_until_leaked(&mut child);
    wait_for("profile", || !files(folder.path(), "-95pct.txt").is_empty());
    assert_eq!(finish(child, out), "");
    let profile = check_dump(folder.path(), "95pct");
    let report = fs::read_to_string(profile.to_str().unwrap().replace(".heap.pb.gz", ".txt")).unwrap();
    assert!(report.contains("\ngrowing: "), "{report}");
}

#[test]
fn two_processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("theirs.log"), "theirs").unwrap();
    let variables = [("PPROF_DUMP_AT_EXIT", "1")];
    let children: Vec<Child> =
        (0..2).map(|_| grow(folder.path(), &["0", "2", "exit"], &variables).spawn().unwrap()).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(files(folder.path(), "-exit.heap.pb.gz").len(), 2);
    assert_eq!(fs::read_to_string(folder.path().join("theirs.log")).unwrap(), "theirs");
}

#[test]
fn where_nothing_can_be_written_the_program_goes_on_and_a_line_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let quiet = [("PPROF_DUMP_AT_EXIT", "1"), ("PPROF_QUIET", "1")];
    // Neither is a folder, and of /proc nobody may write to.
    for (path, lines) in [(folder.path().join("none"), 2), (file, 2), (PathBuf::from("/proc"), 1)] {
        let (output, errors) = run(&path, &["0", "1", "exit"], &quiet);
        assert!(output.status.success() && errors.lines().count() == lines, "{errors}");
        let line = format!("cannot write a heap profile to {}: ", path.display());
        assert!(errors.lines().last().unwrap().contains(&line), "{errors}");
    }
    // As on a full disk: what was begun is removed.
    let (output, errors) = run(folder.path(), &["file-limit", "0", "1", "exit"], &quiet);
    assert!(output.status.success() && errors.lines().count() == 1, "{errors}");
    assert!(
        errors.contains("cannot write a heap profile to ") && errors.contains("File too large"),
        "{errors}"
    );
    assert!(files(folder.path(), "").iter().all(|path| path.ends_with("file")));
}

#[test]
fn wrong_settings_are_told_and_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value, line) in [
        ("PPROF_DUMP_SIGNAL", "KILL", "It must be one of USR1, USR2, HUP and QUIT"),
        ("PPROF_DUMP_LIMIT", "1MB", "is no amount of memory such as 512MiB"),
        ("PPROF_DUMP", "", ""),
    ] {
        let (output, errors) =
            run(folder.path(), &["0", "1", "exit"], &[(variable, value), ("PPROF_QUIET", "1")]);
        assert!(output.status.success() && errors.contains(line), "{variable}: {errors}");
        assert!(errors.lines().count() <= 1, "{variable}: {errors}");
        assert!(files(folder.path(), "").is_empty());
    }
    let without_folder = [("PPROF_DUMP", ""), ("PPROF_DUMP_AT_EXIT", "1"), ("PPROF_QUIET", "1")];
    let (output, errors) = run(folder.path(), &["0", "1", "exit"], &without_folder);
    assert!(output.status.success() && errors.contains("PPROF_DUMP names no folder"), "{errors}");
}

/// Runs `before` in a mount namespace of its own, then the program, then `ls -A` of the folder. What the program said, and what
/// was in the folder; `None` if this user may not make such a namespace.
fn run_among_mounts(folder: &Path, before: &str) -> Option<(String, String)> {
    let script = "set -e; mount --make-rprivate /; eval \"$1\"; shift; \"$@\" 2>&1 >/dev/null; echo --; ls -A \"$PPROF_DUMP\"";
    let variables = [("PPROF_DUMP_AT_EXIT", "1"), ("PPROF_QUIET", "1")];
    let grow = grow(folder, &["0", "1", "exit"], &variables);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", before]).arg(grow.get_program()).args(grow.get_args());
    for (name, value) in grow.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: no mount namespace may be made here");
        return None;
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (errors, files) = said.split_once("--\n").unwrap();
    Some((errors.to_owned(), files.to_owned()))
}

#[test]
fn on_a_full_disk_and_below_a_root_that_is_read_only_the_program_goes_on_and_a_line_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let full =
        format!("mount -t tmpfs -o size=64k none {path}; cat /dev/zero >{path}/theirs 2>/dev/null || true");
    let read_only = "mount --bind / /; cd /; mount -o remount,bind,ro /";
    // Of a folder that is a mount of its own, a read-only root says nothing.
    let read_only = format!("mount --bind {path} {path}; mount -o remount,bind,ro {path}; {read_only}");
    for (before, reason, left) in
        [(full, "No space left on device", "theirs\n"), (read_only, "Read-only file system", "")]
    {
        let Some((errors, files)) = run_among_mounts(folder.path(), &before) else { return };
        let line = format!("cannot write a heap profile to {path}: {reason}");
        assert!(errors.contains(&line) && errors.lines().count() == 1, "{before}: {errors}");
        // Nothing is left of what was begun.
        assert_eq!(files, left, "{before}");
    }
}

//! A server in its host's life: wherever it is started, however that fails, whatever becomes of the process.
//!
//! Each row is a process of its own: `tests/programs/life`, whose arguments say what it does. It ends well, says `went on`
//! on standard output, and on standard error nothing that is not listed here.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use workspace_tests::examples;

/// Makes a command of the program with some arguments. It passes on nothing of the environment that the program would read.
fn life(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = examples::command("life");
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    life(arguments, variables).output().unwrap()
}

/// What it says on standard error, if it ends well.
fn errors_of(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(arguments, variables);
    let [out, errors] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(
        output.status.success() && out.ends_with("went on\n"),
        "{arguments:?}: {}\n{out}{errors}",
        output.status
    );
    errors
}

const ANY_PORT: (&str, &str) = ("PPROF_ADDR", "127.0.0.1:0");

const PLACES: [&str; 17] = [
    "main",
    "twice",
    "multi",
    "task",
    "current",
    "local",
    "handle",
    "blocking",
    "actix",
    "smol",
    "async-std",
    "static",
    "drop",
    "unwinding",
    "thread-local",
    "exit",
    "fork",
];

/// What is refused, the environment, and what the one line says. Where that is empty, there may be none: memory that a thread
/// had before serves the next one. `-`: there is none.
type Failure<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str);

fn failures<'a>(taken: &'a str, [roots, nobodys]: [&'a str; 2], taken_socket: &'a str) -> Vec<Failure<'a>> {
    let at = |address| vec![("PPROF_ADDR", address)];
    vec![
        ("nothing", vec![ANY_PORT], "profiles at http://127.0.0.1:"),
        ("nothing", at(taken), "in use"),
        ("nothing", at(taken_socket), "in use"),
        ("nothing", at("0.0.0.0:6060"), "refused to serve on 0.0.0.0:6060"),
        ("nothing", at("banana"), "cannot serve on banana"),
        ("nothing", at("192.0.2.1:6060"), "refused to serve on 192.0.2.1:6060"),
        ("nothing", at("unix:/proc/pprof.sock"), "cannot listen on unix:/proc/pprof.sock"),
        ("nothing", at("unix:/dev/null/pprof.sock"), "cannot listen on unix:/dev/null/pprof.sock"),
        ("nothing", at("unix:"), "cannot listen on unix:"),
        ("nothing", vec![ANY_PORT, ("PPROF_TOKEN", "short")], "refused the token"),
        (
            "nothing",
            vec![ANY_PORT, ("PPROF_RECORD", "x"), ("PPROF_QUIET", "1")],
            "PPROF_RECORD=\"x\" is not a time",
        ),
        (
            "nothing",
            vec![ANY_PORT, ("ALLOC_PROFILER_INTERVAL", "x"), ("PPROF_QUIET", "1")],
            "ALLOC_PROFILER_INTERVAL=\"x\" is not a number of bytes",
        ),
        ("nothing", vec![ANY_PORT, ("PPROF_ALLOW_REMOTE", "x"), ("PPROF_CMDLINE", "x")], "profiles at"),
        ("threads", vec![ANY_PORT], "cannot start the server's thread"),
        ("descriptors:0", vec![ANY_PORT], "Too many open files"),
        ("descriptors:1", vec![ANY_PORT], "Too many open files"),
        ("descriptors:2", vec![ANY_PORT], "Too many open files"),
        ("descriptors:4", vec![ANY_PORT], "Too many open files"),
        ("descriptors:6", vec![ANY_PORT], "Too many open files"),
        ("memory:1", vec![ANY_PORT, ("PPROF_QUIET", "1")], ""),
        ("memory:3", vec![ANY_PORT, ("PPROF_QUIET", "1")], ""),
        ("memory:5", vec![ANY_PORT, ("PPROF_QUIET", "1")], ""),
        ("umask:511", at(roots), "profiles at unix:"),
        // Says of the program's file that it cannot read it, but for this.
        ("umask-of-nobody", [at(nobodys), vec![("PPROF_QUIET", "1")]].concat(), "-"),
    ]
}

/// A cell is a process. Two at a time, as many as there are processors in CI.
#[test]
fn no_failure_anywhere_ends_the_program_or_says_more_than_a_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let path = |name: &str| format!("unix:{}/{name}", folder.path().display());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("taken.sock")).unwrap();
    let taken_socket = path("taken.sock");
    let places: Vec<&str> = PLACES.into_iter().chain(["fork-of-server"]).collect();
    // Each its own: what root leaves behind, nobody may not replace.
    let sockets: Vec<[String; 2]> =
        places.iter().map(|place| [path(place), path(&format!("{place}-nobody"))]).collect();
    let mut cells = Vec::new();
    for (place, [roots, nobodys]) in places.iter().zip(&sockets) {
        let failures = failures(&taken, [roots, nobodys], &taken_socket).into_iter();
        // Only root can become nobody.
        let can_be = |(failure, ..): &Failure<'_>| is_root || *failure != "umask-of-nobody";
        cells.extend(failures.filter(can_be).map(|failure| (*place, failure)));
    }
    let wrong = Mutex::new(String::new());
    let cells = Mutex::new(cells.into_iter());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((place, (failure, variables, line))) = cells.lock().unwrap().next() else {
                        return;
                    };
                    let output = run(&["start", place, failure], &variables);
                    let errors = String::from_utf8_lossy(&output.stderr);
                    let lines = errors.lines().count();
                    let is_one_line = match line {
                        "" => lines <= 1,
                        "-" => lines == 0,
                        line => lines == 1 && errors.contains(line),
                    };
                    if !(output.status.success() && output.stdout == b"went on\n" && is_one_line) {
                        let cell = format!("{place}, {failure} {variables:?}: {}\n{errors}\n", output.status);
                        wrong.lock().unwrap().push_str(&cell);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn signals_are_taken_by_the_program_alone() {
    for how in ["signalfd", "sigwait", "handlers", "tokio"] {
        let errors = errors_of(&["signals", how], &[ANY_PORT]);
        assert_eq!(errors.lines().count(), 1, "{how}: {errors}");
    }
    // As a service manager sends them.
    for signal in ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"] {
        let mut child = life(&["signals", "wait"], &[ANY_PORT]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        next_line_is(&mut lines, "waiting");
        let kill = Command::new("sh").args(["-c", "kill -$0 $1", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("went on\n"), "{signal}: {rest}");
        assert!(child.wait().unwrap().success());
    }
}

fn next_line_is(lines: &mut BufReader<ChildStdout>, expected: &str) {
    assert_eq!(next_line(lines), expected);
}

fn next_line(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn children_of_fork_have_no_server_until_they_start_one() {
    for how in ["workers", "mounted", "busy"] {
        let errors = errors_of(&["fork", how], &[ANY_PORT]);
        assert!(errors.lines().count() <= 1, "{how}: {errors}");
    }
    // By the time that it has ended twice, its port is free again.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let errors = errors_of(&["fork", "daemon"], &[("PPROF_ADDR", &free)]);
    let line = format!("pprof-server: profiles at http://{free}/debug/pprof/\n");
    assert_eq!(errors, line.repeat(2));
}

/// Where tokio's own sockets for signals are closed with ours, its panic stays on our thread. (What takes the place of descriptors
/// of ours where there are no such sockets, is a matter of `one_line_in_a_fresh_crate`.)
#[test]
fn a_program_that_closes_what_tokio_keeps_for_signals_goes_on() {
    let errors = errors_of(&["close"], &[ANY_PORT]);
    let ours: Vec<&str> = errors.lines().filter(|line| line.starts_with("pprof-server: ")).collect();
    assert_eq!(ours.len(), 3, "{errors}");
    for (line, start) in ours.iter().zip([
        "pprof-server: profiles at http://127.0.0.1:",
        "pprof-server: no more heap profiles are served on 127.0.0.1:",
        "pprof-server: no heap profiles will be served (from PPROF_ADDR): ",
    ]) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn an_address_in_use_is_tried_again_until_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pprof.sock");
    let socket = format!("unix:{}", path.display());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().to_string();
    let unix_listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let waiting = [&port, &socket].map(|address| {
        let mut child = life(&["wait"], &[("PPROF_ADDR", address)]).stdin(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        assert_eq!(next_line(&mut out), "None");
        let why = next_line(&mut errors);
        assert!(why.contains("in use") && why.contains("trying again in the background"), "{why}");
        (child, out, errors)
    });
    // Meanwhile the program tries in vain, at least once.
    thread::sleep(Duration::from_millis(1500));
    drop((listener, unix_listener));
    for (address, (mut child, mut out, mut errors)) in [&port, &socket].into_iter().zip(waiting) {
        assert!(next_line(&mut errors).starts_with("pprof-server: profiles at "));
        drop(child.stdin.take());
        let told = next_line(&mut out);
        assert_eq!(told == "None", address.starts_with("unix:"), "{told}");
        assert!(child.wait().unwrap().success());
    }
}

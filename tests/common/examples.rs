//! The examples of the package under test, as programs of their own.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Returns the path of an example, which lies beside the folder of the tests' own programs.
///
/// # Panics
///
/// It panics if the example has not been built.
#[must_use]
pub fn path_of(example: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let path = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(example);
    assert!(
        path.exists(),
        "{} is missing: `cargo test` of the whole package, without --test, builds the examples first",
        path.display()
    );
    path
}

/// Makes a command that runs an example. It passes on nothing of the environment that the profiler would read.
#[must_use]
pub fn command(example: &str) -> Command {
    let mut command = crate::program(path_of(example));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PPROF_") || name == "ALLOC_PROFILER_INTERVAL" {
            command.env_remove(name);
        }
    }
    command
}

/// Starts a program with pipes at its standard input, output and error, and returns it with its first line on standard output.
///
/// # Panics
///
/// It panics if the program cannot be started.
pub fn started(command: &mut Command) -> (Child, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let line = first_line(&mut child);
    (child, line)
}

/// Waits for the first line on the standard output of `child`, and returns it without its end. What comes later is not read.
///
/// # Panics
///
/// It panics if the output is no pipe, or was taken already.
pub fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Reads the address in `http://ADDRESS/debug/pprof/`.
///
/// # Panics
///
/// It panics if there is none.
#[must_use]
pub fn address_in(url: &str) -> SocketAddr {
    let address = url.trim_start_matches("http://").trim_end_matches("/debug/pprof/");
    address.parse().unwrap_or_else(|error| panic!("{error}: {url:?}"))
}

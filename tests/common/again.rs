//! Programs that are started from tests, this one among them.
//!
//! Where programs are those of another machine, the kernel cannot start them by itself. Then `TEST_RUNNER` says what can: a
//! program, and arguments that come before the path, separated by spaces, such as `qemu-aarch64-static -L /opt/arm64`.
//! `scripts/platforms.sh` sets it.

use std::ffi::OsStr;
use std::process::Command;

/// Returns what starts this program another time.
///
/// # Panics
///
/// It panics where the system does not tell the path of the program.
#[must_use]
pub fn this_program() -> Command {
    program(std::env::current_exe().expect("a test knows its own path"))
}

/// Returns what starts the program at `path`, which was built as this one was.
#[must_use]
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let runner = std::env::var("TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(first) = words.next() else { return Command::new(path) };
    let mut command = Command::new(first);
    command.args(words).arg(path);
    command
}

/// Returns the compiler of C for the machine that this program was built for: what `TEST_CC` names, or `cc`, which Rust links
/// with.
#[must_use]
pub fn c_compiler() -> Command {
    Command::new(std::env::var_os("TEST_CC").unwrap_or("cc".into()))
}

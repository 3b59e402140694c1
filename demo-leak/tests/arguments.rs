//! What the binary says to a wrong command line, or to an address that is taken.

use std::net::TcpListener;
use std::process::Output;

fn demo_leak(arguments: &[&str]) -> Output {
    workspace_tests::program(env!("CARGO_BIN_EXE_demo-leak"))
        .args(arguments)
        .env("PPROF_ADDR", "127.0.0.1:0")
        .output()
        .expect("the binary has been built")
}

/// The run must fail with `code`, print nothing to standard output, and say all of `parts`.
fn assert_refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = demo_leak(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed {:?}", output.stdout);
    for part in parts {
        assert!(stderr.contains(part), "{arguments:?}: no {part:?} in {stderr}");
    }
}

#[test]
fn wrong_arguments_are_named_with_what_would_be_right() {
    assert_refused(&["hutn"], 2, &["\"hutn\"", "'hunt'", "--help"]);
    assert_refused(&["--fix"], 2, &["--fix", "--help"]);
    assert_refused(&["--listen"], 2, &["--listen"]);
    assert_refused(&["--listen", "8080"], 2, &["\"8080\"", "127.0.0.1:8080"]);
    assert_refused(&["--connections-per-second", "1e9"], 2, &["\"1e9\"", "from 0 to 400"]);
    assert_refused(&["--load-seconds=-1"], 2, &["--load-seconds", "\"-1\"", "from 0"]);
    assert_refused(&["hunt", "--connections-per-second", "0"], 2, &["from 1 to 400"]);
}

#[test]
fn help_names_every_option() {
    let output = demo_leak(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout);
    for option in [
        "hunt",
        "--fixed",
        "--listen",
        "--connections-per-second",
        "--idle-seconds",
        "--load-seconds",
        "--help",
    ] {
        assert!(help.contains(option), "no {option} in {help}");
    }
}

#[test]
fn an_address_in_use_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_refused(&["--listen", &address], 1, &[&address, "--listen 127.0.0.1:0"]);
    assert_refused(&["hunt", "--listen", &address], 1, &[&address, "--listen 127.0.0.1:0"]);
}

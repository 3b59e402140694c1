//! A program as `cargo build --release` makes it, unless Cargo.toml says otherwise: without debug information, so that a
//! handler that was inlined is in no profile. Every output says so, with what to do about it.

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{ChildStderr, Command};

use workspace_tests::client::get;
use workspace_tests::{examples, go_tool_pprof};

use super::{Program, build};

/// Starts `file`, as a service that the default interval is too coarse for; what it says on standard error comes with it.
fn start_service(file: &Path, quiet: Option<&str>) -> (Program, BufReader<ChildStderr>) {
    let mut command = Command::new(file);
    command.env_remove("PPROF_ADDR").env_remove("PPROF_QUIET").env("ALLOC_PROFILER_INTERVAL", "4096");
    let (mut child, line) = examples::started(command.envs(quiet.map(|value| ("PPROF_QUIET", value))));
    let address = line.strip_prefix("served at ").and_then(|address| address.parse().ok());
    let errors = BufReader::new(child.stderr.take().unwrap());
    (Program { child, address: address.expect("an address") }, errors)
}

/// What the program said until its end.
pub(super) fn all_of(program: Program, mut errors: BufReader<ChildStderr>) -> String {
    drop(program);
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    said
}

/// Whether the handler has a row or a frame of its own. By `v0`, its name is also in that of its implementation of the trait:
/// `<service::hit as service::Handler>::call`.
fn has_handler(text: &str) -> bool {
    text.replace("<service::hit as ", "").contains("service::hit")
}

/// The words of an output, however it breaks its lines. In JSON, quotes are escaped.
fn words(text: &str) -> String {
    text.replace("\\\"", "\"").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every output in which there are names, but for the folded stacks, which have no place for words.
const OUTPUTS: [&str; 7] = [
    "heap?debug=1",
    "heap?format=text",
    "heap?format=text&symbolize=names",
    "heap?format=json",
    "allocs?format=text",
    "leaks",
    "leaks?format=json",
];

#[test]
fn a_default_release_build_says_what_it_lacks_wherever_it_is_seen() {
    // What cargo gives to rustc for `cargo build --release`, unless Cargo.toml says otherwise.
    let file = build("default-release", "service", &["-Copt-level=3", "-Cdebuginfo=0", "-Cstrip=debuginfo"]);
    let (program, errors) = start_service(&file, None);
    let answer = |target: &str| get(program.address, &format!("/debug/pprof/{target}")).text().to_owned();
    let remedy = "[profile.release] and debug = \"limited\"";
    for target in OUTPUTS {
        let text = words(&answer(target));
        // It is too early for suspects, so only a note is in the report on them.
        let has_caller = target.starts_with("leaks") || text.contains("service::Handler>::call");
        assert!(text.contains(remedy) && has_caller, "{target}: {text}");
        assert!(!has_handler(&text), "{target}: it is not inlined, and proves nothing: {text}");
    }
    let text = words(&answer("heap?format=text"));
    let share = "This concerns 100.0 % of what is in use (";
    assert!(text.contains(share), "{text}");
    let top = go_tool_pprof(&["-top"], &get(program.address, "/debug/pprof/heap").body);
    assert!(top.contains(remedy) && top.contains(share), "{top}");
    let history: serde_json::Value = serde_json::from_str(&answer("history")).unwrap();
    assert!(history["symbols"].as_str().unwrap().contains(remedy), "{history}");
    let metrics = answer("metrics");
    assert!(metrics.contains("\npprof_loss_ratio{reason=\"symbols\"} 1.0\n"), "{metrics}");
    // Addresses that were not to be named lack nothing.
    assert!(!answer("heap?format=text&symbolize=none").contains(remedy));

    let said = all_of(program, errors);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 2 && lines[1].contains(remedy) && lines[1].contains("PPROF_QUIET=1"), "{said}");
    let (program, errors) = start_service(&file, Some("1"));
    assert_eq!(all_of(program, errors), "");
}

#[test]
fn with_the_two_lines_the_inlined_handler_is_there_and_nothing_is_said() {
    let file = build("release-with-lines", "service", &["-Copt-level=3", "-Cdebuginfo=limited"]);
    let (program, errors) = start_service(&file, None);
    for target in OUTPUTS.iter().filter(|target| !target.starts_with("leaks")) {
        let answer = get(program.address, &format!("/debug/pprof/{target}"));
        let text = answer.text();
        assert!(has_handler(text) && !text.contains("Cargo.toml"), "{target}: {text}");
    }
    let metrics = get(program.address, "/metrics");
    assert!(!metrics.text().contains("pprof_loss_ratio"), "{}", metrics.text());
    assert_eq!(all_of(program, errors).lines().count(), 1, "where the page is");
}

#[test]
fn debug_information_of_other_crates_alone_is_not_taken_for_the_programs() {
    // The libraries that this is linked with have some, as with [profile.release.package."*"]; and the standard library.
    let file = build("release-unstripped", "service", &["-Copt-level=3", "-Cdebuginfo=0", "-Cstrip=none"]);
    let (program, errors) = start_service(&file, None);
    let is_told = |text: &str| {
        let text = words(text);
        text.contains("parts of the program were built without debug information")
            && text.contains("[profile.release]")
            && text.contains("debug = \"limited\"")
    };
    // It is known from the start, and not only when a profile lacks a line.
    let history = get(program.address, "/debug/pprof/history").text().to_owned();
    assert!(is_told(&history), "{history}");
    for target in OUTPUTS {
        let text = words(get(program.address, &format!("/debug/pprof/{target}")).text());
        assert!(is_told(&text), "{target}: {text}");
        assert!(text.contains("100.0 % of what is in use ("), "{target}: {text}");
    }
    let said = all_of(program, errors);
    assert!(said.lines().count() == 2 && is_told(&said), "{said}");
}

//! `demo-leak hunt` finds the leak, says where it is and how big, and finds nothing once it is fixed.

use std::process::Output;

/// What a reader's window holds: 2048 samples of 24 bytes.
const WINDOW_BYTES: f64 = 2048.0 * 24.0;

fn hunt(arguments: &[&str]) -> (Output, String) {
    let output = workspace_tests::program(env!("CARGO_BIN_EXE_demo-leak"))
        .arg("hunt")
        .args(arguments)
        .env("PPROF_ADDR", "127.0.0.1:0")
        .env_remove("ALLOC_PROFILER_INTERVAL")
        .output()
        .expect("the binary has been built");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, stdout)
}

/// Returns the number that stands in `text` after `label`.
fn number_after(text: &str, label: &str) -> f64 {
    let rest = text.split(label).nth(1).unwrap_or_else(|| panic!("no {label:?} in {text}"));
    let word = rest.split_whitespace().next().unwrap_or_else(|| panic!("nothing after {label:?} in {text}"));
    word.parse().unwrap_or_else(|_| panic!("{word:?} after {label:?} is no number in {text}"))
}

#[test]
fn the_leak_is_found_at_its_line_and_its_size() {
    let (output, stdout) = hunt(&[]);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));

    let leaking_line = include_str!("../src/reader.rs")
        .lines()
        .position(|line| line.contains("let window = vec!["))
        .unwrap()
        + 1;
    let verdict = stdout.lines().find(|line| line.starts_with("leak: ~")).expect("a verdict");
    assert!(verdict.contains("demo_leak::reader::Reader"), "{verdict}");
    assert!(verdict.contains(&format!("(demo-leak/src/reader.rs:{leaking_line})")), "{verdict}");

    let waiting = stdout.split("where the tasks wait that it spawned: ").nth(1).expect("tasks that wait");
    let waiting_count = waiting.split(" tasks").next().unwrap();
    let waiting_line = include_str!("../src/reader.rs")
        .lines()
        .position(|line| line.contains("ticks.recv().await"))
        .unwrap()
        + 1;
    assert!(
        waiting.contains(&format!(
            "demo_leak::reader::Reader::sample_for_ever (demo-leak/src/reader.rs:{waiting_line})"
        )),
        "{stdout}"
    );

    // At a load of some seconds a part of the tasks is older than 5 s, and what was left behind hides some more.
    assert!(stdout.contains("nobody can wake ~") || stdout.contains("younger than 5 s"), "{stdout}");
    let line = |start| stdout.lines().find(|line| line.starts_with(start)).unwrap();
    let total = |start| number_after(line(start), "open, ");
    let clients = total("idle again:") - total("idle:");
    let truth_mib = clients * WINDOW_BYTES / 1048576.0;
    let estimate_mib = number_after(verdict, "leak: ~");
    // At one sample in 16 KiB, a window is sampled with a probability of 0.95, so that the variance of the estimate is 0.0523
    // windows for each. The test allows 6 standard errors, so that chance never makes it fail.
    let standard_error_mib = (truth_mib * 0.0523 * WINDOW_BYTES / 1048576.0).sqrt();
    assert!(
        (estimate_mib - truth_mib).abs() < 6.0 * standard_error_mib,
        "{estimate_mib} MiB estimated, {truth_mib} MiB leaked by {clients} clients"
    );
    // A task has at least 300 bytes, so that one in 55 is sampled at least.
    let (tasks_found, all_clients) = (number_after(waiting_count, "~"), total("idle again:"));
    assert!(
        (tasks_found - all_clients).abs() < 6.0 * (all_clients * 55.0).sqrt(),
        "{tasks_found} tasks estimated, {all_clients} left behind"
    );
    // Each client leaves one task behind. The runtime counts them, so this is exact.
    let tasks = |start| number_after(line(start), "tasks ");
    assert_eq!(tasks("idle again:") - tasks("idle:"), clients, "{stdout}");
}

#[test]
fn nothing_is_found_once_it_is_fixed() {
    let (output, stdout) = hunt(&["--fixed"]);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        stdout.lines().any(|line| line == "no leak: nothing grows, and no task of the reader is left"),
        "{stdout}"
    );
    assert!(!stdout.contains("leak: ~"), "{stdout}");
}

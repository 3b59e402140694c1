//! The corpus, built as this test is, says of all its tasks where they wait. `check.py` compares that with what the source marks;
//! `scripts/check-tasks.sh` does so for other builds. Another program knows which of its tasks are leaked.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

use std::process::Command;

#[test]
fn all_tasks_wait_where_the_source_says() {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/check.py");
    let output = Command::new("python3").args([check, env!("CARGO_BIN_EXE_tasks-corpus")]).output().unwrap();
    let [told, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{told}\n{errors}");
    println!("{told}");
}

/// No task that somebody can wake is called leaked, and nearly all kinds of leaked tasks are found.
#[test]
fn tasks_that_nobody_can_wake_are_found_and_no_others() {
    let output = Command::new(env!("CARGO_BIN_EXE_leaks")).arg("5").output().unwrap();
    let [told, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{told}\n{errors}");
    println!("{told}");
}

/// Services whose clients are silent have none, whether all tasks are looked at or some.
#[test]
fn no_task_of_an_idle_service_is_called_leaked() {
    for (connections, interval) in [("200", "1"), ("1000", "524288")] {
        let output = Command::new(env!("CARGO_BIN_EXE_idle")).args([connections, interval]).output().unwrap();
        let [told, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{told}\n{errors}");
        println!("{told}");
    }
}

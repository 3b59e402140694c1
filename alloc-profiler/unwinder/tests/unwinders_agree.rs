//! Our unwinder, the platform's and framehop find the same call chains, however the program is built: as tests are, and
//! small, in one piece and without unwinding, by thin LTO, or with frame pointers, which then tell the same.

mod stacks;

use std::path::Path;
use std::process::Command;

#[test]
fn in_this_build() {
    assert!(stacks::compare_all() > 10_000);
}

/// Fat LTO, `opt-level = "s"`, `panic = "abort"`, and no debug information: functions are merged and folded into
/// each other, and what is left of unwind tables is all there is.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "the debug tests run the same program")]
fn in_a_small_program() {
    in_a_program_of("small", &[]);
}

/// Thin LTO inlines functions from other crates, piece by piece.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "the debug tests run the same program")]
fn in_a_thin_program() {
    in_a_program_of("thin", &[]);
}

/// Frame pointers in every function of the program, the standard library's too, which comes with them.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "the debug tests run the same program")]
fn in_a_program_with_frame_pointers() {
    let flags = [("RUSTFLAGS", "-C force-frame-pointers=yes"), ("STACKS_HAVE_FRAME_POINTERS", "")];
    in_a_program_of("release", &flags);
}

fn in_a_program_of(profile: &str, variables: &[(&str, &str)]) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-profiles");
    let cargo = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--profile", profile, "--package", "unwinder"])
        .args(["--example", "compare_stacks"])
        .arg("--target-dir")
        .arg(target)
        // Names do not matter here, so the program is built once, however the tests are.
        .env_remove("RUSTFLAGS")
        .envs(variables.iter().copied())
        .output()
        .expect("cargo starts");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let compared: usize = String::from_utf8_lossy(&cargo.stdout).trim().parse().expect("a number");
    assert!(compared > 10_000);
}

//! Decides where there is a capture machine, in the one place that names targets.
//!
//! `by_signals`: Linux on x86-64 with glibc, where the unwinder may be called by a signal handler. Elsewhere every capture is
//! refused with a text that says so. `--cfg elsewhere` has a build on Linux do what other platforms do.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is =
        |name: &str, value: &str| env::var(format!("CARGO_CFG_{name}")).is_ok_and(|found| found == value);
    let is_elsewhere = env::var_os("CARGO_CFG_ELSEWHERE").is_some();
    if is("TARGET_OS", "linux") && is("TARGET_ENV", "gnu") && is("TARGET_ARCH", "x86_64") && !is_elsewhere {
        println!("cargo::rustc-cfg=by_signals");
    }
}

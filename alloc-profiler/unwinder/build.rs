//! Decides by which unwinder this target takes its stacks, in the one place that names targets.
//!
//! - `by_tables`: ours, which reads unwind tables. It exists for Linux on x86-64 and aarch64 with glibc or musl; `musl` says that it
//!   is with musl.
//! - `by_platform`: the platform's unwinder does it, through the `backtrace` crate. It exists on Unix, except with
//!   musl, whose unwinder takes the loader's lock, and on Windows in 64 bits. (In 32 bits `backtrace` walks by a library that two threads
//!   may not call at once.) Beside ours, with glibc, it serves until ours is prepared, and where ours cannot be.
//!
//! Without either, every walk is empty.
//! `--cfg elsewhere` has a build on Linux do what other platforms do, and `--cfg elsewhere="musl"` what musl
//! does where ours does not exist.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is =
        |name: &str, value: &str| env::var(format!("CARGO_CFG_{name}")).is_ok_and(|found| found == value);
    let is_elsewhere = env::var_os("CARGO_CFG_ELSEWHERE").is_some();
    let is_musl =
        is("TARGET_ENV", "musl") || env::var("CARGO_CFG_ELSEWHERE").is_ok_and(|names| names.contains("musl"));
    let is_known_c_library = is("TARGET_ENV", "gnu") || is("TARGET_ENV", "musl");
    // What runs in 32-bit mode, or with the other order of bytes, differs in more than its registers.
    let is_known_processor = (is("TARGET_ARCH", "x86_64") || is("TARGET_ARCH", "aarch64"))
        && is("TARGET_POINTER_WIDTH", "64")
        && is("TARGET_ENDIAN", "little");
    if is("TARGET_OS", "linux") && is_known_processor && is_known_c_library && !is_elsewhere {
        println!("cargo::rustc-cfg=by_tables");
        if is_musl {
            println!("cargo::rustc-cfg=musl");
        }
    }
    let is_windows = env::var_os("CARGO_CFG_WINDOWS").is_some() && is("TARGET_POINTER_WIDTH", "64");
    let is_unix = env::var_os("CARGO_CFG_UNIX").is_some() && !is_musl;
    if is_unix || is_windows && !is("TARGET_VENDOR", "uwp") {
        println!("cargo::rustc-cfg=by_platform");
    }
}

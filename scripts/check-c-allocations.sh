#!/usr/bin/env bash
# Links a program that has `define_malloc!` in every way that is common, and demands that C's allocations are counted; runs the test suites
# of crates with large C parts (SQLite, libgit2, zstd) with and without it, in which the same tests must pass; and fills a database
# in memory, beside which it prints what is in use, what the allocator holds, and what is resident. Cargo fetches the sources, and the
# command `zstd` must be there. Results are in target/c-allocations. It runs on Linux on x86-64 with glibc; elsewhere it says so and passes.
# The suites take some minutes.
# Usage: scripts/check-c-allocations.sh [links] [suites] [resident]; without any, all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ $(uname -sm) == "Linux x86_64" ]] || { echo "check-c-allocations: skipped, not Linux on x86-64"; exit 0; }
parts=("$@")
((${#parts[@]})) || parts=(links suites resident)
root=$PWD work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/c-allocations triple=x86_64-unknown-linux-gnu
mkdir -p "$work"

links() {
  local profile linker
  expect() { # NAME EXPECTED PROGRAM…
    local said; said=$("${@:3}")
    [[ $said == "$2" ]] || { echo "check-c-allocations: $1: $said, and not $2" >&2; exit 1; }
    echo "$1: $said"
  }
  link() { # PROFILE FOLDER FLAGS…
    RUSTFLAGS="${*:3}" cargo build -q -p alloc-profiler --example counts_c --profile "$1" --target $triple --target-dir "$work/$2"
    program=$work/$2/$triple/${1/#dev/debug}/examples/counts_c
  }
  for profile in dev release thin fat small; do
    link $profile links
    expect "$profile" Counted "$program"
  done
  for linker in lld bfd gold mold; do
    command -v "ld.$linker" >/dev/null || { echo "$linker: not there"; continue; }
    link release "links-$linker" "-Clink-arg=-fuse-ld=$linker"
    expect "$linker" Counted "$program"
  done
  echo 'void *__libc_malloc(unsigned long); void *malloc(unsigned long size) { return __libc_malloc(size); }' >"$work/other.c"
  cc -shared -fPIC -fno-builtin -o "$work/other.so" "$work/other.c"
  expect "another malloc is preloaded" CountedDespitePreloaded env LD_PRELOAD="$work/other.so" "$program"
  link release links-static -Ctarget-feature=+crt-static
  expect "static" NotCounted "$program"
}

# A crate, its version, the features that its tests are run with, and what cargo is told beside them. Tests of newer versions of rusqlite
# need a newer Rust than 1.95.
crates=(
  "zstd 0.14.4 default"
  "rusqlite 0.37.0 bundled"
  "git2 0.21.0 vendored-libgit2 --no-default-features"
)

suites() {
  local each name version features rest crate mode source interval status=0
  mkdir -p "$work"/{fetch,injected}/src
  printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[dependencies]\n' >"$work/fetch/Cargo.toml"
  for each in "${crates[@]}"; do
    read -r crate version rest <<<"$each"
    printf '%s = "=%s"\n' "$crate" "$version" >>"$work/fetch/Cargo.toml"
  done
  touch "$work/fetch/src/lib.rs"
  (cd "$work/fetch" && cargo vendor -q vendor >/dev/null)
  cat >"$work/injected/Cargo.toml" <<TOML
[package]
name = "injected"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
alloc-profiler = { path = "$root/alloc-profiler" }
TOML
  cat >"$work/ours.rs" <<'RUST'
use alloc_profiler::{CAllocations, CLibrary, SamplingAllocator};
alloc_profiler::define_malloc!();
#[global_allocator]
static ALLOCATOR: SamplingAllocator<CLibrary> = SamplingAllocator::with_allocator(CLibrary);
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;
extern "C" fn before_main() {
    alloc_profiler::init_from_env();
    unsafe { atexit(after_main) };
}
unsafe extern "C" { fn atexit(handler: extern "C" fn()) -> i32; }
extern "C" fn after_main() {
    let snapshot = alloc_profiler::snapshot();
    assert_eq!(alloc_profiler::c_allocations(), CAllocations::Counted);
    assert_eq!((alloc_profiler::testing::duplicate_inserts(), snapshot.dropped.missed_removals), (0, 0));
    let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size).chain(&snapshot.overflow).filter(|size| size.is_by_c);
    let bytes: f64 = sizes.map(|size| size.totals.alloc_bytes).sum();
    eprintln!("allocated by C: {bytes:.0} bytes, {} samples of replaced records", snapshot.dropped.replaced_records);
}
RUST
  for each in "${crates[@]}"; do
    crate=${each%% *}
    rm -rf "${work:?}/$crate" && cp -r "$work/fetch/vendor/$crate" "$work/$crate"
    printf '\n[dev-dependencies.injected]\npath = "../injected"\n[workspace]\n' >>"$work/$crate/Cargo.toml"
    printf '\n#[cfg(test)]\nextern crate injected as _;\n' >>"$work/$crate/src/lib.rs"
    for test in "$work/$crate"/tests/*.rs; do
      [[ ! -e $test ]] || printf '\nextern crate injected as _;\n' >>"$test"
    done
  done
  # The package leaves out two files that its tests read: one is compressed by the command, and the other may be any text.
  mkdir -p "$work/zstd/zstd-safe/zstd-sys/src"
  cp "$work/fetch/vendor/zstd-sys/src/bindings_zstd.rs" "$work/zstd/zstd-safe/zstd-sys/src/"
  zstd -q -f "$work/zstd/assets/example.txt" -o "$work/zstd/assets/example.txt.zst"
  export CARGO_TARGET_DIR=$work/target CARGO_PROFILE_DEV_OPT_LEVEL=1 RUSTFLAGS=--cap-lints=warn RUST_BACKTRACE=0
  for each in "${crates[@]}"; do
    read -r crate version features rest <<<"$each"
    for mode in "bare /dev/null 0" "default $work/ours.rs 524288" "every $work/ours.rs 1"; do
      read -r name source interval <<<"$mode"
      cp "$source" "$work/injected/src/lib.rs"
      local log=$work/$crate.$name.log start=$SECONDS
      # shellcheck disable=SC2086
      (cd "$work/$crate" && ALLOC_PROFILER_INTERVAL=$interval timeout 1800 cargo test --lib --tests --no-fail-fast --features "$features" $rest -- --test-threads=2) >"$log" 2>&1 ||
        echo "exit $?" >>"$log"
      grep -E '^test .* \.\.\. |^exit |^error' "$log" | sort >"$work/$crate.$name.results" || true
      local passed same=same
      passed=$(grep -c '\.\.\. ok' "$work/$crate.$name.results" || true)
      cmp -s "$work/$crate.bare.results" "$work/$crate.$name.results" && ((passed > 0)) || { same=DIFFERENT; status=1; }
      echo "$crate, $name: $passed passed, $same, $(grep -o 'allocated by C: [0-9]* bytes' "$log" | awk '{sum += $4} END {printf "%.0f MiB allocated by C", sum / 1048576}'), $((SECONDS - start)) s with building"
    done
  done
  unset CARGO_TARGET_DIR CARGO_PROFILE_DEV_OPT_LEVEL RUSTFLAGS
  return $status
}

# What is resident is to be what is in use, what the allocator keeps, the program's own pages, and the profiler's.
resident() {
  mkdir -p "$work/resident/src"
  cat >"$work/resident/Cargo.toml" <<TOML
[package]
name = "resident"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
alloc-profiler = { path = "$root/alloc-profiler" }
rusqlite = { version = "=0.37.0", features = ["bundled"] }
TOML
  cat >"$work/resident/src/main.rs" <<'RUST'
use alloc_profiler::{CLibrary, SamplingAllocator};
alloc_profiler::define_malloc!();
#[global_allocator]
static ALLOCATOR: SamplingAllocator<CLibrary> = SamplingAllocator::with_allocator(CLibrary);

fn main() {
    alloc_profiler::init_from_env();
    let before = resident();
    let database = rusqlite::Connection::open_in_memory().unwrap();
    database.execute("create table things (number integer primary key, text)", []).unwrap();
    database.execute_batch("begin").unwrap();
    for number in 0..400_000 {
        database.execute("insert into things values (?1, ?2)", (number, "a text of some length ".repeat(6))).unwrap();
    }
    database.execute_batch("commit").unwrap();
    let kept: Vec<Vec<u8>> = (0..200).map(|_| vec![7; 100_000]).collect();
    let snapshot = alloc_profiler::snapshot();
    let of = |by_c| -> f64 {
        let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size).filter(|size| size.is_by_c == by_c);
        sizes.map(|size| size.totals.inuse_bytes).sum()
    };
    let malloc = alloc_profiler::malloc_stats().expect("it is glibc's");
    let mib = |bytes: f64| bytes / 1048576.0;
    let (c, rust, inuse, held) = (of(true), of(false), malloc.inuse_bytes as f64, malloc.held_bytes as f64);
    let own = snapshot.own_memory.mapped_bytes as f64;
    println!("in use: {:.1} MiB by C and {:.1} MiB by Rust; glibc: {:.1} MiB in use, {:.1} MiB held", mib(c), mib(rust), mib(inuse), mib(held));
    println!("resident: {:.1} MiB, of which {:.1} MiB before; profiler {:.1} MiB", mib(resident()), mib(before), mib(own));
    println!("in use of what glibc has in use: {:.1} %; resident less what glibc holds: {:.1} MiB", 100.0 * (c + rust) / inuse, mib(resident() - held));
    // What is in use is estimated from samples, so it may be off by some standard errors. At an interval of 1 there are none.
    let sizes = snapshot.stacks.iter().flat_map(|stack| &stack.by_size);
    let errors = 6.0 * sizes.map(|size| size.totals.inuse_bytes_variance).sum::<f64>().sqrt() / inuse;
    assert!((0.9 - errors..1.05 + errors).contains(&((c + rust) / inuse)), "in use is not explained");
    assert!((resident() - before - held).abs() < 24e6, "resident memory is not explained");
    drop((database, kept));
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}
RUST
  (cd "$work/resident" && CARGO_TARGET_DIR="$work/target" cargo build -q --release)
  for interval in 524288 1; do
    echo "a database in memory, at an interval of $interval:"
    ALLOC_PROFILER_INTERVAL=$interval "$work/target/release/resident"
  done
}

for part in "${parts[@]}"; do $part; done

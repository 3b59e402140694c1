#!/usr/bin/env bash
# Runs the test suites of well-known crates, over our allocator at two intervals and without it. The same tests must pass.
# Cargo fetches the sources; results are in target/real-programs. Arguments choose crates.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD work=${CARGO_TARGET_DIR:-$PWD/target}/real-programs
crates=("$@")
[[ $# -gt 0 ]] || crates=(slab smallvec crossbeam-deque crossbeam-epoch bytes indexmap hashbrown serde_json rayon)
export CARGO_TARGET_DIR=$work/target CARGO_PROFILE_DEV_OPT_LEVEL=1 RUSTFLAGS=--cap-lints=warn RUST_BACKTRACE=0

mkdir -p "$work"/{fetch,injected}/src
printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[dependencies]\n' >"$work/fetch/Cargo.toml"
printf '%s = "*"\n' "${crates[@]}" >>"$work/fetch/Cargo.toml"
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
#[global_allocator]
static ALLOCATOR: alloc_profiler::SamplingAllocator = alloc_profiler::SamplingAllocator::new();
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
    assert!(alloc_profiler::is_installed() && snapshot.sampling_interval != 0);
    assert_eq!((alloc_profiler::testing::duplicate_inserts(), snapshot.dropped.missed_removals), (0, 0));
}
RUST

for crate in "${crates[@]}"; do
  rm -rf "${work:?}/$crate" && cp -r "$work/fetch/vendor/$crate" "$work/$crate"
  printf '\n[dev-dependencies.injected]\npath = "../injected"\n[workspace]\n' >>"$work/$crate/Cargo.toml"
  printf '\n#[cfg(test)]\nextern crate injected as _;\n' >>"$work/$crate/src/lib.rs"
  # A test that has an allocator of its own keeps it.
  for test in "$work/$crate"/tests/*.rs; do
    [[ ! -e $test ]] || grep -q global_allocator "$test" || printf '\nextern crate injected as _;\n' >>"$test"
  done
done

# Name, then what is in the injected crate, and the interval.
status=0
for mode in "bare /dev/null 0" "default $work/ours.rs 524288" "every $work/ours.rs 1"; do
  read -r name source interval <<<"$mode"
  cp "$source" "$work/injected/src/lib.rs"
  for crate in "${crates[@]}"; do
    log=$work/$crate.$name.log start=$SECONDS
    (cd "$work/$crate" && ALLOC_PROFILER_INTERVAL=$interval timeout 900 cargo test --lib --tests --no-fail-fast -- --test-threads=2) >"$log" 2>&1 ||
      echo "exit $?" >>"$log"
    grep -E '^test .* \.\.\. |^exit |^error' "$log" | sort >"$work/$crate.$name.results" || true
    passed=$(grep -c '\.\.\. ok' "$work/$crate.$name.results" || true)
    same=same
    cmp -s "$work/$crate.bare.results" "$work/$crate.$name.results" && ((passed > 0)) || { same=DIFFERENT; status=1; }
    echo "$crate, $name: $passed passed, $same, $((SECONDS - start)) s with building"
  done
done
exit $status

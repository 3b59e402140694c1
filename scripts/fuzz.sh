#!/usr/bin/env bash
# Every fuzz target for some seconds, with AddressSanitizer. Needs a nightly Rust and a C++ compiler; what was found to be
# worth keeping stays in pprof-server/fuzz/corpus, and what fails in pprof-server/fuzz/artifacts.
#   scripts/fuzz.sh [seconds for each, 20] [target…]
set -euo pipefail
cd "$(dirname "$0")/../pprof-server/fuzz"

seconds=${1:-20}
shift || true
targets=("$@")
[[ $# -gt 0 ]] || targets=(router encoder unwind_tables maps)
host=x86_64-unknown-linux-gnu
# As cargo-fuzz has it: coverage of every edge and comparison.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1 -Cdebug-assertions=on"
RUSTFLAGS=${RUSTFLAGS//$'\n'/ }
# A small library, behind the offset of its tables: something to begin with.
seed=$(mktemp -d)
trap 'rm -rf "$seed"' EXIT
echo 'int f(int (*g)(int), int n) { return n > 1 ? g(n) + f(g, n - 1) : 7; } int h(int *p) { return f(h, *p) + *p; }' |
  gcc -w -x c - -O2 -shared -fPIC -nostdlib -Wl,-z,noseparate-code -Wl,--build-id=none -o "$seed/library"
offset=$(readelf -lW "$seed/library" | awk '/GNU_EH_FRAME/ { print $2 }')
mkdir -p corpus/unwind_tables corpus/maps
{ printf "\\x$(printf %02x $((offset & 255)))\\x$(printf %02x $((offset >> 8)))"; head -c 8000 "$seed/library"; } >corpus/unwind_tables/library
head -c 4096 "$seed/library" >corpus/maps/library
head -c 4096 /proc/self/maps >corpus/maps/maps
cargo +nightly build -q --release --target "$host"
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "== $target, $seconds s"
  "${CARGO_TARGET_DIR:-target}/$host/release/$target" "corpus/$target" -max_total_time="$seconds" -max_len=8192 \
    -rss_limit_mb=2048 -timeout=10 -artifact_prefix="artifacts/$target/" -print_final_stats=1 2>&1 |
    grep -E 'ERROR|panicked|number_of_executed|new_units_added|SUMMARY|crash-|cov:' | tail -5
done

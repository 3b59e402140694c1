#!/usr/bin/env bash
# Runs each fuzz target for some seconds under libFuzzer with AddressSanitizer, which needs a nightly Rust and a C++
# compiler. Inputs that are worth keeping go to pprof-server/fuzz/corpus, and inputs that fail to its artifacts.
# With --bounded it runs on stable Rust. It then runs the seeds and some thousand mutations of them, the same each time.
#   scripts/check-fuzz.sh [seconds for each, 20] [target…]
#   scripts/check-fuzz.sh --bounded [target…]
set -euo pipefail
cd "$(dirname "$0")/../pprof-server/fuzz"

seconds=${1:-20}
shift || true
targets=("$@")
[[ $# -gt 0 ]] || targets=(router encoder unwind_tables maps)
host=$(rustc -vV | sed -n 's/^host: //p')
# The versions of the workspace, whose build scripts and macros a bounded run then need not build again.
cp ../../Cargo.lock Cargo.lock

if [[ $seconds == --bounded ]]; then
  target_dir=${CARGO_TARGET_DIR:-$PWD/../../target}
  RUSTFLAGS="--cfg fuzzing" CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$target_dir \
    cargo build -q --no-default-features --target "$host"
  for target in "${targets[@]}"; do
    "$target_dir/$host/debug/$target"
  done
  exit
fi

# As cargo-fuzz has it: coverage of every edge and comparison.
export RUSTFLAGS="--cfg fuzzing --cfg address_sanitizer -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1 -Cdebug-assertions=on"
RUSTFLAGS=${RUSTFLAGS//$'\n'/ }
cargo +nightly build -q --release --target "$host"
status=0
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "== $target, $seconds s"
  "${CARGO_TARGET_DIR:-target}/$host/release/$target" "corpus/$target" "seeds/$target" -max_total_time="$seconds" \
    -max_len=8192 -rss_limit_mb=2048 -timeout=10 -artifact_prefix="artifacts/$target/" -print_final_stats=1 2>&1 |
    grep -E 'ERROR|panicked|number_of_executed|new_units_added|SUMMARY|crash-|cov:' | tail -5 || status=1
done
exit $status

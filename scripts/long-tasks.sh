#!/usr/bin/env bash
# Reads tasks over and over while they begin, run and end (tests/tasks-corpus/src/bin/churn.rs), and compares each line with what the
# task says of itself: in release, and then under AddressSanitizer. It fails if any line is wrong, or if anything faults.
#   scripts/long-tasks.sh [reads, 10000000] [reads under AddressSanitizer, 1000000]
set -euo pipefail
cd "$(dirname "$0")/.."

reads=${1:-10000000} sanitized=${2:-1000000}
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

RUSTFLAGS="${RUSTFLAGS-} -C symbol-mangling-version=v0" cargo build --quiet --release -p tasks-corpus --bin churn --target-dir "$target"
time "$target/release/churn" "$reads"

# The toolchain has the sanitizer, and a stable one must be told that it may use it.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS-} -Zsanitizer=address --cfg address_sanitizer" cargo build --quiet --release \
  -p tasks-corpus --bin churn --target "$host" --target-dir "$target/sanitizers/tasks"
# Tasks are left behind at the end, and a thread's signal stack is its own.
ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0 bash -c 'time "$0" "$1"' "$target/sanitizers/tasks/$host/release/churn" "$sanitized"

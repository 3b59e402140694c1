#!/usr/bin/env bash
# Searches memory for holders over and over, while blocks, threads, libraries and mappings come and go, pages are given back, moved and
# protected (pprof-server/holders/tests/churn.rs): in release, and then under AddressSanitizer. It fails if anything faults, or if what does
# not change is not told right each time.
#   scripts/long-holders.sh [searches, 100000] [searches under AddressSanitizer, 2000]
set -euo pipefail
cd "$(dirname "$0")/.."

searches=${1:-100000} sanitized=${2:-2000}
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

time SEARCHES=$searches RUSTFLAGS="${RUSTFLAGS-} -C symbol-mangling-version=v0" \
  cargo test --quiet --release -p holders --test churn --target-dir "$target" -- --nocapture

# The toolchain has the sanitizer, and a stable one must be told that it may use it. The sanitizer can keep what functions have on their
# stacks in memory of its own when they have returned. The search would rightly find the words that it has left there itself.
time SEARCHES=$sanitized ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0:detect_stack_use_after_return=0 RUSTC_BOOTSTRAP=1 \
  RUSTFLAGS="${RUSTFLAGS-} -Zsanitizer=address --cfg address_sanitizer" \
  cargo test --quiet --release -p holders --test churn --target "$host" --target-dir "$target/sanitizers/holders" -- --nocapture

#!/usr/bin/env bash
# Has each crate that measures what tests allocate measure the same work, and prints what it says and what it costs. The figures
# are in docs/measuring.md.
set -euo pipefail
cd "$(dirname "$0")/../tests/benchmarks/measuring"

export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../target/measuring}"
echo "load: $(cut -d' ' -f1 /proc/loadavg)"
cargo build -q --release --bin none
printf '\n== none\n'
"$CARGO_TARGET_DIR/release/none"
for crate in ours dhat stats_alloc allocation-counter divan; do
  cargo build -q --release --features "$crate" --bin "$crate"
  printf '\n== %s\n' "$crate"
  "$CARGO_TARGET_DIR/release/$crate"
done

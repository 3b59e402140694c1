#!/usr/bin/env bash
# Runs hours of a service in minutes, and tells by how much the profiler has grown at the end: tests/soak.rs. A second run has
# profiling off, to tell the growth of the profiler from the growth of the program.
#   scripts/long-soak.sh [--minutes N, 5]
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=5
case "${1:-}" in
  '') ;;
  --minutes) minutes=${2:?how many minutes?} ;;
  *) echo "long-soak: unknown argument $1; usage: scripts/long-soak.sh [--minutes N]" >&2; exit 2 ;;
esac
PATH="$(scripts/install-go.sh):$PATH"
export PATH
cargo build --release -q -p workspace-tests --example soak
soak=${CARGO_TARGET_DIR:-target}/release/examples/soak
"$soak" "$minutes"
echo "== the same with profiling off"
"$soak" "$minutes" --without

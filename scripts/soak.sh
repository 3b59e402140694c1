#!/usr/bin/env bash
# Hours of a service in minutes, and what the profiler has grown by at the end: tests/soak.rs.
#   scripts/soak.sh [--minutes N]
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=5
case "${1:-}" in
  '') ;;
  --minutes) minutes=${2:?how many minutes?} ;;
  *) echo "soak: unknown argument $1; usage: scripts/soak.sh [--minutes N]" >&2; exit 2 ;;
esac
PATH="$(scripts/install-go.sh):$PATH"
export PATH
exec cargo run --release -q -p workspace-tests --example soak -- "$minutes"

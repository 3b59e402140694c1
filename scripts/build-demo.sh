#!/usr/bin/env bash
# Builds the demo as it is released, with further arguments for cargo, and prints where it is. If DEMO_LEAK names a demo that is there already, it prints that one:
# test.sh builds it with all else, and by itself it would need most of its dependencies built again, with fewer features.
set -euo pipefail
cd "$(dirname "$0")/.."

demo=${DEMO_LEAK-}
if [[ -z $demo ]]; then
  cargo build --quiet --release -p demo-leak "$@"
  demo=${CARGO_TARGET_DIR:-target}/release/demo-leak
fi
[[ -x $demo ]] || { echo "build-demo.sh: $demo is no program; DEMO_LEAK names one, or is not set" >&2; exit 1; }
realpath "$demo"

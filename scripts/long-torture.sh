#!/usr/bin/env bash
# Runs the long versions of the hazard tests (docs/reliability.md), in release. Arguments choose tests.
set -euo pipefail
cd "$(dirname "$0")/.."
export TORTURE=1
exec cargo test --release -p workspace-tests --test hazards -- --nocapture --test-threads=2 "$@"

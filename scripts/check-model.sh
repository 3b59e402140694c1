#!/usr/bin/env bash
# Has a model checker run the live table and the filter in every order of steps of some threads. tests/model has the model.
#   scripts/check-model.sh [seconds for each order of beginning, 4]
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo run --release -q --manifest-path tests/model/Cargo.toml -- "$@"

#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, documentation, all tests in debug and release.
# Needs Rust and Python with pip; installs the rest into this tree.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; "$@"; }

PATH="$(scripts/install-go.sh):$PATH"
export PATH RUSTDOCFLAGS="-D warnings"

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --all-features -- -D warnings
step cargo clippy -p pprof-server --no-default-features -- -D warnings
step cargo fmt --manifest-path tests/benchmarks/Cargo.toml --check
step cargo clippy --manifest-path tests/benchmarks/Cargo.toml --locked --all-targets -- -D warnings
step cargo doc --workspace --no-deps
step scripts/check-msrv.sh
step scripts/check-fast-path.sh
step scripts/check-no-panic.py
step cargo test --workspace
step cargo test --workspace --release
step scripts/hunt-leak.sh
step scripts/hunt-leak.sh --fixed
step scripts/first-five-minutes.sh
step scripts/check-readme.sh

#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, documentation, all tests in release, and those of
# what runs inside the program in debug too.
# Needs Rust and Python with pip; installs the rest into this tree.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; "$@"; printf '== %s s since the start\n' "$SECONDS"; }

PATH="$(scripts/install-go.sh):$PATH"
# Nothing is built twice with a change in between.
export PATH RUSTDOCFLAGS="-D warnings" CARGO_INCREMENTAL=0

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --all-features -- -D warnings
step cargo clippy -p pprof-server --no-default-features -- -D warnings
step cargo fmt --manifest-path tests/benchmarks/Cargo.toml --check
step cargo clippy --manifest-path tests/benchmarks/Cargo.toml --locked --all-targets -- -D warnings
step cargo doc --workspace --no-deps
step scripts/check-msrv.sh
step scripts/check-fast-path.sh
step scripts/check-no-panic.py
# What runs inside the program is tested with debug assertions too; what serves from beside it takes minutes more
# without optimisation (`cargo test --workspace` runs it), and is tested as it is released.
step cargo test --workspace --lib --bins
step cargo test -p alloc-profiler -p workspace-tests --tests
step cargo test --workspace --release
step scripts/hunt-leak.sh
step scripts/hunt-leak.sh --fixed
step scripts/first-five-minutes.sh
step scripts/check-readme.sh

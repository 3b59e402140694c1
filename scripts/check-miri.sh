#!/usr/bin/env bash
# Runs the tests of the pure parts in Miri, which finds undefined behaviour that tests do not show: sampling, filter, live
# table, size classes, the parts of the unwinder that make no system call, and parts of the encoder. It needs
# `rustup +nightly component add miri`.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
  echo "check-miri: not installed; rustup +nightly component add miri rust-src" >&2
  exit 2
fi
# Addresses of the profiler's are made from numbers; clocks and files are the system's.
export MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-isolation"
cargo +nightly miri test -p alloc-profiler --lib -- sampling filter live size_class
cargo +nightly miri test -p unwinder --lib -- address:: frames:: images:: lock:: rules:: store::
cargo +nightly miri test -p pprof-server --lib --no-default-features -- writers::pprof symbols::role profile::limit

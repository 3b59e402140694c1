#!/usr/bin/env bash
# AddressSanitizer and LeakSanitizer over the units of what runs inside the program. Needs a nightly Rust.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/sanitizers
# Its allocator is not the C library's, which one of the tests is about.
cargo +nightly test -q --target x86_64-unknown-linux-gnu -p alloc-profiler --lib -- --skip freed_pages

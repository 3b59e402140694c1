#!/usr/bin/env bash
# Counts the instructions of an unsampled allocation and its free, and reads their machine code. It uses no clock, so it may
# fail a build. tests/benchmarks/fast-path.txt has the bounds. It runs on Linux on x86-64; elsewhere it says so and passes.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ $(uname -sm) == "Linux x86_64" ]] || { echo "check-fast-path: skipped, not Linux on x86-64"; exit 0; }

packages=()
command -v valgrind >/dev/null || packages+=(valgrind)
command -v objdump >/dev/null || packages+=(binutils)
if ((${#packages[@]})); then
  scripts/install-packages.sh "${packages[@]}" libc6-dbg
fi

exec python3 tests/benchmarks/runner/fast_path.py

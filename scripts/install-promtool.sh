#!/usr/bin/env bash
# Makes sure that Prometheus' promtool is there, which judges what /metrics answers, and prints its directory: the one on
# the PATH, or one in .tools, unpacked from Debian's package `prometheus` (not installed, so that no server starts). Where
# there is neither, it says so and prints nothing: the test that wants it says so too, and passes.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v promtool >/dev/null; then
  dirname "$(command -v promtool)"
  exit
fi
tools="$PWD/.tools/prometheus"
if [[ ! -x $tools/usr/bin/promtool ]]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  fetch() { (cd "$folder" && apt-get download --quiet prometheus >/dev/null 2>&1); }
  update() { [[ $(id -u) == 0 ]] && apt-get update --quiet >/dev/null; }
  if command -v apt-get >/dev/null && { fetch || { update && fetch; }; }; then
    mkdir -p "$tools"
    dpkg-deb --extract "$folder"/prometheus_*.deb "$tools"
  fi
fi
if "$tools/usr/bin/promtool" --version >/dev/null 2>&1; then
  echo "$tools/usr/bin"
else
  echo "install-promtool: no promtool: what /metrics answers stays unchecked by Prometheus itself" >&2
fi

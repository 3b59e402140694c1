#!/usr/bin/env bash
# Runs a command again and again while something else keeps every core busy, and says how often it passed. What a test
# takes for granted of a quiet machine shows here. By default, it runs the whole of scripts/test.sh ten times, which takes some four hours.
#   scripts/long-busy.sh [TIMES [COMMAND [ARGUMENT…]]]
set -euo pipefail
cd "$(dirname "$0")/.."

times=${1:-10}
[[ $times =~ ^[1-9][0-9]*$ ]] || { echo "long-busy.sh: $times is no number of times; give one from 1 on" >&2; exit 1; }
shift || true
(($# > 0)) || set -- scripts/test.sh

work=$(mktemp -d) busy=()
trap 'kill "${busy[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq "$(nproc)"); do
  (while :; do :; done) & busy+=($!)
done

passed=0 failed=0
for turn in $(seq "$times"); do
  started=$SECONDS
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1)) verdict=passed
  else
    failed=$((failed + 1)) verdict=failed
    tail -n 60 "$work/log"
  fi
  echo "turn $turn: $verdict in $((SECONDS - started)) s"
done
echo "$passed passed, $failed failed"
((failed == 0))

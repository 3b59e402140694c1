#!/usr/bin/env bash
# Runs tests again and again while something else keeps every core busy, and says how often they passed. What a test takes for
# granted of a quiet machine shows here. By default, it runs the whole of scripts/test.sh ten times, which takes some four hours.
#   scripts/long-busy.sh [--runs N] [--log FILE] [--others] [--tests | COMMAND [ARGUMENT…]]
#
# --runs N     so many runs in all. Those that the log has already count, so that a script which was ended goes on where it was.
# --log FILE   each run adds a line to this file: when it ended, what it was, how it went, how long it took, and the load of the
#              machine before and after. What a run says that fails is kept beside it, as FILE.NUMBER.
# --others     nothing is kept busy here, because others do so.
# --tests      the tests alone, in debug and in release with the other mangling. They are built once, before the first run.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "long-busy.sh: $*" >&2; exit 1; }

runs=10 log='' busy=yes kinds=()
while (($# > 0)); do
  case $1 in
    --runs) runs=${2:-}; shift 2 || fail "--runs needs a number" ;;
    --log) log=${2:-}; shift 2 || fail "--log needs a file" ;;
    --others) busy=no; shift ;;
    --tests) kinds=(debug release); shift ;;
    --*) fail "unknown argument $1; known are --runs, --log, --others and --tests" ;;
    *) break ;;
  esac
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || fail "$runs is no number of runs; give one from 1 on"
if ((${#kinds[@]} == 0)); then
  (($# > 0)) || set -- scripts/test.sh
  kinds=("$*")
elif (($# > 0)); then
  fail "--tests and a command exclude one another: $*"
fi

work=$(mktemp -d) spinners=()
trap 'kill "${spinners[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
log=${log:-$work/log}
touch "$log"

# Nothing is built twice with a change in between, as in test.sh.
export CARGO_INCREMENTAL=0
by_v0() { RUSTFLAGS="${RUSTFLAGS-} -C symbol-mangling-version=v0" "$@"; }
if [[ ${kinds[0]} == debug ]]; then
  PATH="$(scripts/install-go.sh):$PATH"
  promtool=$(scripts/install-promtool.sh)
  export PATH="$PATH${promtool:+:$promtool}"
  cargo test --quiet --workspace --no-run
  by_v0 cargo test --quiet --workspace --release --no-run
fi
run() { # kind command…
  case $1 in
    debug) cargo test --workspace --no-fail-fast ;;
    release) by_v0 cargo test --workspace --release --no-fail-fast ;;
    *) "${@:2}" ;;
  esac
}

if [[ $busy == yes ]]; then
  for _ in $(seq "$(nproc)"); do
    (while :; do :; done) & spinners+=($!)
  done
fi

# A line of the log is: time, number, kind, verdict, and words about it.
count() { awk -F'\t' -v kind="$1" -v verdict="$2" '$3 == kind && (verdict == "" || $4 == verdict)' "$log" | wc -l; }
load() { cut -d' ' -f1 /proc/loadavg; }
for turn in $(seq "$runs"); do
  for kind in "${kinds[@]}"; do
    (($(count "$kind" '') < turn)) || continue
    number=$(($(wc -l <"$log") + 1)) started=$SECONDS before=$(load) verdict=passed
    # A child of its own, since a function that is tested goes on after an error.
    (run "$kind" "$@") >"$work/said" 2>&1 || verdict=failed
    line="$(date -u +%FT%TZ)"$'\t'"$number"$'\t'"$kind"$'\t'"$verdict"$'\t'"$((SECONDS - started)) s, load $before to $(load)"
    echo "$line" | tee -a "$log"
    if [[ $verdict == failed ]]; then
      cp "$work/said" "$log.$number"
      tail -n 60 "$work/said"
    fi
  done
done
failed=0
for kind in "${kinds[@]}"; do
  echo "$kind: $(count "$kind" passed) passed, $(count "$kind" failed) failed"
  failed=$((failed + $(count "$kind" failed)))
done
((failed == 0))

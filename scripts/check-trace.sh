#!/usr/bin/env bash
# Opens a trace in Firefox Profiler's own importer, which npm has as `@firefox-devtools/profiler-cli`, and demands what the viewer
# then shows: samples, waits with stacks, retained allocations and counters. Perfetto's importer cannot be had from a registry.
# It needs Node 20 and npm.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-trace.sh: $*" >&2; exit 1; }
command -v npm >/dev/null || fail "no npm on the PATH: install Node 20 or newer"

# The version that the trace was tried with.
version=0.10.0
work=$(mktemp -d)
export PROFILER_CLI_SESSION_DIR=$work/sessions
cli=$work/node_modules/.bin/profiler-cli
trap '"$cli" stop --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
(cd "$work" && npm install --silent --no-audit --no-fund --engine-strict=false "@firefox-devtools/profiler-cli@$version" >/dev/null)

TRACE_FILE=$work/trace.json cargo test --quiet -p pprof-server --test trace a_trace_has >/dev/null
# On a busy machine it takes longer to start than it waits for itself.
"$cli" load "$work/trace.json" >/dev/null 2>&1 || true
for _ in $(seq 120); do "$cli" profile info >"$work/info" 2>/dev/null && break; sleep 0.5; done

thread() { "$cli" thread list | awk -v name="$1" '{ sub(/^\* /, "") } $2 == name { print $1; exit }'; }
demand() { # what, and then what the command prints must contain
  local what=$1 part=$2; shift 2
  "$cli" "$@" >"$work/said" 2>&1 || true
  grep -qF -- "$part" "$work/said" || fail "$what: no \"$part\" in: $(cat "$work/said")"
}

demand "the profile" "threads across 1 processes" profile info
demand "counters" "Counters (2)" counter list
"$cli" thread select "$(thread busy)" >/dev/null
demand "samples of CPU time" "trace::burns" thread functions --search trace::burns
"$cli" thread select "$(thread rival-1)" >/dev/null
demand "waits" "waited for a lock" thread markers
marker=$("$cli" thread markers --search "waited for a lock" | awk 'match($0, /m-[0-9]+/) { print substr($0, RSTART, RLENGTH); exit }')
demand "the stack of a wait" "trace::holds_the_lock" marker stack "$marker"
"$cli" thread select t-0 >/dev/null
"$cli" strategy native-retained-allocations >/dev/null
demand "retained allocations" "trace::keeps_for_a_while" thread functions --search trace::keeps_for_a_while
echo "check-trace: Firefox Profiler's importer $version shows samples, waits, retained allocations and counters"

#!/usr/bin/env bash
# Finds the demo's leak as one would in any service: a heap profile before the load, one after, and their
# difference; then where the tasks of what grew wait. It uses nothing but curl and Go's pprof.
# Fails unless the demo's reader is what grew most, and its tasks wait where the source says that they leak; with --fixed, the
# repaired demo, fails if the reader grew or if a task of it is left.
# LOAD_SECONDS (default 10) is the length of the load; PPROF_ADDR (default: any free port) where profiles are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fail() { echo "check-leak.sh: $*" >&2; exit 1; }

fixed=${1-}
[[ $# -le 1 && ( -z $fixed || $fixed == --fixed ) ]] || fail "there is no '$*'; only --fixed, or nothing"
PATH="$(scripts/install-go.sh):$PATH"
for tool in cargo curl go; do
  command -v "$tool" >/dev/null || fail "needs $tool on the PATH"
done

demo_leak=$(scripts/build-demo.sh)
work=$(mktemp -d); : >"$work/log"
demo=
trap '[[ -z $demo ]] || kill "$demo" 2>/dev/null || true; rm -rf "$work"' EXIT
# Tasks are small: at the default interval there would be one sample of a thousand of them.
export ALLOC_PROFILER_INTERVAL=${ALLOC_PROFILER_INTERVAL:-16384}
PPROF_ADDR=${PPROF_ADDR:-127.0.0.1:0} "$demo_leak" $fixed \
  --listen 127.0.0.1:0 --idle-seconds 3 --load-seconds "${LOAD_SECONDS:-10}" >"$work/log" &
demo=$!

# Waits for a line of the demo's output, and prints the first that matches.
line() {
  for _ in $(seq 600); do
    grep -m 1 "$1" "$work/log" && return
    kill -0 "$demo" 2>/dev/null || fail "the demo ended: $(tail -n 3 "$work/log")"
    sleep 0.1
  done
  fail "no line with '$1' in a minute of the demo's output; a longer LOAD_SECONDS needs more patience"
}
heap() { curl --fail --silent --show-error --max-time 60 "$url/heap" >"$work/$1.out"; }
top() { go tool pprof -top "$@" 2>"$work/err" || fail "go tool pprof -top $*: $(cat "$work/err")"; }
diff_top() { top "$@" -diff_base "$work/before.out" "$work/after.out"; }

url=$(line '^pprof:'); url=${url##* }; url=${url%/}
line '| idle  '
heap before
line '| load  '
line '| idle again | connections   0 open'
heap after
curl --fail --silent --show-error --max-time 60 "$url/goroutine" >"$work/tasks.out"

echo
diff_top -nodecount=10

# A profile in which the load cannot be seen at all would prove nothing.
top -sample_index=alloc_space "$work/after.out" >"$work/allocated"
grep -q 'demo_leak::reader::' "$work/allocated" || fail "the reader allocated nothing: is the profiler off?"
# Below the column titles: flat, flat%, sum%, cum, cum%, then the name, its file and its line.
diff_top -lines -nodefraction=0 | sed -n '/^ *flat /,$p' | sed '1d' >"$work/rows"
# The tasks that wait in the reader's code, by line.
top -lines -cum -nodefraction=0 -tagfocus=kind=task -focus='demo_leak::reader::' "$work/tasks.out" >"$work/waits"
if [[ $fixed == --fixed ]]; then
  ! grep 'demo_leak::reader::' "$work/rows" || fail "the fixed reader grew: see the line above"
  ! grep 'demo_leak::reader::Reader::sample' "$work/waits" || fail "tasks of the fixed reader are left: see the line above"
  echo "no leak: the reader is not in the difference, and no task of it is left"
else
  first=$(awk '{ $1 = $2 = $3 = $4 = $5 = ""; sub(/^ */, ""); print; exit }' "$work/rows")
  [[ $first == *demo_leak::reader::* ]] || fail "the reader is not what grew most; that is: ${first:-nothing}"
  echo "leak: ${first/"$PWD/"/}"
  leaking=demo-leak/src/reader.rs:$(grep -n 'ticks.recv().await' demo-leak/src/reader.rs | cut -d : -f 1)
  waits=$(grep "demo_leak::reader::Reader::sample_for_ever .*$leaking" "$work/waits" || true)
  [[ -n $waits ]] || fail "no task waits at $leaking: $(cat "$work/waits")"
  echo "its tasks wait: $(awk '{ tasks = $4; $1 = $2 = $3 = $4 = $5 = ""; sub(/^ */, ""); print tasks " at " $0 }' <<<"${waits/"$PWD/"/}")"
fi

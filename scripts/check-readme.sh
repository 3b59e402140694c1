#!/usr/bin/env bash
# Runs the commands of README.md's ```sh blocks, in order, in an empty folder, while the demo that they speak of runs.
# It fails at the first command that fails, and at one that is not provided for here.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-readme.sh: $*" >&2; exit 1; }

[[ -f README.md ]] || fail "there is no README.md"
PATH="$(scripts/install-go.sh):$PATH"
demo_leak=$(scripts/build-demo.sh)
work=$(mktemp -d) children=()
trap 'status=$?; ((status == 0)) || echo "check-readme.sh: failed" >&2; kill "${children[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
export PPROF_TMPDIR="$work/fetched"

# Prints the first line of file $2 that has $1, when it is there.
await() {
  for _ in $(seq 300); do
    grep -m 1 -- "$1" "$2" && return
    sleep 0.1
  done
  fail "no '$1' in half a minute of output: $(cat "$2")"
}

# Port 6060 as in the README, or any other if it is taken.
address=127.0.0.1:6060
! (: <>/dev/tcp/127.0.0.1/6060) 2>/dev/null || address=127.0.0.1:0
PPROF_ADDR=$address "$demo_leak" --listen 127.0.0.1:0 \
  --idle-seconds 1 --load-seconds 5 >"$work/demo" & children+=($!)
address=$(await '^pprof: *http' "$work/demo"); address=${address#*http://}; address=${address%%/*}
# Files that the README speaks of before, or without, saying how they came about.
for file in before.out after.out heap.out; do
  curl --fail -sS "http://$address/debug/pprof/heap" >"$work/$file"
done

# pprof's web pages: they must come, and then it ends.
view() {
  (cd "$work" && exec ${1/-http=*([^ ])/-no_browser -http=127.0.0.1:}) 2>"$work/viewer" & children+=($!)
  local url; url=$(await 'Serving web UI' "$work/viewer"); url=${url##* }
  # Not `grep -q`: it would hang up on curl.
  curl --fail -sS --location --retry 50 --retry-delay 1 --retry-connrefused "$url" | grep flamegraph
  kill $!
}

in_work() { (cd "$work" && eval "${1//localhost:6060/$address}"); }
shopt -s extglob
while IFS= read -r command; do
  printf 'README: %s\n' "$command"
  # No `|| fail` behind this: it would keep a failure within an arm from ending the script.
  case $command in
    scripts/test.sh) ;; # Runs this script, and the next.
    scripts/check-leak.sh*) grep -qxE " *step (by_v0 )?$command" scripts/test.sh || fail "not run by test.sh: $command" ;;
    scripts/bench.sh) RUNS=2 MAX_RATIO=1000 "$command" ;; # That it works; what it says needs a quiet machine.
    'cargo run --release -p demo-leak') ;; # Runs already, as above.
    'cargo run --release -p demo-leak -- '*) "$demo_leak" ${command#* -- } ;;
    'go tool pprof '*-http=*) view "$command" ;;
    curl\ * | 'go tool pprof '*) in_work "$command" ;;
    *) fail "provide for it in this script, or mark the block as something else than sh: $command" ;;
  esac </dev/null >"$work/output"
done < <(awk '/^ *```/ { inside = !inside && $1 == "```sh"; next } inside && NF && $1 !~ /^#/' README.md | sed 's/  *# .*//')

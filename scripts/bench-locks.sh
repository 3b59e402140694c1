#!/usr/bin/env bash
# Has each tool that tells of locks watch the same program, and prints what it says and what it costs. The figures are in
# docs/endpoints.md.
#
#     scripts/bench-locks.sh [ROUNDS]
#
# Costs are measured in so many rounds (7), each in another order, and are told as the median of the ratios to the program that
# nothing watches. async-profiler takes part if ASYNC_PROFILER names its library (`linux-x64/libasyncProfiler.so` of the archive
# tools.profiler:async-profiler); strace, drd and callgrind do where they are installed.
set -euo pipefail
cd "$(dirname "$0")/../tests/benchmarks/locks"
rounds=${1:-7}

export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../target/locks}" PPROF_QUIET=1
programs=$CARGO_TARGET_DIR/release
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
has() { command -v "$1" >/dev/null; }

cargo build -q --release --locked --bin none
for tool in ours deadlock-detection timers; do
  cargo build -q --release --locked --features "$tool" --bin "$tool"
done
# tokio has what tokio-console needs in builds with this flag alone.
RUSTFLAGS="${RUSTFLAGS-} --cfg tokio_unstable" CARGO_TARGET_DIR="$CARGO_TARGET_DIR-console" \
  cargo build -q --release --locked --features console --bin console
cp "$CARGO_TARGET_DIR-console/release/console" "$programs/console"

# Each tool as a line of its own: what it is called, and how the program is started that it watches.
declare -A start=(
  [none]="$programs/none"
  ["ours, off"]="$programs/ours"
  ["ours, 1 ms"]="env PPROF_BLOCK_RATE=1ms $programs/ours"
  [deadlock_detection]="$programs/deadlock-detection"
  ["timers, off"]="$programs/timers"
  [timers]="$programs/timers"
  ["console, off"]="$programs/console"
  [console]="$programs/console"
)
names=(none "ours, off" "ours, 1 ms" deadlock_detection "timers, off" timers "console, off" console)
if [[ -n ${ASYNC_PROFILER-} ]]; then
  start["async-profiler"]="env LD_PRELOAD=$ASYNC_PROFILER ASPROF_COMMAND=start,event=nativelock,total,file=$results/cost.collapsed $programs/none"
  names+=("async-profiler")
fi
# Runs the program of a tool with these arguments.
run() {
  local name=$1
  shift
  [[ $name != "timers, off" && $name != "console, off" ]] || set -- "$@" off
  ${start[$name]} "$@"
}

# async-profiler tells stacks of functions with a number. The sums of those of each part are printed, divided by $2.
async_profiler() {
  echo "== async-profiler, $1"
  local stacks=$results/${1%%,*}.collapsed
  LD_PRELOAD="$ASYNC_PROFILER" ASPROF_COMMAND="start,event=$1,file=$stacks" "$programs/none" waits 2>&1 | cut -f1,2 || true
  [[ -e $stacks ]] || return 0
  awk '{ value = $NF; $NF = ""; if (match($0, /parts::[a-z_]+::waits[a-z_]*/)) sums[substr($0, RSTART, RLENGTH)] += value }
       END { for (name in sums) print "told: " name "\t" sums[name] / '"$2"' }' "$stacks"
}

waits() {
  echo "== waits: part, truth in ms, told in ms, the waiter's line, the holder's line (\"not\" before a line that is not that)"
  for name in none "ours, off" deadlock_detection timers console; do
    echo "== $name"
    run "$name" waits
  done
  echo "== ours, every allocation sampled"
  ALLOC_PROFILER_INTERVAL=1 "$programs/ours" waits
  if [[ -n ${ASYNC_PROFILER-} ]]; then
    async_profiler lock 1e6
    async_profiler nativelock,total 1e6
    # A sample stands for 10 ms.
    async_profiler wall,interval=10ms,cstack=dwarf 0.1
  fi
  local part
  for part in std_mutex parking_lot_mutex std_rwlock tokio_mutex c_mutex; do
    if has strace; then
      echo "== strace, $part"
      strace -c -w -f -e trace=futex "$programs/none" waits "$part" 2>&1 | awk '/\t/ || / futex$/ { print }' | cut -f1,2
    fi
    if has valgrind; then
      echo "== drd, $part: where it says that the lock was held for more than 3 ms; and what else it says"
      valgrind --tool=drd --exclusive-threshold=3 "$programs/none" waits "$part" >"$results/drd" 2>&1
      grep -A 2 "was held during" "$results/drd" | grep -o "parts::$part::gives_back.*" | sort | uniq -c || true
      grep -o "ERROR SUMMARY.*contexts" "$results/drd"
    fi
  done
}

deadlocks() {
  for name in none "ours, off" deadlock_detection timers console; do
    echo "== deadlocks, $name"
    run "$name" deadlocks | grep -vE "^ +at /" | head -60 || true
  done
}

costs() {
  local round place count=${#names[@]}
  for ((round = 0; round < rounds; round++)); do
    for ((place = 0; place < count; place++)); do
      # Every second round goes backwards.
      local index=$(((round % 2 ? count - place : place) + round))
      local name=${names[index % count]}
      for what in cost handover; do
        run "$name" "$what" | sed "s/^/$what\t$round\t$name\t/" | grep -a "^$what.*[0-9]$" >>"$results/costs"
      done
    done
  done
  python3 - "$results/costs" "${names[@]}" <<'PYTHON'
import collections, statistics, sys
of = collections.defaultdict(dict)
for line in open(sys.argv[1]):
    fields = line.rstrip("\n").split("\t")
    if len(fields) == 5:
        what, round, name, lock, value = fields
        of[what, lock][round, name] = float(value)
for (what, lock), values in of.items():
    unit = {"cost": "ns of a pair, uncontended", "handover": "us of processor time of a contended turn"}[what]
    print(f"== {lock}: {unit}; ratio to none (least to greatest)")
    for name in sys.argv[2:]:
        rounds = sorted({round for round, other in values if other == name})
        ratios = [values[round, name] / values[round, "none"] for round in rounds]
        median = statistics.median(values[round, name] for round in rounds)
        print(f"{name}\t{median:.1f}\t{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
PYTHON
}

# Prints how many instructions a pair takes: the difference of two counts, so that what is done once is not in it.
counted() {
  local name lock function pairs off
  for name in "${names[@]}"; do
    [[ $name != async-profiler ]] || continue
    off=
    [[ $name != "timers, off" && $name != "console, off" ]] || off=off
    for lock in std parking_lot tokio; do
      function=pairs_of_$lock
      for pairs in 1000 3000; do
        # shellcheck disable=SC2086 # the command has several words
        valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no --toggle-collect="locks::cost::$function" \
          --trace-children=yes ${start[$name]} count "$lock Mutex" "$pairs" $off 2>&1 | awk '/Collected/ { count = $NF } END { print count }'
      done | awk -v what="$name, $lock" 'NR == 1 { first = $1 } NR == 2 { printf "%s\t%.1f\n", what, ($1 - first) / 2000 }'
    done
  done
}

echo "load: $(cut -d' ' -f1 /proc/loadavg)"
waits
deadlocks
costs
if has valgrind; then
  echo "== instructions of a pair, uncontended"
  counted
fi

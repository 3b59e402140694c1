#!/usr/bin/env bash
# Has each tool that tells what a program does watch the same CPU time, or the same waiting tasks, and prints what it says and what it
# costs. The figures are in docs/endpoints.md.
#
#     scripts/bench-activity.sh [ROUNDS]
#
# Costs are measured in so many rounds (7), each in another order, and are told as the median of the ratios to the program that
# nothing watches. `perf` takes part where it is installed.
set -euo pipefail
cd "$(dirname "$0")/../tests/benchmarks/activity"
rounds=${1:-7}

export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../target/activity}" PPROF_QUIET=1
programs=$CARGO_TARGET_DIR/release unstable=$CARGO_TARGET_DIR-unstable
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

cargo build -q --release --locked --features ours --bin none --bin ours
for tool in pprof-rs framed; do
  cargo build -q --release --locked --features "$tool" --bin "$tool"
done
# tokio has its dump, and what tokio-console needs, in builds with this flag alone.
for tool in dump console; do
  for profile in dev release; do
    RUSTFLAGS="${RUSTFLAGS-} --cfg tokio_unstable" CARGO_TARGET_DIR="$unstable" \
      cargo build -q --profile "$profile" --locked --features "$tool" --bin "$tool"
  done
done

# Has perf sample the program, and prints what it tells of the two functions. A sample stands for 10 ms.
with_perf() {
  perf record -q -e cpu-clock -F 100 -g -o "$results/perf" -- "$programs/none" "$@" 2>/dev/null | sed 's/\t-$//'
  perf script -i "$results/perf" -F ip,sym 2>/dev/null | awk -v RS= '
    /burns_three/ { three++ } /burns_one/ { one++ }
    END { printf "told\t%.2f s, %.1f %% in the first\n", (three + one) / 100, 100 * three / (three + one) }'
}

echo "load: $(cut -d' ' -f1 /proc/loadavg)"
for what in "cpu 1" "cpu 2" "cpu 4" short; do
  for tool in ours pprof-rs; do
    printf '%s\t' "$tool"
    # shellcheck disable=SC2086 # the number is an argument of its own
    "$programs/$tool" $what
  done
  ! command -v perf >/dev/null || { printf 'perf\t'; with_perf $what; }
done

echo "== tasks: kind, how many there are, how many have their line, how many have their function"
echo "== ours, every allocation sampled"; ALLOC_PROFILER_INTERVAL=1 "$programs/ours" tasks
echo "== ours"; "$programs/ours" tasks
echo "== async-backtrace"; "$programs/framed" tasks
for profile in debug release; do
  # It may hang, and nothing within the program can end that.
  echo "== tokio's dump, $profile"; timeout 20 "$unstable/$profile/dump" tasks || echo "hangs"
done
echo "== tokio-console"; "$unstable/release/console" tasks
echo "== tokio's dump: of ten processes that take three dumps each"
hung=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
  timeout 20 "$unstable/release/dump" tasks >"$results/dump" 2>&1 || hung=$((hung + 1))
done
echo "$hung hung"

for ((round = 0; round < rounds; round++)); do
  names=("none" "ours 100" "ours 1000" "pprof-rs 100" "pprof-rs 1000")
  ((round % 2)) || names=("pprof-rs 1000" "pprof-rs 100" "ours 1000" "ours 100" "none")
  for name in "${names[@]}"; do
    read -r tool hz <<<"$name"
    "$programs/$tool" work "${hz:-0}" | sed "s/^work/$round\t$name/" >>"$results/costs"
  done
done
python3 - "$results/costs" <<'PYTHON'
import collections, statistics, sys
times = collections.defaultdict(dict)
for line in open(sys.argv[1]):
    round, name, seconds = line.rstrip("\n").split("\t")
    times[name][round] = float(seconds)
print("== CPU time of a fixed amount of work on two threads, 40 frames deep: median, and its ratio to none (least to greatest)")
for name, of in sorted(times.items()):
    ratios = [seconds / times["none"][round] for round, seconds in of.items()]
    print(f"{name}\t{statistics.median(of.values()):.3f} s\t{statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})")
PYTHON

#!/usr/bin/env bash
# What the profiler costs at the default interval, beside the system's allocator as it is: each workload of
# alloc-profiler/benches, the two programs in turn, medians over RUNS (default 15) and the median ratio of
# pairs, with its quartiles. Exits 1 if a ratio exceeds MAX_RATIO (default 1.05). Give the machine for itself.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-15} max_ratio=${MAX_RATIO:-1.05}
built=$(cargo bench -p alloc-profiler --bench bare --bench sampled --no-run 2>&1) || { echo "$built" >&2; exit 1; }
program() { sed -n "s/.*Executable benches\/$1\.rs (\(.*\))/\1/p" <<<"$built"; }
bare=$(program bare) sampled=$(program sampled)

echo "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(nproc) cores; $(rustc --version); $runs runs"
results=$(mktemp) && trap 'rm -f "$results"' EXIT
for ((run = 0; run < runs; run++)); do
  for workload in "alloc+free" "churn" "JSON"; do
    # Whichever goes first meets a warmer or a cooler machine: take turns.
    order=(bare sampled); ((run % 2)) && order=(sampled bare)
    for which in "${order[@]}"; do "${!which}" "$workload" | sed "s/^/$run\t$which\t/"; done
  done
done >"$results"

python3 - "$results" "$max_ratio" <<'PYTHON'
import statistics, sys
times = {}
for line in open(sys.argv[1]):
    run, which, workload, nanos = line.rstrip("\n").split("\t")
    times.setdefault(workload, {}).setdefault(which, {})[run] = float(nanos)
print(f"{'workload':<18}{'bare ns':>12}{'sampled ns':>12}{'ratio':>8}  quartiles")
worst = 0.0
for workload, by in times.items():
    ratios = [by["sampled"][run] / by["bare"][run] for run in by["bare"]]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    worst = max(worst, ratio)
    medians = [statistics.median(by[which].values()) for which in ("bare", "sampled")]
    print(f"{workload:<18}{medians[0]:>12.2f}{medians[1]:>12.2f}{ratio:>8.3f}  {low:.3f}-{high:.3f}")
sys.exit(worst > float(sys.argv[2]))
PYTHON

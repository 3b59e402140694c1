#!/usr/bin/env bash
# Asks several profilers of the same blocks, whose owners are known (tests/benchmarks/holders), and prints for each how many of the shapes'
# allocation sites its answer names, and how many of their owners: the variable, the thread, or that a block is lost. heaptrack and dhat
# see all allocations, jemalloc's own profiler samples, and ours is asked at an interval of 1 and at the default.
#   scripts/bench-holders.sh [targets of each shape, 2000]
# Needs heaptrack, which it installs from Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."

count=${1:-2000}
command -v heaptrack_print >/dev/null || scripts/install-packages.sh heaptrack
manifest=tests/benchmarks/holders/Cargo.toml
export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/tests/benchmarks/target}/holders
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

build() { cargo build --quiet --locked --release --manifest-path "$manifest" "$@"; cp "$CARGO_TARGET_DIR/release/holders" "$folder/program"; }

# Prints a row: how many sites of the list are in the answer, and how many owners. With `folded` each line of the answer is a stack, and an
# owner counts only in one with the site.
row() {
  python3 - "$1" "$folder/names" "$2" "${3:-whole}" <<'PY'
import sys

who, names, answer, form = sys.argv[1:]
text = open(answer, errors="replace").read()
pieces = text.splitlines() if form == "folded" else [text]
shapes = [line.rstrip("\n").split("\t") for line in open(names) if "\t" in line]
sites = sum(f"shapes::{target}" in text for target, _ in shapes)
# The owner of a task's blocks has no name, so the function that spawns it stands in the list. It is on each stack.
is_named = lambda target, owner: any(f"shapes::{target}" in piece and owner in piece for piece in pieces)
owners = [target for target, owner in shapes if target != "in_task" and is_named(target, owner)]
print(f"| {who} | {sites} of {len(shapes)} | {len(owners)} of {len(shapes)} |", ", ".join(owners))
PY
}

echo '| profiler | allocation sites that are named | owners that are named |'
echo '|---|---|---|'
build
heaptrack -o "$folder/heaptrack" "$folder/program" "$count" > "$folder/names" 2>/dev/null
heaptrack_print -f "$folder"/heaptrack.* -F "$folder/answer" --flamegraph-cost-type leaked >/dev/null 2>&1
row heaptrack "$folder/answer" folded

build --features dhat
"$folder/program" "$count" "$folder/answer" > "$folder/names" 2>/dev/null
row dhat "$folder/answer"

build --features jemalloc
_RJEM_MALLOC_CONF=prof:true,prof_active:true,lg_prof_sample:19 "$folder/program" "$count" "$folder/answer.gz" > "$folder/names"
gzip -dc "$folder/answer.gz" > "$folder/answer"
row jemalloc_pprof "$folder/answer"

build --features ours
for interval in 1 524288; do
  "$folder/program" "$count" "$interval" > "$folder/out"
  awk -F'|' -v interval="$interval" '/^\| / { shapes++; right += $3 >= 0.95; wrong += $4 > 0 }
    END { printf "| ours, an interval of %s | %d of %d | %d of %d, and %d wrong |\n", interval, shapes, shapes, right, shapes, wrong }' "$folder/out"
done

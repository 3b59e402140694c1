#!/usr/bin/env bash
# Plants blocks whose owners are known (tests/owners), over the system's allocator, mimalloc and jemalloc, with every allocation sampled,
# at 64 KiB and at the default interval, in a debug build and in a release build. It prints for each what share of the bytes has the right
# owner, none and a wrong one, and fails if any has a wrong one. The test pprof-server/tests/holders has the first shapes over the system's allocator.
#   scripts/check-holders.sh [ALLOCATOR...]
# With names of allocators (system, mimalloc, jemalloc) it does so for those. With ROUNDS=N each is asked N times; the usual number is 1.
# With BUILDS="dev" or BUILDS="release" only that build is asked.
set -euo pipefail
cd "$(dirname "$0")/.."

allocators=("$@")
[[ $# -gt 0 ]] || allocators=(system mimalloc jemalloc)
target=${CARGO_TARGET_DIR:-target}/owners
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

failed=0
for allocator in "${allocators[@]}"; do
  features=()
  [[ $allocator == system ]] || features=(--features "$allocator")
  for build in ${BUILDS:-dev release}; do
    cargo build --quiet --locked --profile "$build" --manifest-path tests/owners/Cargo.toml --target-dir "$target" "${features[@]}"
    for setting in "1 40" "65536 2000" "524288 2000"; do
      read -r interval count <<< "$setting"
      for ((round = 1; round <= ${ROUNDS:-1}; round++)); do
        echo "## $allocator, $build, an interval of $interval"
        "$target/${build/dev/debug}/owners" "$interval" "$count" | tee "$folder/out" || failed=1
        grep -h ' shapes |' "$folder/out" | sed "s/^/| $allocator | $build | $interval /" >> "$folder/sums"
      done
    done
  done
done
echo
printf '| allocator | build | interval | right shapes | right | no owner | wrong |\n|---|---|---|---|---|---|---|\n'
cat "$folder/sums"
exit "$failed"

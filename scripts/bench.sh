#!/usr/bin/env bash
# Measures what the profiler costs beside the bare allocators and every rival, and judges it by the budget. It takes an hour
# and more, on a machine that has nothing else to do. `--quick` runs everything once and gives no useful figures; --help
# tells the rest. It exits with 1 if alloc+free, churn or JSON takes more than MAX_RATIO (default 1.05) of the bare time, over
# the system's allocator and at the default interval. docs/performance.md says what is measured, and how.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in cargo python3; do
  command -v "$tool" >/dev/null || { echo "bench.sh: needs $tool" >&2; exit 1; }
done

# Rivals are measured where these tools are installed, and left out with a note where not. As root on Debian, we install them.
missing=()
command -v valgrind >/dev/null || missing+=(valgrind)
command -v heaptrack >/dev/null || missing+=(heaptrack)
ls /usr/lib/*/libtcmalloc.so.4 >/dev/null 2>&1 || missing+=(libgoogle-perftools4)
if ((${#missing[@]})); then
  scripts/install-packages.sh "${missing[@]}" || echo "bench.sh: could not install ${missing[*]}" >&2
fi

exec python3 tests/benchmarks/runner --max-ratio "${MAX_RATIO:-1.05}" "$@"

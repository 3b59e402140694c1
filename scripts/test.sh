#!/usr/bin/env bash
# Checks everything that must hold before a change lands: format, lints, documentation, all tests in debug and in release,
# and what the documents promise. It needs Rust, Python with pip, Node (and Chromium, which root gets by apt) and 7 GB of disk.
# It installs the rest into this tree.
#
# Rust mangles names in two ways, `v0` by default since 1.97 and the old one before. What is built in debug is mangled as the
# toolchain does by itself, and what is built in release by `v0`; so a toolchain before 1.97 tries both at no further cost.
#
# Tests wait more than they work, for deadlines and for Go. So their programs run in rows beside one another, other checks go on beside
# them, and what only builds does so at a priority at which it takes no time from them. What all these say is shown when the tests are
# done.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=$(mktemp -d)
# The processor time of all that this shell has run and waited for, in seconds. A shell that begins in it would have times of its own.
processor_seconds() {
  local file=$logs/times.$BASHPID
  times >"$file"
  processor_seconds=$(awk 'NR == 2 { gsub(/[ms]/, " "); print int($1 * 60 + $2 + $3 * 60 + $4) }' "$file")
}
# Runs a command, and says when it was done and what processor time it took.
step() {
  local before processor_seconds
  processor_seconds; before=$processor_seconds
  printf '\n== %s\n' "$*"; "$@"
  processor_seconds
  printf '== %s s since the start, %s s of processor time\n' "$SECONDS" "$((processor_seconds - before))"
}
declare -A beside=()
# Starts a command with this niceness. It has a process group of its own, so that nothing of it outlives a step that fails.
beside() {
  local log; log=$(mktemp "$logs/XXXXXX")
  set -m; (renice -n "$1" "$BASHPID" >/dev/null; "${@:2}") >"$log" 2>&1 & beside[$!]=$log; set +m
}
# Waits for all of them. What failed is shown after the rest, and at the very end what its tests said when they failed: a reader who
# has only the end of this output finds it there.
join() {
  local pid status=0 log failed=()
  for pid in "${!beside[@]}"; do
    log=${beside[$pid]}
    if wait "$pid"; then cat "$log"; else status=$?; failed+=("$log"); fi
    unset "beside[$pid]"
  done
  ((status)) || return 0
  cat "${failed[@]}"
  for log in "${failed[@]}"; do
    printf '\n== failed: %s\n' "$(grep '^== ' "$log" | tail -1 | cut -c 4-)"
    sed -n '/^failures:$/,/^test result: FAILED/p; /^error/p; /^    `-p /p' "$log" | tail -n 200
  done
  return "$status"
}
trap 'for pid in "${!beside[@]}"; do kill -- "-$pid" 2>/dev/null || true; done; rm -rf "$logs"' EXIT

PATH="$(scripts/install-go.sh):$PATH"
promtool=$(scripts/install-promtool.sh)
PATH="$PATH${promtool:+:$promtool}"
# Nothing is built twice with a change in between.
export PATH RUSTDOCFLAGS="-D warnings" CARGO_INCREMENTAL=0
# The demo that is built with all tests. The scripts that need it take it from here.
DEMO_LEAK=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release/demo-leak
export DEMO_LEAK

by_v0() { RUSTFLAGS="${RUSTFLAGS-} -C symbol-mangling-version=v0" "$@"; }
if [[ $(rustc --crate-type lib --crate-name mangled --emit asm -o - - <<<'pub fn f() {}') == *$'\n_R'* ]]; then
  echo 'test.sh: v0 is what this Rust mangles by, so the old mangling is not tried; rustc before 1.97 does that'
fi

# These are not among the released tests: to build them with their examples takes an eighth of the time in which those are built. They
# ask a server over sockets and look at no name, and say the same in debug; or they build crates of their own, whatever they are built
# as themselves. scripts/long-busy.sh --tests has them in release too.
export ONLY_IN_DEBUG="access bad_requests descriptors install life mounted one_line_in_a_fresh_crate slow_clients stopping"

# Prints the arguments by which cargo chooses some programs of tests: those of row $1 of $2; of the released ones if $3 is --release.
row() {
  cargo metadata --format-version 1 --locked --no-deps | python3 -c '
import json, os, sys
targets = [target for package in json.load(sys.stdin)["packages"] for target in package["targets"]]
names = sorted({target["name"] for target in targets if target["kind"] == ["test"] and "required-features" not in target})
if "--release" in sys.argv:
    for name in os.environ["ONLY_IN_DEBUG"].split():
        names.remove(name)
print(*(f"--test={name}" for name in names[int(sys.argv[1])::int(sys.argv[2])]))
' "$@"
}

# The units of these are tested in release too: they have unsafe code, or go over memory. To build the others' takes a seventh of the time in
# which all released tests are built, and they say the same in debug; scripts/long-busy.sh --tests has them.
released_units=(-p alloc-profiler -p unwinder -p capture -p tasks -p holders --lib)

# Runs all tests, which have been built, with their programs in $1 rows. One run tells all that fails.
all_tests() {
  local rows=$1 number names units=(--workspace --lib --bins)
  shift
  [[ $* != *--release* ]] || units=("${released_units[@]}")
  for ((number = 0; number < rows; number++)); do
    read -ra names < <(row "$number" "$rows" "$@")
    beside 0 step cargo test --workspace "$@" --no-fail-fast "${names[@]}"
  done
  beside 0 step cargo test "${units[@]}" "$@" --no-fail-fast
  beside 0 step cargo test --workspace "$@" --no-fail-fast --doc
  join
}

locks_have_all_crates() {
  local workspace
  for workspace in tests/benchmarks tests/benchmarks/activity tests/benchmarks/locks tests/owners; do
    cargo metadata --manifest-path $workspace/Cargo.toml --locked --format-version 1 >/dev/null
  done
}

release_builds() {
  local names
  read -ra names < <(row 0 1 --release)
  step by_v0 cargo test --workspace --release --no-run --bins "${names[@]}"
  # What those tests and scripts start.
  step by_v0 cargo build --workspace --release --example grow --example second_copy --example sample
  step by_v0 cargo test "${released_units[@]}" --release --no-run
  # These programs are there now.
  step scripts/check-no-panic.py "$DEMO_LEAK"
  step scripts/check-handler.py "${DEMO_LEAK%/*}/examples/sample"
  step by_v0 scripts/check-locks.sh release static
}

# Nothing of it builds in release where the tests do, which would make them wait.
checks() {
  step cargo clippy -p pprof-server --no-default-features -- -D warnings
  step cargo fmt --manifest-path tests/benchmarks/Cargo.toml --check
  step cargo clippy --manifest-path tests/benchmarks/Cargo.toml --locked --all-targets -- -D warnings
  # Of all packages, so that what has been built for the other tests need not be built again with other features.
  step cargo test --workspace --features workspace-tests/push-tls --test push_over_tls
  step cargo doc --workspace --no-deps
  step scripts/check-msrv.sh
  step scripts/check-packages.sh
  step by_v0 scripts/check-fast-path.sh
  step by_v0 scripts/check-leak.sh
  step by_v0 scripts/check-leak.sh --fixed
}

step cargo fmt --all --check
step python3 scripts/mutants.py --check
step scripts/check-circles.py
step scripts/check-sentences.py
step locks_have_all_crates
step cargo clippy --workspace --all-targets --all-features -- -D warnings
step cargo test --workspace --no-run
beside 19 release_builds
all_tests 2
beside 19 checks
beside 0 step by_v0 scripts/check-ui.sh
by_v0 all_tests 2 --release
step scripts/check-first-five-minutes.sh
step by_v0 scripts/check-readme.sh

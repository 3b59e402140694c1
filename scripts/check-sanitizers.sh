#!/usr/bin/env bash
# Runs the code that works inside the program under AddressSanitizer and ThreadSanitizer. It needs a nightly Rust.
#   scripts/check-sanitizers.sh [address] [thread]
set -euo pipefail
cd "$(dirname "$0")/.."

target=x86_64-unknown-linux-gnu folder=${CARGO_TARGET_DIR:-target}/sanitizers
# Tests learn by this that a sanitizer is there.
export SANITIZER=1
units() { cargo +nightly test -q --target "$target" -p "$1" --lib -- "${@:2}"; }
tests() { cargo +nightly test -q --target "$target" -p workspace-tests "$@"; }

address() {
  export RUSTFLAGS="-Zsanitizer=address --cfg address_sanitizer" CARGO_TARGET_DIR=$folder/address
  # LeakSanitizer too. Its allocator is not the C library's, which one of the tests is about.
  units unwinder
  units alloc-profiler --skip freed_pages
  units pprof-server
  # Tests leave blocks behind on purpose, and ask for more than there is; and a thread's signal stack is theirs.
  export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:use_sigaltstack=0
  tests --test every_allocation_is_exact --test snapshots_hold_together_under_load \
    --test limits_hold_and_totals_stay_right --test a_new_interval_reaches_running_threads \
    --test ages_are_those_of_the_blocks --test estimates_match_the_truth
  # It reads profiles by Go.
  PATH="$(scripts/install-go.sh):$PATH" tests --test frames_in_libraries_are_named
  # Not those that limit or measure memory and stack, which are the sanitizer's then, and one that takes minutes.
  tests --test hazards -- --test-threads=2 --skip stack_room --skip memory_may_run_out --skip a_profile_is_packed --skip a_million_stacks \
    --skip distances_are_geometric --skip names_do_not_pile_up
  # What is freed stays in memory for a while, to be watched: little of it, where memory is measured.
  ASAN_OPTIONS+=:quarantine_size_mb=1 tests --test hazards names_do_not_pile_up
}

thread() {
  # The standard library is not built for it: what is false for that reason is in tsan.supp.
  export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" CARGO_TARGET_DIR=$folder/thread
  export TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp:allocator_may_return_null=1"
  units unwinder
  units alloc-profiler --skip freed_pages
  tests --test every_allocation_is_exact --test snapshots_hold_together_under_load \
    --test a_new_interval_reaches_running_threads
}

[[ $# -gt 0 ]] || set -- address thread
for sanitizer in "$@"; do "$sanitizer"; done

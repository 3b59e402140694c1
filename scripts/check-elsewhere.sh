#!/usr/bin/env bash
# Runs tests on this platform with what other platforms do about stacks. First they use the platform's unwinder, as on all of
# Unix except Linux on x86-64 and aarch64. Then they take no stacks, as with musl on other processors. On
# most of those platforms it is not known how much stack is left.
#
# Tests that rely on stacks of our own unwinder, or on how much stack is left, are left out. So is one in which signals come in the
# middle of assembly that moves the stack without saying so: the platform's unwinder then reads at whatever it takes for a return
# address.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/elsewhere

skipped=(--skip foreign_code::code_may --skip foreign_code::fibers_may --skip foreign_code::frame_pointers
  --skip without_tables::verified_frame_pointers --skip without_tables::what_is_not_verified --skip single_step::in_a_pause
  --skip libraries:: --skip on_a_small_stack --skip where_little_stack)
run() {
  # What is not used elsewhere is not used here either.
  export RUSTFLAGS="--cfg elsewhere $1 -Adead_code"
  cargo test -q -p alloc-profiler -p unwinder --lib
  cargo test -q -p workspace-tests --test a_new_interval_reaches_running_threads --test ages_are_those_of_the_blocks \
    --test snapshots_hold_together_under_load "${@:2}"
  cargo test -q -p workspace-tests --test hazards -- --test-threads=2 "${skipped[@]}"
}

run "" --test every_allocation_is_exact --test limits_hold_and_totals_stay_right
skipped+=(--skip a_million_stacks --skip memory_may_run_out --skip deep_recursion)
# Without stacks every sample counts as one without a stack, and these tests demand that nothing at all is lost.
skipped+=(--skip contract::a_realloc_that_fails --skip nested::allocators_around_one_another
  --skip nested::a_pool_over_the_global_allocator --skip without_tables::whole_stacks)
run '--cfg elsewhere="musl"'

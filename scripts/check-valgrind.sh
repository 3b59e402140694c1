#!/usr/bin/env bash
# Runs the hazards that are small enough for it under memcheck, as debug builds in one process each. It needs valgrind.
#
# Three kinds of hazards are left out: those of fibers and signal stacks, which valgrind would have to be told about (it calls
# any use of such a stack wrong); those of libraries, which take minutes; and those that limit or measure memory, stack or
# time, which are then valgrind's. valgrind.supp has the one report that is intended.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "check-valgrind.sh: valgrind is missing: apt-get install valgrind" >&2; exit 2; }

hazards=(
  call_outs::errno_stays
  call_outs::what_is_called_may_allocate
  call_outs::what_is_called_may_fail
  contract::any_sequence_of_calls_does_what_it_should
  foreign_code::code_may_have_no_unwind_tables
  foreign_code::frame_pointers_may_be_anything
  fork::children_begin_anew
  threads::threads_may_end_untidily
  threads::what_a_pause_frees_is_noticed
)
# The hazards' program, as cargo tells it.
program=$(cargo test --no-run --message-format=json -p workspace-tests --test hazards 2>/dev/null |
  python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "hazards": print(message["executable"])')

export SANITIZER=1 RUST_BACKTRACE=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for hazard in "${hazards[@]}"; do
  HAZARD=$hazard timeout 1800 valgrind -q --error-exitcode=9 --suppressions=scripts/valgrind.supp "$program" "$hazard" \
    --exact --test-threads=1 >"$log" 2>&1 && grep -q '^test result: ok. 1 passed' "$log" ||
    { cat "$log"; echo "check-valgrind.sh: $hazard failed" >&2; exit 1; }
  echo "$hazard: nothing, $SECONDS s since the start"
done

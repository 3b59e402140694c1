#!/usr/bin/env bash
# Measures what requests cost at their worst. Four clients at the same time send 10 000 requests that follow from a seed: good
# ones, bad ones, and those that cost most. The program that answers has 512 stacks and names of 8 and 71 KiB; its address space
# is limited to 900 MB. The script fails if the program ends, or if an answer is longer than its bound.
# It prints for each endpoint the longest request and answer and the longest time, and the program's memory. It takes some minutes.
# With STACK_BITS=15 in the environment there are 32 768 stacks, and it takes an hour.
# With --alone, one client sends the costliest requests of each endpoint instead, one at a time. Then processor time, and memory
# at the peak and afterwards, are those of that request and of the recorder, which takes a snapshot every second.
#   scripts/bench-requests.sh [--requests N, 10000] [--seed N, 1] [--alone]
set -euo pipefail
cd "$(dirname "$0")/.."

export REQUESTS=10000 SEED=1 STACK_BITS=${STACK_BITS:-9}
test=no_request_costs_more_than_its_bound
while (($#)); do
  case "$1" in
    --alone) test=what_each_request_costs_alone; shift; continue ;;
    --requests) REQUESTS=${2:?how many requests?} ;;
    --seed) SEED=${2:?which seed?} ;;
    *) echo "bench-requests: unknown argument $1; usage: scripts/bench-requests.sh [--requests N] [--seed N] [--alone]" >&2; exit 2 ;;
  esac
  shift 2
done
cargo test --release -q -p workspace-tests --test requests -- "$test" --exact --include-ignored --nocapture

#!/usr/bin/env bash
# Measures what requests cost at their worst. Four clients at the same time send 10 000 requests that follow from a seed: good
# ones, bad ones, and those that cost most. The program that answers has 512 stacks and names of 8 and 71 KiB; its address space
# is limited to 900 MB. The script fails if the program ends, or if an answer is longer than its bound.
# It prints for each endpoint the longest request and answer and the longest time, and the program's memory. It takes some minutes.
# With STACK_BITS=15 in the environment there are 32 768 stacks, and it takes an hour.
#   scripts/worst-requests.sh [--requests N, 10000] [--seed N, 1]
set -euo pipefail
cd "$(dirname "$0")/.."

export REQUESTS=10000 SEED=1 STACK_BITS=${STACK_BITS:-9}
while (($#)); do
  case "$1" in
    --requests) REQUESTS=${2:?how many requests?} ;;
    --seed) SEED=${2:?which seed?} ;;
    *) echo "worst-requests: unknown argument $1; usage: scripts/worst-requests.sh [--requests N] [--seed N]" >&2; exit 2 ;;
  esac
  shift 2
done
cargo test --release -q -p workspace-tests --test requests -- --nocapture

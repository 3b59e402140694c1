#!/usr/bin/env bash
# What requests cost at their worst: 10 000 of them from a seed, good ones, bad ones and those that cost most, by four clients
# at the same time, to a program with 16 384 stacks of 45 frames and names of 8 and 71 KiB, whose address space is limited to
# 900 MB. Fails if the program ends, or if an answer is longer than its bound. Prints for each endpoint the longest request
# and answer and the longest time, and the program's memory. Takes some minutes.
#   scripts/worst-requests.sh [--requests N, 10000] [--seed N, 1]
set -euo pipefail
cd "$(dirname "$0")/.."

export REQUESTS=10000 SEED=1 STACK_BITS=14
while (($#)); do
  case "$1" in
    --requests) REQUESTS=${2:?how many requests?} ;;
    --seed) SEED=${2:?which seed?} ;;
    *) echo "worst-requests: unknown argument $1; usage: scripts/worst-requests.sh [--requests N] [--seed N]" >&2; exit 2 ;;
  esac
  shift 2
done
cargo test --release -q -p workspace-tests --test requests -- --nocapture

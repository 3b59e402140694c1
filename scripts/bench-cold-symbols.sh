#!/usr/bin/env bash
# Measures what the first names cost in a program with 100 MB of debug information. It takes some minutes to build that
# program, and then prints time and memory. The goals are 1 s, 64 MiB at the peak, and afterwards 8 MiB more than before. Then it
# prints how late the first CPU profile comes; the goal is 1 s.
set -euo pipefail
cd "$(dirname "$0")/.."

built=$(cargo build --profile giant -p workspace-tests --bench cold_symbols --message-format=json)
program=$(grep '"name":"cold_symbols"' <<<"$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
size -A "$program" | awk '/^\.debug_/ { sum += $2 } /^\.debug_info / { info = $2 }
  END { printf "debug information: %.0f MB, of that .debug_info %.0f MB\n", sum / 1e6, info / 1e6 }'
for _ in 1 2 3; do "$program"; done
for _ in 1 2 3; do "$program" cpu; done

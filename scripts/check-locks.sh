#!/usr/bin/env bash
# Links a program that has our `syscall` in every way that is common, and demands that waits for locks are seen; then counts in its
# machine code what that costs while it is off, and what a label costs. With strace it also compares the calls of the system. It runs on Linux on x86-64; elsewhere it says so and passes.
# Usage: scripts/check-locks.sh [PROFILE …] [static]; without any, all profiles, all linkers that are there, and a static program.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ $(uname -sm) == "Linux x86_64" ]] || { echo "check-locks: skipped, not Linux on x86-64"; exit 0; }
command -v objdump >/dev/null || { echo "check-locks: install binutils first" >&2; exit 1; }

build() { # PROFILE FOLDER FLAGS
  RUSTFLAGS="${*:3}" cargo build -q -p capture --example sees_locks --example futex_calls --profile "$1" --target x86_64-unknown-linux-gnu --target-dir "$2"
}

# Runs the program, which ends with an error if it does not see waits.
try() { # NAME PROFILE FOLDER
  local said
  said=$("$(program "$2" "$3")") || { echo "check-locks: $1: waits are not seen" >&2; exit 1; }
  echo "$1: $said"
}

program() { # PROFILE FOLDER
  echo "$2/x86_64-unknown-linux-gnu/${1/#dev/debug}/examples/sees_locks"
}

profiles=() static=no
for argument; do
  if [[ $argument == static ]]; then static=yes; else profiles+=("$argument"); fi
done
((${#profiles[@]})) || profiles=(dev release thin fat small)
target=${CARGO_TARGET_DIR:-target}
for profile in "${profiles[@]}"; do
  build "$profile" "$target/locks"
  try "$profile" "$profile" "$target/locks"
done
if ((! $#)); then
  for linker in lld bfd gold mold; do
    command -v "ld.$linker" >/dev/null || { echo "$linker: not there"; continue; }
    build release "$target/locks-$linker" "-Clink-arg=-fuse-ld=$linker"
    try "$linker" release "$target/locks-$linker"
  done
fi
if ((! $#)) || [[ $static == yes ]]; then
  # All of it is compiled for that, as in a program that users link so: only then our own unwinder is there.
  build release "$target/locks-static" -Ctarget-feature=+crt-static
  try static release "$target/locks-static"
fi

# The system sees the same calls whether waits are measured or not, of operations that are no waits and wakes too.
if command -v strace >/dev/null; then
  calls=$(dirname "$(program "${profiles[-1]}" "$target/locks")")/futex_calls
  for mode in off on; do
    seen=$(strace -e trace=futex "$calls" "$mode" 2>&1 | sed -E 's/0x[0-9a-f]{6,}/ADDRESS/g')
    [[ $mode == off ]] && expected=$seen
  done
  [[ $seen == "$expected" ]] || { diff <(echo "$expected") <(echo "$seen") >&2; echo "check-locks: calls differ while waits are measured" >&2; exit 1; }
  (($(grep -c '^futex' <<<"$seen") >= 18)) || { echo "check-locks: too few calls to be true: $seen" >&2; exit 1; }
  echo "strace: 18 calls of futex are the same while waits are measured"
else
  echo "strace: not there"
fi

python3 - "$(program "${profiles[-1]}" "$target/locks")" <<'PYTHON'
import re
import subprocess
import sys

code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-M", "intel", sys.argv[1]], capture_output=True, text=True, check=True).stdout


def instructions(name):
    found = re.search(rf"^[0-9a-f]+ <{name}>:\n((?:.+\n)+)", code, re.M)
    if not found:
        sys.exit(f"check-locks: the program has no function {name}")
    return [line.split("\t")[1].strip() for line in found.group(1).splitlines() if "\t" in line]


head = [instruction.split()[0] for instruction in instructions("syscall")[:4]]
if head != ["cmp", "jne", "cmp", "jne"]:
    sys.exit(f"check-locks: `syscall` begins with {head}, and not with two instructions for any call and two for a futex")
stores = [one for one in instructions("under_a_label") if re.match(r"mov\s+DWORD PTR fs:", one)]
if len(stores) != 2:
    sys.exit(f"check-locks: a scope of labels has {len(stores)} stores, and not 2: {stores}")
print("off: 2 instructions for a call of `syscall`, and 2 more for a futex; a label: 2 stores")
PYTHON

#!/usr/bin/env python3
"""Nothing that the allocator calls can panic, by the machine code of a released program.

Follows every call from the allocator's entry points, as far as the C library. What may be reached is the abort
that stands where a panic would leave an `extern "C"` function; what starts a panic may not. Linux on x86-64.

    scripts/check-no-panic.py [program, by default `demo-leak`]
"""

import re
import sys

from machine_code import ABORT, PANIC, released

ENTRIES = re.compile(r"__rust_(alloc|dealloc|realloc|alloc_zeroed)$")
OURS = re.compile(r"alloc_profiler|unwinder")


def main():
    program = released("demo-leak", "-p", "demo-leak")
    entries = [address for address, name in program.names.items() if ENTRIES.search(name)]
    if len(entries) < 4:
        sys.exit(f"check-no-panic: entry points not found, only {len(entries)}")
    came_from = program.reached(entries, lambda name: not PANIC.search(name))
    panics = [address for address in came_from
              if PANIC.search(program.names[address]) and not ABORT.search(program.names[address])]
    for address in panics:
        print(program.path(came_from, address))
    ours = sum(bool(OURS.search(program.names[address])) for address in came_from)
    print(f"check-no-panic: {len(came_from)} functions, {ours} of ours, {len(panics)} that panic")
    if ours < 20:
        sys.exit("check-no-panic: too few to be true")
    sys.exit(bool(panics))


main()

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
# gimli's evaluation of a row has four assertions about the stack of rows that it made itself: each begins with one row, and is
# popped only where it has more. The optimizer does not see that they hold; the fuzz target of unwind tables tries them. There may
# be no more of them than were read.
GIMLI = re.compile(r"^<?gimli::read::cfi::(FrameDescriptionEntry.*::unwind_info_for_address|UnwindTable.*::next_row)")
MOST_OF_GIMLI = 4


def main():
    program = released("demo-leak", "-p", "demo-leak")
    entries = [address for address, name in program.names.items() if ENTRIES.search(name)]
    if len(entries) < 4:
        sys.exit(f"check-no-panic: entry points not found, only {len(entries)}")
    came_from = program.reached(entries, lambda name: not PANIC.search(name))
    panics = [address for address in came_from
              if PANIC.search(program.names[address]) and not ABORT.search(program.names[address])]
    of_gimli = [address for address in panics if GIMLI.search(program.path(came_from, address).split(" <- ")[1])]
    panics = [address for address in panics if address not in of_gimli]
    for address in panics:
        print(program.path(came_from, address))
    ours = sum(bool(OURS.search(program.names[address])) for address in came_from)
    print(f"check-no-panic: {len(came_from)} functions, {ours} of ours, {len(panics)} that panic, "
          f"{len(of_gimli)} more by assertions of gimli's")
    if ours < 20:
        sys.exit("check-no-panic: too few to be true")
    if len(of_gimli) > MOST_OF_GIMLI:
        sys.exit(f"check-no-panic: gimli has more than the {MOST_OF_GIMLI} assertions that are known to hold")
    sys.exit(bool(panics))


main()

#!/usr/bin/env python3
"""Nothing that the allocator calls can panic, by the machine code of a released program.

Follows every direct call from the allocator's entry points, as far as the C library. What may be reached is the abort
that stands where a panic would leave an `extern "C"` function; what starts a panic may not. Linux on x86-64.
"""

import collections
import os
import re
import subprocess
import sys

ENTRIES = re.compile(r"__rust_(alloc|dealloc|realloc|alloc_zeroed)$")
PANIC = re.compile(r"panic|unwrap_failed|expect_failed|slice_index|_fail\b|begin_unwind|handle_alloc_error")
OURS = re.compile(r"alloc_profiler|unwinder")
ABORT = re.compile(r"panic_cannot_unwind|panic_nounwind|panic_in_cleanup|panic_immediate_abort")


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(root, "target"))
    if len(sys.argv) > 1:
        program = sys.argv[1]
    else:
        subprocess.run(["cargo", "build", "-q", "--release", "-p", "demo-leak"], cwd=root, check=True)
        program = os.path.join(target, "release", "demo-leak")
    names, calls = functions_and_calls(program)
    entries = [address for address, name in names.items() if ENTRIES.search(name)]
    if len(entries) < 4:
        sys.exit(f"check-no-panic: entry points not found, only {len(entries)}")
    came_from, queue = dict.fromkeys(entries), collections.deque(entries)
    while queue:
        caller = queue.popleft()
        for callee in sorted(calls[caller]):
            if callee in names and callee not in came_from and not ABORT.search(names[callee]):
                came_from[callee] = caller
                if not PANIC.search(names[callee]):
                    queue.append(callee)
    panics = [address for address in came_from if PANIC.search(names[address])]
    for address in panics:
        path = [address]
        while came_from[path[-1]]:
            path.append(came_from[path[-1]])
        print(" <- ".join(names[address] for address in path))
    ours = sum(bool(OURS.search(names[address])) for address in came_from)
    print(f"check-no-panic: {len(came_from)} functions, {ours} of ours, {len(panics)} that panic")
    if ours < 20:
        sys.exit("check-no-panic: too few to be true")
    sys.exit(bool(panics))


def functions_and_calls(program):
    """Names by address, and by the address of a function those that it calls or jumps to, also through the table of
    addresses that the loader fills."""
    relocations = subprocess.run(["readelf", "-rW", program], capture_output=True, text=True, check=True).stdout
    slots = {int(place, 16): int(address, 16)
             for place, address in re.findall(r"^([0-9a-f]+) .*R_X86_64_RELATIVE +([0-9a-f]+)$", relocations, re.M)}
    names, calls, current = {}, collections.defaultdict(set), None
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-C", program], capture_output=True, text=True,
                             check=True).stdout
    for line in listing.splitlines():
        if head := re.match(r"([0-9a-f]+) <(.*)>:$", line):
            current = int(head[1], 16)
            names[current] = head[2]
        elif direct := re.search(r"\b(?:call|j[a-z]+) +([0-9a-f]+) <", line):
            calls[current].add(int(direct[1], 16))
        elif through := re.search(r"\b(?:call|jmp) +\*0x[0-9a-f]+\(%rip\) +# ([0-9a-f]+)", line):
            calls[current].add(slots.get(int(through[1], 16), 0))
    return names, calls


main()

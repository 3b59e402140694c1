#!/usr/bin/env python3
"""What the signal handler of `capture` may reach, by the machine code of a released program.

Follows every call from the handler. It may call nothing of the C library but what copies and compares memory, use no thread-local
but the label of the thread, and start no panic. What is called through an address that was found at run time is named below: the
loader's index of code, the handler that was there before ours, and the walk on a scratch stack. What gimli asserts of itself is left
out: no unwind table that the fuzz target `unwind_tables` tried has led there, and if one did, the program would be ended with a
message. Linux on x86-64.

    scripts/check-handler.py [program, by default the example `sample` of `capture`]
"""

import re
import sys

from machine_code import ABORT, PANIC, released

ENTRY = re.compile(r"capture::by_signals::handler::on_signal$")
# The walk begins on another stack, through an address.
WALK = re.compile(r"capture::by_signals::handler::walk$")
IMPORTS = {"memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"}
# Functions that call what was found at run time, and how many such calls they have at most.
AT_RUN_TIME = {
    r"capture::by_signals::scratch::run_on$": 1,
    # Two kinds of handlers; it may be part of the entry.
    r"capture::by_signals::(earlier_handlers::forward|handler::on_signal)$": 2,
    # The loader's index, which may be part of its callers.
    r"unwinder::by_tables::": 2,
}
# The label lies in room that the loader sets aside when it starts a thread, so no call is made for it. A function reads it once.
# Some registers need a distance of 0 to be written.
LABEL = re.compile(r"\bmov +%fs:(0x0)?\(%r\w+\),%r\w+")
READS_LABEL = re.compile(r"capture::by_signals::handler::")
# Where the assertions of gimli are. To leave a function by a panic is also how `_Unwind_Resume` is reached.
ASSERTS = re.compile(r"^<?gimli::")


def main():
    program = released("examples/sample", "-p", "capture", "--example", "sample")
    entries = [address for address, name in program.names.items() if ENTRY.search(name) or WALK.search(name)]
    if len(entries) != 2:
        sys.exit(f"check-handler: {len(entries)} of the two entries found")
    came_from = program.reached(entries, lambda name: not PANIC.search(name) and not name.endswith("@plt"))
    wrong = []
    for address in came_from:
        name, path = program.names[address], program.path(came_from, address)
        stub = re.fullmatch(r"(.*)@plt", name)
        imports = {stub[1].split("@")[0]} if stub else program.imports[address]
        imports = imports - {"_Unwind_Resume"}
        wrong += [f"{other} <- {path}" for other in sorted(imports - IMPORTS)]
        callers = [caller for caller in came_from if address in program.calls[caller]]
        is_assertion = all(ASSERTS.search(program.names[caller]) or PANIC.search(program.names[caller]) for caller in callers)
        if PANIC.search(name) and not ABORT.search(name) and not is_assertion:
            wrong.append(path)
        if PANIC.search(name) or stub:
            continue
        allowed = max((count for pattern, count in AT_RUN_TIME.items() if re.search(pattern, name)), default=0)
        if program.unknown[address] > allowed:
            wrong.append(f"{program.unknown[address]} calls through addresses in {path}")
        # The thread's own record begins with its address, and is no thread-local of anybody's.
        locals_ = [line for line in program.lines[address] if "%fs:" in line and not re.search(r"%fs:0x0,", line)]
        label = next((line for line in locals_ if READS_LABEL.search(name) and LABEL.search(line)), None)
        wrong += [f"{line} in {path}" for line in locals_ if line is not label]
    for line in wrong:
        print(line)
    print(f"check-handler: {len(came_from)} functions, {len(wrong)} things that a handler may not do")
    if len(came_from) < 15:
        sys.exit("check-handler: too few to be true")
    sys.exit(bool(wrong))


main()

"""Reads the machine code of a program: which function calls which. Linux on x86-64."""

import collections
import os
import re
import subprocess
import sys

# What starts a panic, and of that what ends the program at once, which stands where a panic would leave a C function.
PANIC = re.compile(r"panic|unwrap_failed|expect_failed|slice_index|_fail\b|begin_unwind|handle_alloc_error")
ABORT = re.compile(r"panic_cannot_unwind|panic_nounwind|panic_in_cleanup|panic_immediate_abort")
# What a jump through a table of a `match` looks like, and not a call: the address was just added up, a few instructions before.
TABLE = re.compile(r"\badd +%r\w+,(%r\w+)$")


class Program:
    """`names` by address; `calls`: by the address of a function, those that it calls or jumps to, also through the table of addresses
    that the loader fills; `imports`: the same, by name, of functions of other files; `unknown`: how often a function calls what a
    register or memory says; `lines`: its instructions."""

    def __init__(self, path):
        relocations = run("readelf", "-rW", path)
        slots = {int(place, 16): int(address, 16)
                 for place, address in re.findall(r"^([0-9a-f]+) .*R_X86_64_RELATIVE +([0-9a-f]+)$", relocations, re.M)}
        imported = {int(place, 16): name for place, name in re.findall(
            r"^([0-9a-f]+) .*R_X86_64_(?:GLOB_DAT|JUMP_SLOT) +[0-9a-f]+ ([\w.]+)", relocations, re.M)}
        self.names, self.calls = {}, collections.defaultdict(set)
        self.imports, self.unknown = collections.defaultdict(set), collections.Counter()
        self.lines = collections.defaultdict(list)
        current, before, loaded = None, collections.deque(maxlen=5), {}
        for line in run("objdump", "-d", "--no-show-raw-insn", "-C", path).splitlines():
            if head := re.match(r"([0-9a-f]+) <(.*)>:$", line):
                current, loaded = int(head[1], 16), {}
                self.names[current] = head[2]
            elif load := re.search(r"\bmov +0x[0-9a-f]+\(%rip\),(%r\w+) +# ([0-9a-f]+)", line):
                # A function that is called often has its address in a register.
                loaded[load[1]] = int(load[2], 16)
            elif (copy := re.search(r"\bmov +(%r\w+),(%r\w+)$", line.rstrip())) and copy[1] in loaded:
                loaded[copy[2]] = loaded[copy[1]]
            elif direct := re.search(r"\b(?:call|j[a-z]+) +([0-9a-f]+) <", line):
                self.calls[current].add(int(direct[1], 16))
            elif through := re.search(r"\b(?:call|jmp) +\*0x[0-9a-f]+\(%rip\) +# ([0-9a-f]+)", line):
                self.add(current, int(through[1], 16), imported, slots)
            elif anywhere := re.search(r"\b(?:call|jmp) +\*(.*)", line):
                added = [added[1] for added in map(TABLE.search, before) if added]
                if anywhere[1].strip() not in added:
                    self.add(current, loaded.get(anywhere[1]), imported, slots)
            if current is not None and line.strip():
                self.lines[current].append(line.strip())
            before.append(line.strip())

    def add(self, caller, slot, imported, slots):
        if slot in imported:
            self.imports[caller].add(imported[slot])
        elif slot in slots:
            self.calls[caller].add(slots[slot])
        else:
            self.unknown[caller] += 1

    def reached(self, entries, is_followed):
        """All functions that `entries` lead to, each with one of its callers; calls of a function are followed if its name is."""
        came_from, queue = dict.fromkeys(entries), collections.deque(entries)
        while queue:
            caller = queue.popleft()
            for callee in sorted(self.calls[caller]):
                if callee in self.names and callee not in came_from:
                    came_from[callee] = caller
                    if is_followed(self.names[callee]):
                        queue.append(callee)
        return came_from

    def path(self, came_from, address):
        """How a function was reached, as names: itself first."""
        path = [address]
        while came_from[path[-1]]:
            path.append(came_from[path[-1]])
        return " <- ".join(self.names[address] for address in path)


def released(path, *of_cargo):
    """The program that the script's argument names. Without one, that is `path` in the folder of released programs, which
    `cargo build` makes of the arguments `of_cargo`."""
    if len(sys.argv) > 1:
        return Program(sys.argv[1])
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    subprocess.run(["cargo", "build", "-q", "--release", *of_cargo], cwd=root, check=True)
    return Program(os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(root, "target")), "release", path))


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

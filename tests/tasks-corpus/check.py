"""Compares what a build of the corpus says of its own tasks with what its source says. scripts/check-tasks.sh runs it.

    check.py [--without-types] PROGRAM...

Each PROGRAM is a build of the corpus. For each, it prints how many tasks are right, marked unknown and wrong, and it fails if any is
wrong or missing, or if no task is right that waits. With --without-types, no task that waits may be right. The source's markers
(src/main.rs describes them) are all that it knows.

A task is *right* if its lines within the corpus are those that are marked, in order, down to the one that it waits at. It is
*unknown* if the answer says that it does not know the line, or how the chain goes on, and all that it does say is marked. All else
is *wrong*.
"""

import pathlib
import re
import subprocess
import sys
import urllib.request

SHAPES = pathlib.Path(__file__).parent / "src/shapes"
MARKER = re.compile(r"// (waits|via|branch|root|ended|runs): (.+)$")
BLOCK = re.compile(r"task (0x[0-9a-f]+) \[([^\]]*)\]")
# What the answer says where a macro's own line is all that is known.
IN_MACRO = "[in a macro]"
BRANCH = re.compile(r"\[\d+\] ")


class Truth:
    """What the source says of one shape."""

    def __init__(self):
        self.waits = self.root = None
        self.via = {}
        self.branches = set()
        self.fate = None

    def chain(self):
        """The lines from the root to where it waits."""
        return [self.via[depth] for depth in sorted(self.via)] + [self.waits]


def truths():
    found = {}
    for path in sorted(SHAPES.glob("*.rs")):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            marker = MARKER.search(line)
            if not marker:
                continue
            is_alone = line.lstrip().startswith("//")
            at = (path.name, number + 1 if is_alone else number)
            kind, rest = marker.groups()
            words = rest.split()
            if kind == "branch":
                for shape in words:
                    found.setdefault(shape, Truth()).branches.add(at)
                continue
            truth = found.setdefault(words[0], Truth())
            if kind == "via":
                truth.via.update((int(depth), at) for depth in words[1:])
            elif kind in ("waits", "root"):
                setattr(truth, kind, at)
            else:
                truth.fate = kind
    return found


class Block:
    """What the answer says of one task: its state and its frames, the innermost first."""

    def __init__(self, state):
        self.state = state
        self.frames = []
        self.branches = []


def blocks(text):
    found = {}
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        head = next((line for line in lines if BLOCK.match(line)), None)
        if not head:
            continue
        address, state = BLOCK.match(head).groups()
        block = found[int(address, 16)] = Block(state)
        for function, place in zip(lines, lines[1:]):
            # What follows are the callers of the function that spawned.
            if function.startswith("created by "):
                break
            where = re.match(r"\t(.*):(\d+) ", place)
            if not where or function.startswith(("\t", "task ")):
                continue
            frame = (function, pathlib.PurePath(where[1]), int(where[2]))
            (block.branches if BRANCH.match(function) else block.frames).append(frame)
    return found


def in_corpus(frames):
    """The frames that are this package's own code."""
    return [frame for frame in frames if "tasks-corpus/src/shapes" in str(frame[1])]


def judge(truth, block):
    """(verdict, why)"""
    own = in_corpus(block.frames)[::-1]
    said = [(path.name, line) for function, path, line in own if IN_MACRO not in function]
    if truth.fate and block.state == "not read" and not said:
        return "unknown", block.state
    if truth.fate:
        expected = {"ended": "complete", "runs": "busy"}[truth.fate]
        return ("right", "") if block.state == expected and not said else ("wrong", f"{block.state} {said}: it {truth.fate}")
    if truth.root and said:
        return ("right", "") if said == [truth.root] else ("wrong", f"{said}: it was never polled")
    if not block.state.startswith(("suspended", "scheduled")):
        return ("unknown", block.state) if not said else ("wrong", block.state)
    strange = [at for _, path, line in in_corpus(block.branches) if (at := (path.name, line)) not in truth.branches]
    if strange:
        return "wrong", f"branches {strange}, marked are {sorted(truth.branches)}"
    if said == truth.chain():
        return "right", ""
    if said == truth.chain()[: len(said)]:
        return "unknown", f"it says {said} of {truth.chain()}"
    return "wrong", f"it says {said}, marked is {truth.chain()}"


def check(program, truth_of, has_types):
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PPROF_QUIET": "1"})
    cells = {}
    for line in process.stdout:
        words = line.split()
        if words[0] == "shape":
            cells[words[1]] = int(words[2], 16)
        elif words[0] == "ready":
            break
    with urllib.request.urlopen(f"{words[1]}goroutine?debug=2", timeout=300) as answer:
        text = answer.read().decode()
    process.stdin.close()
    process.wait(60)
    found, verdicts = blocks(text), {"right": [], "unknown": [], "wrong": []}
    for shape in sorted(set(truth_of) | set(cells)):
        if shape not in truth_of or shape not in cells:
            verdicts["wrong"].append((shape, "it is not in both the source and the program"))
        elif cells[shape] not in found:
            verdicts["wrong"].append((shape, "the answer does not have it"))
        else:
            verdict, why = judge(truth_of[shape], found[cells[shape]])
            verdicts[verdict].append((shape, why))
    # Tasks that tasks of the corpus have spawned have no shape of their own.
    marked = {at for truth in truth_of.values() for at in [*truth.via.values(), *truth.branches, truth.waits, truth.root]}
    for address in set(found) - set(cells.values()):
        said = [(path.name, line) for _, path, line in in_corpus(found[address].frames)]
        if not set(said) <= marked:
            verdicts["wrong"].append((hex(address), f"it says {said}, which is not marked"))
    counts = ", ".join(f"{len(shapes)} {verdict}" for verdict, shapes in verdicts.items())
    print(f"{program}: {len(truth_of)} shapes: {counts}")
    for verdict in ("unknown", "wrong"):
        for shape, why in verdicts[verdict]:
            print(f"  {verdict}: {shape}: {why}")
    # What ended or runs is known without types.
    is_line_known = any(not truth_of[shape].fate for shape, _ in verdicts["right"])
    return is_line_known == has_types and not verdicts["wrong"]


def main():
    programs = [argument for argument in sys.argv[1:] if argument != "--without-types"]
    has_types = len(programs) == len(sys.argv) - 1
    truth_of = truths()
    if len(truth_of) < 25:
        sys.exit(f"check.py: the source marks {len(truth_of)} shapes, and there should be 25 at least")
    results = [check(program, truth_of, has_types) for program in programs]
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()

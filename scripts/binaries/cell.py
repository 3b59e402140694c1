"""A cell of the matrix of check-binaries.py: a program that leaks, how it is started, and what its profile is worth."""

import json
import pathlib
import re
import shutil
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "pprof-server/tests/programs/leak.rs"
LINES = {code: 1 + [line.strip() for line in SOURCE.read_text().splitlines()].index(code)
         for code in ["vec![1; 5 << 20]", "black_box(inlined())"]}
INLINED, LEAK = f"leak::inlined {SOURCE}:{LINES['vec![1; 5 << 20]']}", f"leak::leak {SOURCE}:{LINES['black_box(inlined())']}"
NAMED, EXPLAINED, WRONG = "named", "explained", "wrong"


class Impossible(Exception):
    """What a cell needs cannot be had."""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise Impossible(f"{command}: {done.stderr}")
    return done.stdout


class Builder:
    """Links the program against the library as cargo has built it, each combination of flags once."""

    def __init__(self, folder):
        self.folder = folder
        told = run("cargo", "build", "--release", "-p", "pprof-server", "--message-format", "json", cwd=ROOT)
        messages = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
        library = next(message["filenames"][0] for message in messages
                       if message.get("target", {}).get("name") == "pprof_server" and "rlib" in message["filenames"][0])
        self.library = pathlib.Path(library)
        self.built = {}

    def program(self, *flags, debug="limited"):
        key = (flags, debug)
        if key not in self.built:
            folder = self.folder / f"build{len(self.built)}"
            folder.mkdir()
            run("rustc", "--edition", "2024", "-C", "opt-level=3", "-C", f"debuginfo={debug}", *flags,
                f"--extern=pprof_server={self.library}", "-L", f"dependency={self.library.parent / 'deps'}",
                "-o", folder / "leak", SOURCE, cwd=folder)
            self.built[key] = folder / "leak"
        return self.built[key]


class Cell:
    """A folder of its own, with a copy of the program in it."""

    def __init__(self, builder, folder):
        self.builder, self.folder, self.cleanups = builder, folder, []

    def copy(self, *flags, name="leak", **options):
        program = self.folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.builder.program(*flags, **options), program)
        return program

    def objcopy(self, program, *flags):
        run("objcopy", *flags, program)
        return program

    def apart(self, program, where, strip="--strip-all", *flags):
        """Puts the debug information into a file of its own."""
        where.parent.mkdir(parents=True, exist_ok=True)
        run("objcopy", "--only-keep-debug", *flags, program, where)
        run("objcopy", strip, program)
        run("objcopy", f"--add-gnu-debuglink={where}", program)
        return program


def served(command, **options):
    """Starts the program and waits until it serves."""
    program = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               **options)
    for line in program.stdout:
        if line.startswith("served at "):
            return program, line.split()[-1]
    raise Impossible(f"{command} does not serve; exit code {program.wait()}")


def judge(address, folder):
    """The verdict, and what it rests on."""
    profile = folder / "heap.pb.gz"
    profile.write_bytes(urllib.request.urlopen(f"http://{address}/debug/pprof/heap").read())
    top = run("go", "tool", "pprof", "-top", "-lines", "-unit=mb", "-nodefraction=0", profile)
    comments = run("go", "tool", "pprof", "-comments", profile)
    symbols = json.load(urllib.request.urlopen(f"http://{address}/debug/pprof/history"))["symbols"]
    rows = [re.sub(r"^(\s*\S+){5}\s+", "", line) for line in top.split("flat%")[-1].splitlines()[1:]]
    first = rows[0] if rows else ""
    is_named = first == f"{INLINED} (inline)" and LEAK in rows
    reasons = [line for line in comments.splitlines() if not line.startswith(("in use: ", "profiler memory: "))]
    evidence = f"first row: {first}; symbols: {symbols}; reasons: {reasons}"
    if is_named:
        return (NAMED if symbols == "full" else WRONG), evidence
    # Nothing that is said may be wrong: a line of the program is the right one, or none.
    places = [row for row in rows if re.search(r"leak::(leak|inlined)\b", row)]
    is_right = all(re.sub(r" \(inline\)$", "", row) in (INLINED, LEAK, "leak::leak", "leak::leak ") for row in places)
    # The library around it is not where the leak is.
    is_right = is_right and "alloc_profiler" not in first and "pprof_server" not in first
    # Names may be there where stacks are not.
    is_told = symbols != "full" or first == "[unknown stack]"
    return (EXPLAINED if is_right and reasons and is_told else WRONG), evidence


CELLS = []


def cell(name, verdict=NAMED, needs=None):
    def add(prepare):
        CELLS.append((name, verdict, needs, prepare))
        return prepare
    return add


def linked(name, *flags, verdict=NAMED, needs=None, debug="limited"):
    """A cell that differs in how it is linked alone."""
    cell(name, verdict, needs)(lambda cell: [cell.copy(*flags, debug=debug)])

#!/usr/bin/env python3
"""One small program that leaks, as linkers, packagers and kernels leave it: is the leaking line named?

Each cell of the matrix links the program anew, or takes a copy of it apart, or starts it in some other way, and reads its
profile with `go tool pprof`. There are three verdicts:

  named      function, file and line of the leak, inlined ones too, are right
  explained  something is missing, nothing is wrong, and a comment of the profile says what, why, and what to do about it
  wrong      anything else; also if `symbols` says "full" where something is missing

Prints a line for each cell, then the counts. Fails if one is wrong, or named where explained was all that could be, or
the other way round. Takes some minutes. Linux on x86-64; wants gcc, binutils and Go, and leaves out the cells of tools that
are not there: gold, lld, mold, patchelf, dwz, llvm-bolt. As root it also tries debug files below /usr/lib/debug.
Arguments choose cells by words in their names, any of which will do.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
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


def link_cells():
    linkers = {
        "rustc's own": (),
        "bfd": ("-C", "linker-flavor=gcc", "-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=bfd"),
        "gold": ("-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=gold"),
        "lld 14": ("-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=lld"),
        "mold": ("-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=mold"),
    }
    needs = {"gold": "ld.gold", "lld 14": "ld.lld", "mold": "mold"}
    kinds = {"PIE": (), "no PIE": ("-C", "relocation-model=static"), "static PIE": ("-C", "target-feature=+crt-static")}
    pages = {"4 KiB": (), "64 KiB": ("-C", "link-arg=-Wl,-z,max-page-size=65536"),
             "2 MiB": ("-C", "link-arg=-Wl,-z,max-page-size=2097152")}
    for linker, linker_flags in linkers.items():
        for kind, kind_flags in kinds.items():
            for page, page_flags in pages.items():
                if kind == "PIE" or page != "4 KiB" and linker in ("rustc's own", "bfd"):
                    linked(f"{linker}, {kind}, pages of {page}", *linker_flags, *kind_flags, *page_flags,
                           needs=needs.get(linker))
    bfd = linkers["bfd"]
    linked("bfd, headers and code in one segment", *bfd, "-C", "link-arg=-Wl,-z,noseparate-code")
    linked("bfd, pages of 16 KiB", *bfd, "-C", "link-arg=-Wl,-z,max-page-size=16384")
    linked("bfd, fixed addresses far up", *bfd, "-C", "relocation-model=static",
           "-C", "link-arg=-Wl,-Ttext-segment=0x10000000,-z,max-page-size=65536")
    linked("lld 14, headers and code in one segment", *linkers["lld 14"], "-C", "link-arg=-Wl,--no-rosegment",
           needs="ld.lld")
    linked("bfd, no index of unwind tables", *bfd, "-C", "link-arg=-Wl,--no-eh-frame-hdr", verdict=EXPLAINED)
    linked("bfd, no build id", *bfd, "-C", "link-arg=-Wl,--build-id=none")
    linked("sections compressed by the linker", *bfd, "-C", "link-arg=-Wl,--compress-debug-sections=zlib")
    linked("no debug information", debug="0", verdict=EXPLAINED)
    linked("line tables only", debug="line-tables-only", verdict=EXPLAINED)
    linked("full debug information", debug="2")
    linked("stripped by rustc, of debug information", "-C", "strip=debuginfo", verdict=EXPLAINED)
    linked("stripped by rustc, of symbols", "-C", "strip=symbols", verdict=EXPLAINED)


link_cells()


@cell("strip --strip-debug", EXPLAINED)
def _(cell):
    return [cell.objcopy(cell.copy(), "--strip-debug")]


@cell("strip --strip-all", EXPLAINED)
def _(cell):
    return [cell.objcopy(cell.copy(), "--strip-all")]


for how in ("zlib", "zlib-gnu", "zstd"):
    @cell(f"sections compressed, {how}")
    def _(cell, how=how):
        return [cell.objcopy(cell.copy(), f"--compress-debug-sections={how}")]


@cell("a section of 80 MB more, compressed", EXPLAINED)
def _(cell):
    more = cell.folder / "more"
    with open(more, "wb") as file:
        file.truncate(80_000_000)
    program = cell.objcopy(cell.copy(), f"--add-section=.debug_macro={more}")
    return [cell.objcopy(program, "--compress-debug-sections=zlib")]


@cell("debug file beside it")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / "leak.debug")]


@cell("debug file beside it, symbols kept")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / "leak.debug", "--strip-debug")]


@cell("debug file in .debug")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / ".debug/leak.debug")]


@cell("debug file in .debug, compressed")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / ".debug/leak.debug", "--strip-all", "--compress-debug-sections=zlib")]


@cell("debug file below /usr/lib/debug by build id", needs="root")
def _(cell):
    program = cell.copy("-C", "link-arg=-Wl,--build-id")
    build_id = re.search(r"Build ID: (\w+)", run("readelf", "-n", program))[1]
    where = pathlib.Path(f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")
    cell.cleanups.append(lambda: where.unlink())
    cell.apart(program, where)
    run("objcopy", "--remove-section=.gnu_debuglink", program)
    return [program]


@cell("debug file below /usr/lib/debug by path", needs="root")
def _(cell):
    program = cell.copy()
    where = pathlib.Path("/usr/lib/debug" + str(program.parent)) / "leak.debug"
    cell.cleanups.append(lambda: shutil.rmtree(where.parent))
    return [cell.apart(program, where)]


@cell("debug file gone", EXPLAINED)
def _(cell):
    program = cell.copy()
    debug = cell.folder / "leak.debug"
    cell.apart(program, debug)
    debug.unlink()
    return [program]


@cell("debug file of another build", EXPLAINED)
def _(cell):
    program = cell.copy()
    cell.apart(program, cell.folder / "leak.debug")
    other = cell.builder.program("-C", "link-arg=-Wl,--build-id", "-C", "symbol-mangling-version=v0")
    run("objcopy", "--only-keep-debug", other, cell.folder / "leak.debug")
    return [program]


@cell("debug file is no ELF file", EXPLAINED)
def _(cell):
    program = cell.copy()
    cell.apart(program, cell.folder / "leak.debug")
    (cell.folder / "leak.debug").write_text("nothing of that kind")
    return [program]


def shared_by_dwz(cell):
    """A program and a copy of it, whose common debug information `dwz` moves to a third file, for it shares what is in two files at
    least."""
    program = cell.copy("-C", "link-arg=-Wl,--build-id")
    other = cell.folder / "other"
    shutil.copy2(program, other)
    run("dwz", "-m", cell.folder / "shared", "-M", cell.folder / "shared", program, other)
    return program


@cell("debug file, shared parts by dwz in a third", EXPLAINED, needs="dwz")
def _(cell):
    return [shared_by_dwz(cell)]


@cell("debug file, shared parts by dwz are gone", EXPLAINED, needs="dwz")
def _(cell):
    program = shared_by_dwz(cell)
    (cell.folder / "shared").unlink()
    return [program]


def packed(cell, name="leak"):
    program = cell.copy("-C", "split-debuginfo=packed", name=name)
    package = cell.builder.program("-C", "split-debuginfo=packed").with_suffix(".dwp")
    shutil.copy2(package, program.with_name(name + ".dwp"))
    return program


@cell("split, packed")
def _(cell):
    return [packed(cell)]


@cell("split, packed, another name with a dot")
def _(cell):
    return [packed(cell, "leak.v2")]


@cell("split, packed, stripped, debug file beside it", EXPLAINED)
def _(cell):
    program = packed(cell)
    return [cell.apart(program, cell.folder / "leak.debug")]


@cell("split, package missing", EXPLAINED)
def _(cell):
    program = packed(cell)
    program.with_suffix(".dwp").unlink()
    return [program]


@cell("split, package is no ELF file", EXPLAINED)
def _(cell):
    program = packed(cell)
    program.with_suffix(".dwp").write_text("nothing of that kind")
    return [program]


@cell("split, package of another build", EXPLAINED)
def _(cell):
    program = packed(cell)
    other = cell.builder.program("-C", "split-debuginfo=packed", "-C", "overflow-checks=on", debug="1")
    shutil.copy2(other.with_suffix(".dwp"), program.with_suffix(".dwp"))
    return [program]


@cell("split, unpacked")
def _(cell):
    return [cell.builder.program("-C", "split-debuginfo=unpacked")]


@cell("split, unpacked, object files gone", EXPLAINED)
def _(cell):
    program = cell.builder.program("-C", "split-debuginfo=unpacked", "-C", "codegen-units=2")
    for file in program.parent.glob("*.dwo"):
        file.unlink()
    return [program]


for what, name in {"spaces": "a leak of ours", "a line break": "lea\nk", "a backslash": "lea\\k", "' (deleted)'": "leak (deleted)",
                   "escapes as the kernel's": "lea\\012k", "bytes that are no text": os.fsdecode(b"leak\xff")}.items():
    @cell(f"a name with {what}")
    def _(cell, name=name):
        return [cell.copy(name=name)]

    @cell(f"a name with {what}, split, packed")
    def _(cell, name=name):
        return [packed(cell, name)]


@cell("a folder with a line break and ' (deleted)', debug file in .debug")
def _(cell):
    program = cell.copy(name="lea\nk (deleted)/leak")
    return [cell.apart(program, program.parent / ".debug/leak.debug")]


@cell("started by the loader")
def _(cell):
    return ["/lib64/ld-linux-x86-64.so.2", cell.copy()]


@cell("started by the loader, no build id")
def _(cell):
    return ["/lib64/ld-linux-x86-64.so.2", cell.objcopy(cell.copy(), "--remove-section=.note.gnu.build-id")]


@cell("started by the loader, debug file beside it, pages of 2 MiB")
def _(cell):
    program = cell.copy("-C", "link-arg=-Wl,-z,max-page-size=2097152")
    return ["/lib64/ld-linux-x86-64.so.2", cell.apart(program, cell.folder / "leak.debug")]


@cell("started by the loader, split, package missing", EXPLAINED)
def _(cell):
    program = packed(cell)
    program.with_suffix(".dwp").unlink()
    return ["/lib64/ld-linux-x86-64.so.2", program]


@cell("under another name")
def _(cell):
    return ["bash", "-c", f"exec -a /nonexistent/other '{cell.copy()}'"]


@cell("by a symbolic link, debug file beside the program")
def _(cell):
    program = cell.apart(cell.copy(name="real/leak"), cell.folder / "real/leak.debug")
    link = cell.folder / "link"
    link.symlink_to(program)
    return [link]


@cell("by a hard link elsewhere, split, packed", EXPLAINED)
def _(cell):
    link = cell.folder / "elsewhere"
    os.link(packed(cell), link)
    return [link]


@cell("from a file in memory")
def _(cell):
    program = cell.copy()
    return [sys.executable, "-c", "import os, shutil, sys; file = os.memfd_create('leak'); "
            "shutil.copyfileobj(open(sys.argv[1], 'rb'), os.fdopen(os.dup(file), 'wb')); "
            "os.execv(f'/proc/self/fd/{file}', ['leak'])", program]


def gone(cell, program):
    """Takes the program away while it runs."""
    return [program], lambda: program.unlink()


@cell("deleted while it runs")
def _(cell):
    return gone(cell, cell.copy())


@cell("deleted while it runs, split, packed", EXPLAINED)
def _(cell):
    program = packed(cell)
    return [program], lambda: program.unlink()


@cell("deleted while it runs, debug file beside it")
def _(cell):
    return gone(cell, cell.apart(cell.copy(), cell.folder / "leak.debug"))


@cell("replaced by another build while it runs")
def _(cell):
    program = cell.copy()
    other = cell.builder.program("-C", "overflow-checks=on", "-C", "symbol-mangling-version=v0")
    new = cell.folder / "new"
    shutil.copy2(other, new)
    return [program], lambda: new.rename(program)


@cell("replaced by another build while it runs, started by the loader", EXPLAINED)
def _(cell):
    program = cell.copy()
    other = cell.builder.program("-C", "overflow-checks=on", "-C", "symbol-mangling-version=v0")
    new = cell.folder / "new"
    shutil.copy2(other, new)
    return ["/lib64/ld-linux-x86-64.so.2", program], lambda: new.rename(program)


@cell("another file mounted over it", needs="root")
def _(cell):
    program = cell.copy()
    other = cell.builder.program("-C", "overflow-checks=on", "-C", "symbol-mangling-version=v0")
    cell.cleanups.append(lambda: run("umount", program))
    return [program], lambda: run("mount", "--bind", other, program)


for flags in (["--set-rpath", "/a/path/that/is/longer/than/what/was/there/before/" + "x" * 200],
              ["--set-interpreter", "/lib64/../lib64/../lib64/../lib64/ld-linux-x86-64.so.2"],
              ["--add-needed", "libm.so.6"]):
    for kind, link in {"PIE": [], "no PIE, pages of 64 KiB": ["-C", "relocation-model=static", "-C",
                                                             "link-arg=-Wl,-z,max-page-size=65536"]}.items():
        @cell(f"patchelf {flags[0]}, {kind}", needs="patchelf")
        def _(cell, flags=flags, link=link):
            program = cell.copy(*link)
            run("patchelf", *flags, program)
            return [program]


def bolted(cell, *flags):
    program = cell.copy("-C", "link-arg=-Wl,--emit-relocs")
    run("llvm-bolt-16", program, "-o", cell.folder / "bolted", "-reorder-functions=hfsort", "-lite=0", *flags)
    return [cell.folder / "bolted"]


@cell("llvm-bolt, functions moved", needs="llvm-bolt-16")
def _(cell):
    return bolted(cell, "-update-debug-sections", "-use-old-text=0")


@cell("llvm-bolt, functions moved, debug information left out", EXPLAINED, needs="llvm-bolt-16")
def _(cell):
    return bolted(cell, "-use-old-text=0")


for how in ("all", "part", "file"):
    for kind, link in {"": [], ", pages of 2 MiB": ["-C", "link-arg=-Wl,-z,max-page-size=2097152"],
                       ", static PIE": ["-C", "target-feature=+crt-static"]}.items():
        @cell(f"code on other pages, {how}{kind}")
        def _(cell, how=how, link=link):
            return ["env", f"LEAK_REMAP={how}", cell.copy(*link)]


@cell("code on other pages, stripped, debug file beside it")
def _(cell):
    return ["env", "LEAK_REMAP=all", cell.apart(cell.copy(), cell.folder / "leak.debug")]


def is_there(needs):
    return needs is None or os.geteuid() == 0 if needs in (None, "root") else shutil.which(needs) is not None


def main():
    os.environ["PATH"] = run(ROOT / "scripts/install-go.sh").strip() + os.pathsep + os.environ["PATH"]
    words = sys.argv[1:]
    counts, failures, left_out = {NAMED: 0, EXPLAINED: 0, WRONG: 0}, [], []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch).resolve()
        builder = Builder(scratch)
        for number, (name, expected, needs, prepare) in enumerate(CELLS):
            if words and not any(word in name for word in words):
                continue
            if not is_there(needs):
                left_out.append(name)
                continue
            folder = scratch / f"cell{number}"
            folder.mkdir()
            cell = Cell(builder, folder)
            try:
                command = prepare(cell)
                command, then = command if isinstance(command, tuple) else (command, lambda: None)
                program, address = served(command)
                try:
                    then()
                    verdict, evidence = judge(address, folder)
                finally:
                    program.stdin.close()
                    program.wait()
            except Impossible as reason:
                failures.append(name)
                print(f"impossible {name}: {reason}", flush=True)
                continue
            finally:
                for clean in cell.cleanups:
                    clean()
            shutil.rmtree(folder)
            counts[verdict] += 1
            print(f"{verdict:10} {name}", flush=True)
            if verdict != expected:
                failures.append(name)
                print(f"           NOT {expected}: {evidence}", flush=True)
    print(f"\n{sum(counts.values())} cells: " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()))
    if left_out:
        print(f"left out, for want of a tool: {', '.join(left_out)}")
    sys.exit(f"not as expected: {', '.join(failures)}" if failures else 0)


main()
